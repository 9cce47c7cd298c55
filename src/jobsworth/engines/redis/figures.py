"""Queues in numbers, read off the indexes the jobs stand in; nothing is counted apart, so nothing can drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ...engine import RATE_WINDOW, Place, QueueStatus, WorkerCard
from ...job import LIVE, JobId, State, storable
from .desk import PAGE
from .keys import PLACE
from .record import CARD, MOMENT, STATES

EXACT_BELOW = 1_000  # jobs of a line up to which the oldest is looked up among all of them
MOST_ARRIVALS = 2_000  # jobs that came lately up to which they are counted; beyond, the newest so many tell the rate
QUEUES_AT_ONCE = 50

Run = Callable[..., Any]
_to_msgpack = msgspec.msgpack.Encoder().encode


def place(run: Run, job_id: JobId) -> Place | None:
    """Where a job stands."""
    moment, there, ahead = run("place", storable(job_id))
    (now,) = MOMENT.unpack(moment)
    return Place(None if ahead < 0 else ahead, now) if there else None


def queues(
    run: Run, settings: dict[str, bool], used: Iterable[str], names: Iterable[str] | None, *, brief: bool
) -> list[QueueStatus]:
    """Each queue in numbers; those in use when no names are given. `used` may name more than are in use."""
    cards = workers(run)
    known = {*settings, *(queue for card in cards for queue in card.queues)}
    chosen = sorted({*known, *used} if names is None else {*names})
    arrived = {} if brief else _arrivals(run)
    statuses = []
    for at in range(0, len(chosen), QUEUES_AT_ONCE):
        some = chosen[at : at + QUEUES_AT_ONCE]
        moment, held, *figures = run("figures", _to_msgpack((some, brief, EXACT_BELOW, RATE_WINDOW)))
        running = Counter((queue.decode(), STATES[state]) for state, queue in zip(held[::2], held[1::2], strict=True))
        (now,) = MOMENT.unpack(moment)
        for queue, numbers in zip(some, figures, strict=True):
            status = _status(queue, numbers, running, cards, now, brief=brief)
            if names is None and queue not in known and not status.counts:
                continue
            counts = {state: number for state, number in status.counts.items() if not brief or state in LIVE}
            statuses.append(
                msgspec.structs.replace(
                    status, counts=counts, paused=settings.get(queue, False), in_rate=arrived.get(queue, 0)
                )
            )
    return statuses


def _status(
    queue: str,
    numbers: list[Any],
    running: Counter[tuple[str, State]],
    cards: list[WorkerCard],
    now: float,
    *,
    brief: bool,
) -> QueueStatus:
    scheduled, completed, failed, cancelled, ended, oldest, tasks = numbers
    waiting: Counter[str] = Counter()
    for mark, number in zip(tasks[::2], tasks[1::2], strict=True):
        waiting[mark.decode().removeprefix("!")] += number
    counts = {
        State.SCHEDULED: scheduled, State.QUEUED: waiting.total(), State.RUNNING: running[queue, State.RUNNING],
        State.CANCELLING: running[queue, State.CANCELLING], State.COMPLETED: completed, State.FAILED: failed,
        State.CANCELLED: cancelled,
    }  # fmt: skip
    mine = [card for card in cards if queue in card.queues]
    known = {task for card in mine for task in card.tasks}
    strange = {} if brief or not mine else {task: number for task, number in waiting.items() if task not in known}
    return QueueStatus(
        queue=queue,
        counts={state: number for state, number in counts.items() if number},
        oldest=max(0.0, now - MOMENT.unpack(oldest)[0]) if oldest else None,
        slots=sum(card.queues[queue] for card in mine),
        workers=len(mine),
        out_rate=ended,
        unroutable=strange,
    )


def _arrivals(run: Run) -> dict[str, int]:
    """Jobs that came in the last minute, by queue."""
    came: Counter[str] = Counter()
    at: bytes = b""
    span = RATE_WINDOW
    while True:
        members = run("walk", "", 1, at, PAGE)
        moment, *answers = run("arrivals", *members)
        (now,) = MOMENT.unpack(moment)
        for created, queue in zip(answers[::2], answers[1::2], strict=True):
            age = now - MOMENT.unpack(created)[0]
            if age > RATE_WINDOW:
                return dict(came)
            came[queue.decode()] += 1
            span = max(age, 0.001)
        if len(members) < PAGE:
            return dict(came)
        if came.total() >= MOST_ARRIVALS:
            return {queue: round(number * RATE_WINDOW / span) for queue, number in came.items()}
        at = members[-1][:PLACE]


def workers(run: Run) -> list[WorkerCard]:
    """Cards that have not run out."""
    moment, kept = run("workers")
    (now,) = MOMENT.unpack(moment)
    cards = (_card(data, now) for data in kept[1::2])
    return sorted((card for card in cards if card is not None), key=lambda card: card.id)


def _card(data: bytes, now: float) -> WorkerCard | None:
    """A worker's card; a damaged one is nobody's, and its worker writes a new one at its next pulse."""
    if len(data) < CARD.size:
        return None
    started_at, beat_at, gone_at = CARD.unpack_from(data)
    if gone_at <= now:
        return None
    try:
        card = msgspec.json.decode(data[CARD.size :], type=WorkerCard)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return msgspec.structs.replace(card, started_at=started_at, beat=max(0.0, now - beat_at))
