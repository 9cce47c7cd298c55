"""What runs have logged: kept in a table of its own, which costs jobs that log nothing nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from ...engine import Pulse
from ...job import Lease, LogLine
from ...lifecycle import Settlement
from ...logged import KEPT, RUNS, Chunk, Head, Logged, packed, place_for, unpacked
from ...logged import told as told_of

HELD = "SELECT attempt, started_at FROM jobsworth_jobs WHERE seq = ? AND fence = ? AND state > 1 AND state < 4"
NEWEST = "SELECT place, run, base, fence, last FROM jobsworth_logs WHERE job = ? ORDER BY place DESC LIMIT 1"
KEEP = (
    "INSERT INTO jobsworth_logs (job, place, run, base, fence, last, first, attempt, began, lines)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
TOO_MUCH = "DELETE FROM jobsworth_logs WHERE job = ? AND place > ? AND place <= ?"
TOO_OLD = "DELETE FROM jobsworth_logs WHERE job = ? AND run <= ?"
TELL = (
    "SELECT place, run, base, fence, last, first, attempt, began, lines FROM jobsworth_logs"
    " WHERE job = (SELECT seq FROM jobsworth_jobs WHERE id = ?) AND place > ? ORDER BY place DESC LIMIT ?"
)
FORGET = "DELETE FROM jobsworth_logs WHERE job IN (SELECT value FROM json_each(?))"


def keep(connection: sqlite3.Connection, said: Iterable[Pulse | Settlement], now: float) -> None:
    """Keep the lines that come with these, of leases that hold. Before an ending gives its lease up."""
    for each in said:
        if each.lines:
            _keep(connection, each.lease, each.lines, now)


def _keep(connection: sqlite3.Connection, lease: Lease, lines: tuple[LogLine, ...], now: float) -> None:
    held = connection.execute(HELD, (lease.row, lease.fence)).fetchone()
    if held is None:
        return
    attempt, began = held
    row = connection.execute(NEWEST, (lease.row,)).fetchone()
    newest = None if row is None else Head(*row)
    found = place_for(newest, lease.fence, lines[0].number, lines[-1].number)
    if found is None:
        return
    head, first = found
    where = (lease.row, head.place, head.run, head.base, head.fence, head.last)
    connection.execute(KEEP, (*where, first, attempt, now if began is None else began, packed(lines)))
    if head.place - head.base > KEPT:
        connection.execute(TOO_MUCH, (lease.row, head.base, head.place - KEPT))
    if newest is not None and newest.run < head.run > RUNS:
        connection.execute(TOO_OLD, (lease.row, head.run - RUNS))


def told(connection: sqlite3.Connection, job_id: str, after: int, limit: int | None) -> list[Logged]:
    """See Engine.logs()."""
    return told_of(_newest_first(connection, job_id, after, limit), after, limit)


def _newest_first(connection: sqlite3.Connection, job_id: str, after: int, limit: int | None) -> Iterator[Chunk]:
    # Each chunk has a line to tell, or more.
    for *head, first, attempt, began, text in connection.execute(TELL, (job_id, after, -1 if limit is None else limit)):
        where = Head(*head)
        yield Chunk(where, first, attempt, began, unpacked(text, where.last))
