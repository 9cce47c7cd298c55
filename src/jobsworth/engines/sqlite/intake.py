"""Enqueue: storing wishes. Each caller's batch is stored whole or not at all; many batches share one commit."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence

from ...errors import QueueFull
from ...job import NewJob, Receipt
from .batch import arguments
from .rows import EXTRA_COLUMNS, PLAIN_COLUMNS, full_row, is_plain, plain_row

INLINE_BYTES = 4096  # larger arguments live apart, so that claims and endings do not rewrite them


def insert(columns: str) -> str:
    """SQL that stores a job unless it, or one with its key, is there."""
    marks = ", ".join("?" * (columns.count(",") + 1))
    return f"INSERT INTO jobsworth_jobs ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"


PLAIN = insert(PLAIN_COLUMNS)
# Jobs that are alike, as {id: arguments}: half the time of a row at a time. After that, the first one's PLAIN_COLUMNS.
ALIKE = (
    f"INSERT INTO jobsworth_jobs ({PLAIN_COLUMNS}) SELECT key, ?3, ?4, ?5, CAST(value AS BLOB), ?7, ?8, ?9"
    " FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING"
)
FULL = insert(f"{PLAIN_COLUMNS}, {EXTRA_COLUMNS}")
PAYLOAD = "INSERT INTO jobsworth_payloads (seq, args) VALUES (?, ?)"
# Waiting jobs of a queue, counted no further than needed; one part per partial index.
ROOM = " + ".join(
    f"(SELECT count(*) FROM (SELECT 1 FROM jobsworth_jobs WHERE {state} AND queue = ?1 LIMIT ?2))"
    for state in ("state = 0", "state = 1 AND crashes = 0", "state = 1 AND crashes > 0")
)
HOLDER = "SELECT id FROM jobsworth_jobs WHERE task = ? AND key = ? AND state < 4"
KNOWN = "SELECT 1 FROM jobsworth_jobs WHERE id = ?"


def store_all(
    connection: sqlite3.Connection, wishes: Sequence[Sequence[NewJob]], now: float
) -> list[list[Receipt] | QueueFull]:
    """Store many callers' batches; each whole, or refused whole."""
    jobs = [job for wish in wishes for job in wish]
    if len(wishes) == 1 or any(job.max_size is not None for job in jobs):
        return [store(connection, wish, now) for wish in wishes]
    receipts = iter(_store(connection, jobs, now))
    return [list(itertools.islice(receipts, len(wish))) for wish in wishes]


def store(connection: sqlite3.Connection, jobs: Sequence[NewJob], now: float) -> list[Receipt] | QueueFull:
    """Store one batch, or refuse it whole."""
    if not any(job.max_size is not None for job in jobs):
        return _store(connection, jobs, now)
    connection.execute("SAVEPOINT batch")
    receipts = _store(connection, jobs, now)
    fresh = [job for job, receipt in zip(jobs, receipts, strict=True) if receipt.created and job.failure is None]
    refused = _overflow(connection, fresh)
    if refused is not None:
        connection.execute("ROLLBACK TO batch")
    connection.execute("RELEASE batch")
    return refused or receipts


def _store(connection: sqlite3.Connection, jobs: Sequence[NewJob], now: float) -> list[Receipt]:
    if len(jobs) > 1 and all(is_plain(job) and len(job.args) <= INLINE_BYTES for job in jobs):
        connection.execute("SAVEPOINT bulk")
        stored = sum(_store_alike(connection, list(alike), now) for _, alike in itertools.groupby(jobs, _likeness))
        if stored != len(jobs):  # some id was there already; find out which, one by one
            connection.execute("ROLLBACK TO bulk")
        connection.execute("RELEASE bulk")
        if stored == len(jobs):
            return [Receipt(job.id) for job in jobs]
    return [_store_one(connection, job, now) for job in jobs]


def _likeness(job: NewJob) -> tuple[object, ...]:
    """All of a plain job but its id and arguments."""
    return job.queue, job.task, job.max_attempts, job.delay, job.run_at


def _store_alike(connection: sqlite3.Connection, jobs: Sequence[NewJob], now: float) -> int:
    """Store plain jobs that differ by their ids and arguments only. Returns how many of them were new."""
    text = arguments(jobs)
    if text is None:
        return connection.executemany(PLAIN, [plain_row(job, now, job.args) for job in jobs]).rowcount
    return connection.execute(ALIKE, (text, *plain_row(jobs[0], now, None))).rowcount


def _store_one(connection: sqlite3.Connection, job: NewJob, now: float) -> Receipt:
    args = job.args if len(job.args) <= INLINE_BYTES else None
    if is_plain(job):
        done = connection.execute(PLAIN, plain_row(job, now, args))
    else:
        done = connection.execute(FULL, full_row(job, now, args))
    if done.rowcount == 1:
        if args is None:
            connection.execute(PAYLOAD, (done.lastrowid, job.args))
        return Receipt(job.id)
    if connection.execute(KNOWN, (job.id,)).fetchone() is not None:
        return Receipt(job.id, created=False)
    (holder,) = connection.execute(HOLDER, (job.task, job.key)).fetchone()
    return Receipt(holder, created=False)


def _overflow(connection: sqlite3.Connection, jobs: Sequence[NewJob]) -> QueueFull | None:
    """What is wrong if a queue now holds more waiting jobs than it has room for."""
    for queue, room in rooms(jobs):
        (waiting,) = connection.execute(f"SELECT {ROOM}", (queue, room + 1)).fetchone()
        if waiting > room:
            return full(queue, room)
    return None


def rooms(jobs: Sequence[NewJob]) -> list[tuple[str, int]]:
    """The queues of these jobs that have a max_size, and that."""
    return list({job.queue: job.max_size for job in jobs if job.max_size is not None}.items())


def full(queue: str, room: int) -> QueueFull:
    """What is wrong when a queue has no room."""
    return QueueFull(
        f"queue {queue!r} is full: its max_size is {room} waiting jobs",
        hint="try again later, add workers, or raise max_size; nothing of this call was stored",
    )
