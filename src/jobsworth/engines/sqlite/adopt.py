"""Moving house: all jobs in order of creation, and jobs of another engine stored as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...engine import kept_attempts
from ...job import Job, JobId
from .desk import jobs_from
from .intake import INLINE_BYTES, PAYLOAD, insert
from .rows import ADOPTED_COLUMNS, JOB_COLUMNS, adopted_row, encode

SCAN = f"SELECT {JOB_COLUMNS} FROM jobsworth_jobs WHERE seq > ? ORDER BY seq LIMIT ?"
ADOPT = insert(ADOPTED_COLUMNS)
# Their fences are below the one its next lease will have, in their order.
RECORD = (
    "INSERT INTO jobsworth_attempts (job, fence, record) SELECT seq, fence - ?, ? FROM jobsworth_jobs WHERE seq = ?"
)


def scan(connection: sqlite3.Connection, after: int, limit: int) -> tuple[list[Job], int]:
    """The next jobs in order of creation, and the place of the last."""
    rows = connection.execute(SCAN, (after, max(limit, 0))).fetchall()
    return jobs_from(connection, rows), rows[-1][0] if rows else after


def adopt(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[JobId]:
    """Store jobs that no worker holds; the ids of those that were not there."""
    return [job.id for job in jobs if _adopt_one(connection, job)]


def _adopt_one(connection: sqlite3.Connection, job: Job) -> bool:
    args = job.args if len(job.args) <= INLINE_BYTES else None
    done = connection.execute(ADOPT, adopted_row(job, args))
    if done.rowcount != 1:
        return False
    if args is None:
        connection.execute(PAYLOAD, (done.lastrowid, job.args))
    past = kept_attempts(job)
    records = [(len(past) - place, encode(each), done.lastrowid) for place, each in enumerate(past)]
    connection.executemany(RECORD, records)
    return True
