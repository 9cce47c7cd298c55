"""Enqueue: storing wishes. Each caller's batch is stored whole or not at all; many batches share one commit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TypeVar

from ...engine import Script
from ...errors import EngineUnavailable, QueueFull
from ...job import NewJob, Receipt
from .desk import Ask
from .lines import Line
from .rows import text, to_json, wish

T = TypeVar("T")
ENQUEUE = "SELECT place, there FROM @enqueue(%s, %s, %s, %s)"
TRIES = 5


def store_all(
    line: Line, ask: Ask, wishes: Sequence[Sequence[NewJob]], test_now: float | None
) -> list[list[Receipt] | QueueFull]:
    """Store many callers' batches."""
    jobs = [job for wish in wishes for job in wish]
    if not any(job.max_size is not None for job in jobs):
        receipts = iter(_run(ask, _stored(jobs, False, test_now)))
        return [list(islice(receipts, len(wish))) for wish in wishes]
    with line.transaction():
        return [store(ask, wish, test_now) for wish in wishes]


def store(ask: Ask, jobs: Sequence[NewJob], test_now: float | None) -> list[Receipt] | QueueFull:
    """Store one batch, or refuse it whole. Needs a transaction."""
    return _run(ask, batch(jobs, test_now))


def batch(jobs: Sequence[NewJob], test_now: float | None) -> Script[list[Receipt] | QueueFull]:
    """How to store one batch, or refuse it whole."""
    try:
        return (yield from _stored(jobs, any(job.max_size is not None for job in jobs), test_now))
    except QueueFull as full:
        return full


def _run(ask: Ask, script: Script[T]) -> T:
    """Run a script on a connection of ours."""
    try:
        sql, values = next(script)
        while True:
            sql, values = script.send(ask(sql, values).fetchall())
    except StopIteration as done:
        answer: T = done.value
        return answer


def _stored(jobs: Sequence[NewJob], limited: bool, test_now: float | None) -> Script[list[Receipt]]:
    if not jobs:
        return []
    rows = yield ENQUEUE, (_json(jobs), not _differ(jobs), limited, test_now)
    if rows and rows[0][0] == 0:
        queue = rows[0][1]
        room = min(job.max_size for job in jobs if job.queue == queue and job.max_size is not None)
        raise QueueFull(
            f"queue {queue!r} is full: its max_size is {room} waiting jobs",
            hint="try again later, add workers, or raise max_size; nothing of this call was stored",
        )
    return (yield from _receipts(jobs, dict(rows), test_now))


def _differ(jobs: Sequence[NewJob]) -> bool:
    """True if no id is named twice."""
    return len(jobs) < 2 or len({job.id for job in jobs}) == len(jobs)


def _json(jobs: Sequence[NewJob]) -> str:
    return to_json([wish(job) for job in jobs])


def _receipts(jobs: Sequence[NewJob], there: dict[int, str | None], test_now: float | None) -> Script[list[Receipt]]:
    """One receipt per wish, from the places that were not created."""
    receipts: list[Receipt] = []
    for place, job in enumerate(jobs, 1):
        if place not in there:
            receipts.append(Receipt(job.id))
        else:
            holder = there[place]
            receipts.append(Receipt(holder, created=False) if holder else (yield from _again(job, test_now)))
    return receipts


def _again(job: NewJob, test_now: float | None) -> Script[Receipt]:
    """Who held its key has ended between two looks. It may be taken now, or be held by yet another."""
    for _ in range(TRIES):
        rows = yield ENQUEUE, (_json([job]), False, False, test_now)
        if not rows:
            return Receipt(job.id)
        if rows[0][1] is not None:
            return Receipt(rows[0][1], created=False)
    raise EngineUnavailable(f"the key {text(job.key or '')!r} changed hands too quickly", hint="try again")
