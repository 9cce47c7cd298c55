"""Whether queues keep up: when a backlog will be gone, how many slots are missing, and what needs a person. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from .engine import QueueStatus
from .job import State

_SOON = 60.0  # minutes within which a backlog should be gone


class Alert(msgspec.Struct, frozen=True):
    """Something about a queue that a person should look at. `code` is stable where there is one."""

    kind: str  # unroutable, unserved or paused
    queue: str
    text: str
    code: str | None = None


def running(queue: QueueStatus) -> int:
    """Jobs that a worker holds."""
    return queue.counts.get(State.RUNNING, 0) + queue.counts.get(State.CANCELLING, 0)


def minutes_left(queue: QueueStatus) -> float | None:
    """Minutes until nothing waits, at the last minute's rates; None if that is never or cannot be told."""
    waiting = queue.counts.get(State.QUEUED, 0)
    if waiting == 0 or (queue.slots > running(queue) and waiting <= queue.slots and not queue.paused):
        return 0.0
    gain = queue.out_rate - queue.in_rate
    return waiting / gain if gain > 0 and queue.slots and not queue.paused else None


def missing_slots(queue: QueueStatus) -> int:
    """Slots to add so that what comes in is kept up with and the backlog is gone within an hour."""
    left = minutes_left(queue)
    if not queue.slots or not queue.out_rate or running(queue) < queue.slots or (left is not None and left <= _SOON):
        return 0
    each = queue.out_rate / queue.slots
    needed = (queue.in_rate + queue.counts.get(State.QUEUED, 0) / _SOON) / each
    return max(1, math.ceil(needed) - queue.slots)


def drains_in(queue: QueueStatus) -> float | None:
    """Seconds until nothing waits, at the last minute's rates; None if that is never or cannot be told."""
    minutes = minutes_left(queue)
    return None if minutes is None else round(minutes * 60, 1)


def alerts(queues: Iterable[QueueStatus]) -> list[Alert]:
    """What needs a person, queue by queue."""
    found = []
    for queue in queues:
        name = queue.queue
        for task, number in queue.unroutable.items():
            found.append(
                Alert(
                    "unroutable", name,
                    f'{number:,} job{"" if number == 1 else "s"} in {name} need the task "{task}", '
                    "which no live worker knows. They wait, nothing is lost.",
                    "W301",
                )
            )  # fmt: skip
        waiting = queue.counts.get(State.QUEUED, 0)
        if waiting and not queue.slots and not queue.paused:
            found.append(Alert("unserved", name, f'no worker is listening on "{name}"; start one: jobsworth worker'))
        if queue.paused and waiting:
            found.append(Alert("paused", name, f"{name} is paused; let it go on: jobsworth queues resume {name}"))
    return found
