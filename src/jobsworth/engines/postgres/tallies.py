"""How runs ended: counted by @settle, packed when their minute is over, read for charts."""

from __future__ import annotations

from collections.abc import Iterator

from ... import statistics
from ...statistics import HOUR, MINUTE, Entry, Key, Statistics, Sum
from .desk import Ask
from .rows import text

MINUTES_AT_ONCE = 120  # minutes folded by one tidy(): what is left waits for the next
NOW = "SELECT @moment(%s)"
# Cells are read and taken out by one worker at a time; whoever finds another at it has nothing to do.
ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('@cells', 0))"
CELLS = (
    "SELECT minute, queue, task, ending, run, wait, sum(runs)::bigint, sum(busy) FROM {} WHERE {}"
    " GROUP BY 1, 2, 3, 4, 5, 6"
)
OVER = f"WITH gone AS (DELETE FROM @cells WHERE minute < %s RETURNING *) {CELLS.format('gone', 'true')}"
ENTRIES = "SELECT minute, length, queue, task, totals FROM @statistics WHERE length = %s AND minute >= %s"
THERE = "SELECT minute, length, queue, task, totals FROM @statistics WHERE length = %s AND minute = ANY (%s::integer[])"
OLD = (
    "DELETE FROM @statistics WHERE length = %s AND minute IN (SELECT DISTINCT minute FROM @statistics"
    " WHERE length = %s AND minute < %s ORDER BY minute LIMIT %s) RETURNING minute, length, queue, task, totals"
)
KEEP = (
    "INSERT INTO @statistics (minute, length, queue, task, totals)"
    " SELECT * FROM unnest(%s::integer[], %s::integer[], %s::text[], %s::text[], %s::text[])"
    " ON CONFLICT (length, minute, queue, task) DO UPDATE SET totals = excluded.totals"
)
NOTE = KEEP[: KEEP.index("DO UPDATE")] + "DO NOTHING"
DROP = "DELETE FROM @statistics WHERE length = %s AND minute < %s"


def told(
    ask: Ask, since: float, step: float, queue: str | None, task: str | None, test_now: float | None
) -> Statistics:
    """See Engine.statistics()."""
    now = _now(ask, test_now)
    entries = _entries(ask, statistics.first_minute(now, since, step), queue, task)
    return statistics.told(entries, now, since, step)


def _entries(ask: Ask, first: int, queue: str | None, task: str | None) -> Iterator[Entry]:
    terms, values = "", []
    for column, value in (("queue", queue), ("task", task)):
        if value is not None:
            terms += f" AND {column} = %s"
            values.append(text(value))
    for length in (MINUTE, HOUR):
        yield from map(_entry, ask(ENTRIES + terms, (length, first, *values)).fetchall())
    cells = ask(CELLS.format("@cells", f"minute >= %s{terms}"), (first, *values)).fetchall()
    for key, total in statistics.totals(cells).items():
        yield (*key, total)


def _entry(row: tuple[int, int, str, str, str]) -> Entry:
    minute, length, queue, task, totals = row
    return minute, length, queue, task, statistics.unpacked(totals)


def note(ask: Ask, looks: dict[str, Sum], test_now: float | None) -> None:
    """How full queues stand, once in every minute."""
    if looks:
        minute = statistics.minute_of(_now(ask, test_now))
        _write(ask, NOTE, {(minute, MINUTE, text(queue), statistics.QUEUE): seen for queue, seen in looks.items()})


def tidy(ask: Ask, test_now: float | None) -> None:
    """Pack the minutes that are over, fold those of long ago into hours, drop what is too old. Needs a transaction."""
    (alone,) = ask(ALONE).fetchone() or (False,)
    if not alone:
        return
    now = _now(ask, test_now)
    _add(ask, MINUTE, statistics.totals(ask(OVER, (statistics.minute_of(now),)).fetchall()))
    old = ask(OLD, (MINUTE, MINUTE, statistics.fold_before(now), MINUTES_AT_ONCE)).fetchall()
    _add(ask, HOUR, statistics.folded(map(_entry, old)))
    ask(DROP, (HOUR, statistics.drop_before(now)))


def _add(ask: Ask, length: int, totals: dict[Key, Sum]) -> None:
    if not totals:
        return
    there = ask(THERE, (length, sorted({key[0] for key in totals}))).fetchall()
    for minute, length_, queue, task, before in map(_entry, there):
        total = totals.get((minute, length_, queue, task))
        if total is not None:
            total.add(before)
    _write(ask, KEEP, totals)


def _write(ask: Ask, sql: str, totals: dict[Key, Sum]) -> None:
    # Sorted, so that two that write do not wait for each other.
    rows = [(*key, totals[key].packed().decode()) for key in sorted(totals)]
    ask(sql, [list(column) for column in zip(*rows, strict=True)])


def _now(ask: Ask, test_now: float | None) -> float:
    (now,) = ask(NOW, (test_now,)).fetchone() or (0.0,)
    return float(now)
