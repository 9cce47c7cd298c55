"""The history checker: what was acknowledged, what really ran, and what the engine says in the end must agree.

It knows the invariants that hold whatever is killed, stopped or starved; test_history.py feeds it wrong histories.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from jobsworth import Job, State
from jobsworth.job import FINAL


@dataclass(frozen=True)
class Event:
    """A handler's start or end, as it wrote it into the ledger."""

    kind: str
    id: str
    fence: int
    attempt: int
    pid: int
    at: float
    queue: str = "default"
    value: Any = None
    args: Any = None


@dataclass
class History:
    """Everything known of a run. `at` of cancellations and events is one clock for all processes."""

    acked: set[str]
    events: list[Event]
    jobs: list[Job]
    refused: set[str] = field(default_factory=set)  # enqueues that were refused for certain
    cancelled_waiting: set[str] = field(default_factory=set)  # the answer to the cancel was: it was still waiting
    cancelled_at: dict[str, float] = field(default_factory=dict)  # when a cancel of a running job was acknowledged
    disturbed: set[int] = field(default_factory=set)  # processes that were killed or stopped
    slots: Mapping[str, int] = field(default_factory=dict)  # by queue, in each process
    max_crashes: int = 100


def read_ledger(folder: Path) -> list[Event]:
    """The ledger's events; a last line cut short by a kill is impossible, since lines are written whole."""
    path = folder / "ledger"
    if not path.exists():
        return []
    return [Event(**json.loads(line)) for line in path.read_text().splitlines()]


def violations(history: History) -> list[str]:
    """What is wrong, in words; empty when nothing is."""
    starts: dict[str, list[Event]] = defaultdict(list)
    ends: dict[str, list[Event]] = defaultdict(list)
    for event in history.events:
        (starts if event.kind == "start" else ends)[event.id].append(event)
    jobs = {job.id: job for job in history.jobs}
    found = [f"{id_}: acknowledged, but not there" for id_ in history.acked - jobs.keys()]
    found += [f"{id_}: stored {n} times" for id_, n in Counter(job.id for job in history.jobs).items() if n > 1]
    found += [f"{id_}: ran although its enqueue was refused" for id_ in history.refused & starts.keys()]
    found += [f"{id_}: ran, but nobody enqueued it" for id_ in starts.keys() - jobs.keys()]
    found += [f"{id_}: started after it was cancelled waiting" for id_ in history.cancelled_waiting & starts.keys()]
    for job in history.jobs:
        found += [f"{job.id}: {text}" for text in _one(job, starts[job.id], ends[job.id], history)]
    return found + _too_many_at_once(history)


def _one(job: Job, starts: list[Event], ends: list[Event], history: History) -> Iterable[str]:
    if job.state not in FINAL:
        yield f"ended in no final state but {job.state.value}"
    fences = [event.fence for event in starts]
    if len(set(fences)) != len(fences):
        yield "two starts under one lease"
    in_order = sorted(starts, key=lambda event: event.at)
    if [event.fence for event in in_order] != sorted(fences):
        yield "a later start had an earlier lease"
    yield from _overlaps(in_order, ends, history.disturbed)
    yield from _counts(job, in_order, history)
    if job.state is State.COMPLETED:
        last = [event for event in ends if event.fence == max(fences, default=0)]
        if not last:
            yield "completed, but its last attempt never came to an end"
        elif json.dumps(last[-1].value).encode() != job.result:
            yield f"its result is {job.result!r}, not what its last attempt returned: {last[-1].value!r}"
    asked = history.cancelled_at.get(job.id)
    if asked is not None and sum(event.at > asked for event in in_order[1:]):
        yield "another attempt started after it was cancelled while running"
    for event in starts:
        if event.args is not None and json.loads(job.args)["n"] != event.args["n"]:
            yield f"it was enqueued with {job.args!r} but ran with {event.args!r}"


def _overlaps(starts: list[Event], ends: list[Event], disturbed: set[int]) -> Iterable[str]:
    """Two attempts at once are possible only if the first one's process was killed or stopped meanwhile."""
    ended = {event.fence: event.at for event in ends}
    for first, second in pairwise(starts):
        if ended.get(first.fence, float("inf")) > second.at and first.pid not in disturbed:
            yield f"attempts {first.attempt} and {second.attempt} ran at the same time"


def _counts(job: Job, starts: list[Event], history: History) -> Iterable[str]:
    if job.errors > job.max_attempts:
        yield f"{job.errors} errors, but {job.max_attempts} attempts at most"
    if job.crashes > history.max_crashes:
        yield f"{job.crashes} crashes, but {history.max_crashes} at most"
    if starts and starts[-1].attempt > job.attempt:
        yield f"attempt {starts[-1].attempt} ran, the store knows {job.attempt}"
    if any(event.attempt < 1 for event in starts):
        yield "an attempt without a number"
    undisturbed = [event for event in starts if event.pid not in history.disturbed]
    if job.crashes and len(undisturbed) == len(starts) and len(starts) >= job.attempt:
        yield "charged with a crash that did not happen"


def _too_many_at_once(history: History) -> Iterable[str]:
    """In one process, no more of a queue's jobs at once than it has slots there."""
    moments: dict[tuple[int, str], list[tuple[float, int]]] = defaultdict(list)
    for event in history.events:
        moments[event.pid, event.queue].append((event.at, 1 if event.kind == "start" else -1))
    found = []
    for (pid, queue), changes in moments.items():
        now = most = 0
        for _, change in sorted(changes):
            now += change
            most = max(most, now)
        if queue in history.slots and most > history.slots[queue]:
            found.append(f"process {pid} ran {most} jobs of {queue} at once, it has {history.slots[queue]} slots")
    return found
