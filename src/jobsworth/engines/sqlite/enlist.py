"""Enqueue inside a transaction that somebody else holds: which statements that takes, whoever runs them.

The same as intake.py, one job at a time and by what statements answer: other drivers tell no row counts.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...engine import BEGIN, Script
from ...errors import QueueFull, WrongDatabase
from ...job import NewJob, Receipt
from . import migrate
from .intake import FULL, HOLDER, INLINE_BYTES, KNOWN, PAYLOAD, PLAIN, ROOM, full, rooms
from .rows import full_row, is_plain, plain_row

FILES = "PRAGMA database_list"
NAME = "jobsworth_batch"
_latest = functools.cache(migrate.latest)


def enlist(path: Path, jobs: Sequence[NewJob], now: float) -> Script[list[Receipt] | QueueFull]:
    """Store one batch in the transaction that is open, or begins here, on a connection to this very file."""
    yield from _check(path)
    yield BEGIN, ()
    yield f"SAVEPOINT {NAME}", ()
    try:
        answer = yield from _store(jobs, now)
    except Exception:
        # Whoever goes on with the transaction all the same must not find half a batch in it.
        yield f"ROLLBACK TO {NAME}", ()
        yield f"RELEASE {NAME}", ()
        raise
    if isinstance(answer, QueueFull):
        yield f"ROLLBACK TO {NAME}", ()
    yield f"RELEASE {NAME}", ()
    return answer


def _check(path: Path) -> Script[None]:
    """Raise WrongDatabase (E112) unless the connection's own file (not one attached to it) is ours, and is ready."""
    files = {row[1]: row[2] for row in (yield FILES, ())}
    if not _same(files.get("main"), path):
        theirs = files.get("main") or "memory"
        raise WrongDatabase(
            f"the jobs live in {path}, but transaction= is a connection to {theirs}",
            hint="a transaction cannot span two files safely: connect to the jobs' file, and ATTACH nothing for this",
        )
    there = yield migrate.HAS_TABLE, ()
    found = (yield migrate.VERSION, ())[0][0] if there else 0
    migrate.check(found, path)
    if found < _latest():
        raise WrongDatabase(
            f"{path} does not hold the tables of this version yet, and your transaction is in the way of making them",
            hint="call jobs.open() once, when the program starts, or start a worker first",
        )


def _same(name: str | None, path: Path) -> bool:
    try:
        return bool(name) and Path(str(name)).samefile(path)
    except OSError:
        return False


def _store(jobs: Sequence[NewJob], now: float) -> Script[list[Receipt] | QueueFull]:
    receipts = []
    for job in jobs:
        receipt = yield from _store_one(job, now)
        receipts.append(receipt)
    fresh = [job for job, receipt in zip(jobs, receipts, strict=True) if receipt.created and job.failure is None]
    for queue, room in rooms(fresh):
        ((waiting,),) = yield f"SELECT {ROOM}", (queue, room + 1)
        if waiting > room:
            return full(queue, room)
    return receipts


def _store_one(job: NewJob, now: float) -> Script[Receipt]:
    args = job.args if len(job.args) <= INLINE_BYTES else None
    row: tuple[Any, ...]
    sql, row = (PLAIN, plain_row(job, now, args)) if is_plain(job) else (FULL, full_row(job, now, args))
    stored = yield f"{sql} RETURNING seq", row
    if stored:
        if args is None:
            yield PAYLOAD, (stored[0][0], job.args)
        return Receipt(job.id)
    if (yield KNOWN, (job.id,)):
        return Receipt(job.id, created=False)
    ((holder,),) = yield HOLDER, (job.task, job.key)
    return Receipt(holder, created=False)
