"""What must be true of the engine's final dump and of what handlers wrote down, whoever asked for what."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from fire_history import Event, History

from jobsworth import Job, State
from jobsworth.engine import HISTORY
from jobsworth.job import FINAL, Attempt

COUNTED_AS_ERRORS = ("failed", "timed_out")
NUMBER_USED_AGAIN = ("snoozed", "released", "expired", "incompatible")


def wrong_in_the_store(history: History) -> Iterator[str]:
    """Invariants that need no more than the ledger and the final dump."""
    starts: dict[str, list[Event]] = defaultdict(list)
    ends: dict[str, list[Event]] = defaultdict(list)
    for event in history.events:
        (starts if event.kind == "start" else ends)[event.id].append(event)
    stored = history.stored.keys()
    yield from (f"{id_}: acknowledged, but not there" for id_ in history.told - stored)
    yield from (f"{id_}: stored {n} times" for id_, n in Counter(job.id for job in history.jobs).items() if n > 1)
    yield from (f"{id_}: ran although its enqueue was refused" for id_ in history.not_stored & starts.keys())
    yield from (f"{id_}: is there although its enqueue was refused" for id_ in history.not_stored & stored)
    yield from (f"{id_}: ran, but nobody enqueued it" for id_ in starts.keys() - stored)
    yield from (f"{id_}: started after it was cancelled waiting" for id_ in history.cancelled_waiting & starts.keys())
    for job in history.jobs:
        for rule in (_final, _in_time, _attempts):
            yield from (f"{job.id}: {text}" for text in rule(job, history))
        yield from (f"{job.id}: {text}" for text in _runs(job, starts[job.id], ends[job.id], history))
    yield from _one_live_job_per_key(history)
    yield from _counts(history)
    yield from _too_many_at_once(history)


def _final(job: Job, history: History) -> Iterator[str]:
    if job.state not in FINAL:
        yield f"ended in no final state but {job.state.value}"
    if job.errors > job.max_attempts:
        yield f"{job.errors} errors, but {job.max_attempts} attempts at most"
    if job.crashes > history.max_crashes:
        yield f"{job.crashes} crashes, but {history.max_crashes} at most"
    if job.result is not None and job.state is not State.COMPLETED:
        yield f"it is {job.state.value} and has a result"
    if job.state is State.FAILED and job.failure is None:
        yield "a dead letter that does not say why"
    if job.state is State.COMPLETED and job.failure is not None:
        yield f"completed, and yet it shows {job.failure.type}"
    note = job.progress
    if note is not None and (
        not 0 <= (note.percent or 0) <= 100
        or (note.current is not None and note.total is not None and not 0 <= note.current <= note.total)
    ):
        yield f"progress out of bounds: {note}"


def _in_time(job: Job, history: History) -> Iterator[str]:
    """By the engine's own clock, which stamped all of it."""
    if job.state is not State.COMPLETED or job.started_at is None or job.finished_at is None:
        return
    if job.run_at is not None and job.started_at < job.run_at:
        yield f"started {job.run_at - job.started_at:.3f} s before it was due"
    if job.expires_at is not None and job.started_at >= job.expires_at:
        yield f"started {job.started_at - job.expires_at:.3f} s after it had expired"
    if not job.created_at <= job.started_at <= job.finished_at:
        yield "it was not created, started and finished in this order"


def _attempts(job: Job, history: History) -> Iterator[str]:
    """Numbers without gaps, one that is used again only after an ending that costs nothing, and both counters."""
    attempts = job.attempts
    if len(attempts) >= HISTORY:
        return  # the oldest are forgotten
    due = 1
    for each in attempts:
        if each.number != due:
            yield f"attempt {each.number} is in its history where {due} should be"
            return
        due += each.outcome not in NUMBER_USED_AGAIN
    ended = [each for each in attempts if each.outcome is not None]
    if ended and job.attempt != due - 1:
        yield f"it counts {job.attempt} attempts, its history {due - 1}"
    if job.id not in history.renewed:
        yield from _charges(job, attempts)
        if (job.state is State.COMPLETED) != (bool(ended) and ended[-1].outcome == "succeeded"):
            yield f"it is {job.state.value}, but its last attempt {ended[-1].outcome if ended else 'never was'}"
        if any(each.outcome == "succeeded" for each in ended[:-1]):
            yield "an attempt was made after one had succeeded"


def _charges(job: Job, attempts: tuple[Attempt, ...]) -> Iterator[str]:
    failed = sum(each.outcome in COUNTED_AS_ERRORS for each in attempts)
    lost = sum(each.outcome == "lost" for each in attempts)
    if job.errors != failed:
        yield f"charged with {job.errors} errors, its history has {failed}"
    if job.crashes != lost:
        yield f"charged with {job.crashes} crashes, its history has {lost}"


def _runs(job: Job, starts: list[Event], ends: list[Event], history: History) -> Iterator[str]:
    fences = [event.fence for event in starts]
    if len(set(fences)) != len(fences):
        yield "two starts under one lease"
    in_order = sorted(starts, key=lambda event: event.at)
    # A process that was stopped between its claim and its start goes on where it was, and learns only then of its loss.
    if any(late.pid not in history.disturbed for early, late in pairwise(in_order) if late.fence < early.fence):
        yield "a later start had an earlier lease"
    yield from _overlaps(sorted(starts, key=lambda event: event.fence), ends, history.disturbed)
    yield from _numbers(job, in_order, history)
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


def _numbers(job: Job, starts: list[Event], history: History) -> Iterable[str]:
    free = bool(job.attempts) and job.attempts[-1].outcome in NUMBER_USED_AGAIN
    if starts and starts[-1].attempt > job.attempt and not free:
        yield f"attempt {starts[-1].attempt} ran, the store knows {job.attempt}"
    if any(event.attempt < 1 for event in starts):
        yield "an attempt without a number"
    # A worker that is killed between its claim and its start loses a run that nobody saw; a run that was seen, and was
    # lost, must have been in a process that was killed or stopped.
    for lost in {each.number for each in job.attempts if each.outcome == "lost"}:
        healthy = sum(event.attempt == lost and event.pid not in history.disturbed for event in starts)
        if healthy > sum(each.number == lost and each.outcome != "lost" for each in job.attempts):
            yield "charged with a crash that did not happen"


def _one_live_job_per_key(history: History) -> Iterator[str]:
    by_key: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in history.jobs:
        if job.key is not None and job.id not in history.renewed:
            by_key[job.task, job.key].append(job)
    for (_, key), jobs in by_key.items():
        for first, second in pairwise(sorted(jobs, key=lambda job: job.created_at)):
            if first.finished_at is None or first.finished_at > second.created_at:
                yield f"{second.id}: created while {first.id} was alive under its key {key!r}"


def _counts(history: History) -> Iterator[str]:
    """What the engine counts is what is there."""
    if history.counts is None:
        return
    there: dict[str, Counter[State]] = defaultdict(Counter)
    for job in history.jobs:
        there[job.queue][job.state] += 1
    for queue in there.keys() | history.counts.keys():
        counted = {state: n for state, n in history.counts.get(queue, {}).items() if n}
        if counted != there[queue]:
            yield f"queue {queue} counts {counted}, there are {dict(there[queue])}"


def _too_many_at_once(history: History) -> Iterator[str]:
    """In one process, no more of a queue's jobs at once than it has slots there."""
    moments: dict[tuple[int, str], list[tuple[float, int]]] = defaultdict(list)
    for event in history.events:
        moments[event.pid, event.queue].append((event.at, 1 if event.kind == "start" else -1))
    for (pid, queue), changes in moments.items():
        now = most = 0
        for _, change in sorted(changes):
            now += change
            most = max(most, now)
        if queue in history.slots and most > history.slots[queue]:
            yield f"process {pid} ran {most} jobs of {queue} at once, it has {history.slots[queue]} slots"
