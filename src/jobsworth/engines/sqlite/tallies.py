"""How runs ended: counted by the statement that ends them, packed when their minute is over, read for charts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from ... import statistics
from ...statistics import BOUNDS, COMPLETED, HOUR, MINUTE, Entry, Key, Statistics, Sum, bucket
from .batch import numbers

MINUTES_AT_ONCE = 120  # minutes packed, or folded, by one tidy(): what is left waits for the next
_INTO = "INSERT INTO jobsworth_cells (minute, queue, task, ending, run, wait, runs, busy)"
_OR_ADD = " ON CONFLICT DO UPDATE SET runs = runs + excluded.runs, busy = busy + excluded.busy"
# CROSS JOIN: the rows are found by the numbers, not the numbers by the rows.
_THOSE = "FROM json_each(?1) AS each CROSS JOIN jobsworth_jobs WHERE seq = each.value"
_IN_A_ROW = "FROM jobsworth_jobs WHERE seq BETWEEN ?1 AND ?3"
# Jobs that end together have mostly begun together too, and then they stand one behind the other. To look whether they
# fall into one cell takes a third of the time that it takes to sort them into cells; in a row, half of that.
_ALIKE = (
    "SELECT count(*), count(started_at), count(run_at), min(queue), max(queue), min(task), max(task),"
    " ?2 - max(started_at), ?2 - min(started_at), min(started_at - run_at), max(started_at - run_at),"
    " sum(?2 - started_at) "
)
ALIKE, ALIKE_IN_A_ROW = _ALIKE + _THOSE, _ALIKE + _IN_A_ROW


def _bucket(seconds: str, low: int = 0, high: int = len(BOUNDS)) -> str:
    """SQL for the bucket of a duration, by halving."""
    if low == high:
        return str(low)
    middle = (low + high) // 2
    below, above = _bucket(seconds, low, middle), _bucket(seconds, middle + 1, high)
    return f"iif({seconds} < {BOUNDS[middle]!r}, {below}, {above})"


COUNT_COMPLETED = (
    f"{_INTO} SELECT ?3, queue, task, {COMPLETED}, {_bucket('coalesce(?2 - started_at, 0)')} AS run,"
    f" {_bucket('coalesce(started_at - run_at, 0)')} AS wait, count(*), sum(max(0, coalesce(?2 - started_at, 0)))"
    f" {_THOSE} GROUP BY queue, task, run, wait{_OR_ADD}"
)
COUNT = f"{_INTO} VALUES (?, ?, ?, ?, ?, ?, ?, ?){_OR_ADD}"
CELLS = (
    "SELECT minute, queue, task, ending, run, wait, runs, busy FROM jobsworth_cells WHERE minute >= ? AND minute < ?"
)
OVER = "SELECT DISTINCT minute FROM jobsworth_cells WHERE minute < ? ORDER BY minute LIMIT ?"
ENTRIES = "SELECT minute, length, queue, task, totals FROM jobsworth_statistics WHERE length = ? AND minute >= ?"
OLD = "SELECT DISTINCT minute FROM jobsworth_statistics WHERE length = ? AND minute < ? ORDER BY minute LIMIT ?"
ONE = "SELECT totals FROM jobsworth_statistics WHERE minute = ? AND length = ? AND queue = ? AND task = ?"
KEEP = "INSERT OR REPLACE INTO jobsworth_statistics (minute, length, queue, task, totals) VALUES (?, ?, ?, ?, ?)"
NOTE = KEEP.replace("REPLACE", "IGNORE")


def count_completed(connection: sqlite3.Connection, seqs: Sequence[int], now: float) -> None:
    """These jobs, each named once, have just been written down as completed."""
    first, last, minute = min(seqs), max(seqs), statistics.minute_of(now)
    if last - first + 1 == len(seqs):
        found = connection.execute(ALIKE_IN_A_ROW, (first, now, last))
    else:
        found = connection.execute(ALIKE, (numbers(seqs), now))
    (runs, begun, due, queue, last_queue, task, last_task, shortest, longest, least, most, busy) = found.fetchone()
    if runs == begun == due and queue == last_queue and task == last_task and shortest >= 0:
        run, wait = bucket(shortest), bucket(least)
        if bucket(longest) == run and bucket(most) == wait:
            connection.execute(COUNT, (minute, queue, task, COMPLETED, run, wait, runs, busy))
            return
    connection.execute(COUNT_COMPLETED, (numbers(seqs), now, minute))


def count(
    connection: sqlite3.Connection,
    queue: str,
    task: str,
    end: int,
    started_at: float | None,
    run_at: float | None,
    now: float,
) -> None:
    """One run is being written down as ended."""
    started = now if started_at is None else started_at
    waited = 0.0 if run_at is None else started - run_at
    connection.execute(COUNT, statistics.cell(statistics.minute_of(now), queue, task, end, now - started, waited))


def told(
    connection: sqlite3.Connection, now: float, since: float, step: float, queue: str | None, task: str | None
) -> Statistics:
    """See Engine.statistics()."""
    entries = _entries(connection, statistics.first_minute(now, since, step), queue, task)
    return statistics.told(entries, now, since, step)


def _entries(connection: sqlite3.Connection, first: int, queue: str | None, task: str | None) -> Iterator[Entry]:
    terms, values = "", []
    for column, value in (("queue", queue), ("task", task)):
        if value is not None:
            terms += f" AND {column} = ?"
            values.append(value)
    for length in (MINUTE, HOUR):
        for row in connection.execute(ENTRIES + terms, (length, first, *values)):
            yield _entry(row)
    cells = connection.execute(CELLS + terms, (first, 1 << 62, *values))
    for key, total in statistics.totals(cells).items():
        yield (*key, total)


def _entry(row: tuple[int, int, str, str, bytes]) -> Entry:
    minute, length, queue, task, totals = row
    return minute, length, queue, task, statistics.unpacked(totals)


def due(connection: sqlite3.Connection, looks: dict[str, Sum], now: float) -> bool:
    """True if there is something to note or to tidy up."""
    minute = statistics.minute_of(now)
    if any(connection.execute(ONE, _place(queue, minute)).fetchone() is None for queue in looks):
        return True
    return any(connection.execute(sql, values).fetchone() for sql, values in (
        (OVER, (minute, 1)),
        (OLD, (MINUTE, statistics.fold_before(now), 1)),
        (OLD, (HOUR, statistics.drop_before(now), 1)),
    ))  # fmt: skip


def _place(queue: str, minute: int) -> Key:
    return minute, MINUTE, queue, statistics.QUEUE


def note(connection: sqlite3.Connection, looks: dict[str, Sum], now: float) -> None:
    """How full queues stand, once in every minute."""
    minute = statistics.minute_of(now)
    connection.executemany(NOTE, [(*_place(queue, minute), seen.packed()) for queue, seen in looks.items()])


def tidy(connection: sqlite3.Connection, now: float) -> None:
    """Pack the minutes that are over, fold those of long ago into hours, drop what is too old."""
    for (minute,) in connection.execute(OVER, (statistics.minute_of(now), MINUTES_AT_ONCE)).fetchall():
        cells = connection.execute(CELLS, (minute, minute + 1)).fetchall()
        _add(connection, statistics.totals(cells))
        connection.execute("DELETE FROM jobsworth_cells WHERE minute = ?", (minute,))
    for (minute,) in connection.execute(OLD, (MINUTE, statistics.fold_before(now), MINUTES_AT_ONCE)).fetchall():
        rows = connection.execute(f"{ENTRIES} AND minute < ?", (MINUTE, minute, minute + 1)).fetchall()
        _add(connection, statistics.folded(map(_entry, rows)))
        _forget(connection, MINUTE, minute + 1)
    _forget(connection, HOUR, statistics.drop_before(now))


def _add(connection: sqlite3.Connection, totals: dict[Key, Sum]) -> None:
    for key, total in totals.items():
        there = connection.execute(ONE, key).fetchone()
        if there is not None:
            total.add(statistics.unpacked(there[0]))
        connection.execute(KEEP, (*key, total.packed()))


def _forget(connection: sqlite3.Connection, length: int, before: int) -> None:
    connection.execute("DELETE FROM jobsworth_statistics WHERE length = ? AND minute < ?", (length, before))
