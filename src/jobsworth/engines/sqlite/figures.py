"""Queues in numbers, read off the jobs' own indexes; nothing is counted apart, so nothing can drift."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from ...engine import RATE_WINDOW, Place, QueueStatus, WorkerCard
from ...job import JobId, State, storable
from .desk import workers
from .rows import CODES, STATES, as_json_list

# Each partial index's own condition: a query that repeats it reads that index and nothing else.
READY, CRASHED = "state = 1 AND crashes = 0", "state = 1 AND crashes > 0"
GROUPS = ("state = 0", READY, CRASHED, "state > 1 AND state < 4", "state > 3")
EXACT_BELOW = 10_000  # waiting jobs up to which the oldest is looked up among all of them
OLDEST = (
    "SELECT min(run_at) FROM (SELECT run_at FROM jobsworth_jobs WHERE {group} AND queue = ?"
    f" ORDER BY priority DESC, seq LIMIT {EXACT_BELOW})"
)

# Two ranges of the line's own index: SQLite would walk all of it for "higher, or as high and older".
AHEAD = (
    "SELECT (SELECT count(*) FROM jobsworth_jobs WHERE {group} AND queue = ?1 AND priority > ?2)"
    " + (SELECT count(*) FROM jobsworth_jobs WHERE {group} AND queue = ?1 AND priority = ?2 AND seq < ?3)"
)


def place(connection: sqlite3.Connection, job_id: JobId, now: float) -> Place | None:
    """Where a job stands."""
    row = connection.execute(
        "SELECT state, crashes, queue, priority, seq FROM jobsworth_jobs WHERE id = ?", (storable(job_id),)
    ).fetchone()
    if row is None:
        return None
    code, crashes, *rank = row
    if code != CODES[State.QUEUED]:
        return Place(None, now)
    (ahead,) = connection.execute(AHEAD.format(group=CRASHED if crashes else READY), rank).fetchone()
    return Place(int(ahead), now)


def queues(
    connection: sqlite3.Connection, names: Iterable[str] | None, now: float, *, brief: bool
) -> list[QueueStatus]:
    """Each queue in numbers; those in use when no names are given."""
    cards = workers(connection, now)
    paused = dict(connection.execute("SELECT name, paused FROM jobsworth_queues").fetchall())
    if names is None:
        found = set(paused) | {queue for card in cards for queue in card.queues} | _in_use(connection)
    else:
        found = set(names)
    look = _brief if brief else _whole
    return [look(connection, name, bool(paused.get(name)), cards, now) for name in sorted(found)]


def _in_use(connection: sqlite3.Connection) -> set[str]:
    """Names of queues that hold jobs: a hop per name along each index rather than a walk over every job."""
    found: set[str] = set()
    finals = [f"state > 3 AND state = {code}" for code in (4, 5, 6)]
    for group in (READY, CRASHED, *finals):
        name: str | None = ""
        while name is not None:
            (name,) = connection.execute(
                f"SELECT min(queue) FROM jobsworth_jobs WHERE {group} AND queue > ?",
                (name,),
            ).fetchone()
            if name is not None:
                found.add(name)
    for group in ("state = 0", "state > 1 AND state < 4"):
        rows = connection.execute(f"SELECT DISTINCT queue FROM jobsworth_jobs WHERE {group}")
        found.update(queue for (queue,) in rows)
    return found


def _brief(connection: sqlite3.Connection, name: str, paused: bool, cards: list[WorkerCard], now: float) -> QueueStatus:
    mine = [card for card in cards if name in card.queues]
    return QueueStatus(
        queue=name,
        paused=paused,
        counts=_counts(connection, name, GROUPS[:-1]),
        oldest=_oldest(connection, name, now),
        slots=sum(card.queues[name] for card in mine),
        workers=len(mine),
    )


def _whole(connection: sqlite3.Connection, name: str, paused: bool, cards: list[WorkerCard], now: float) -> QueueStatus:
    mine = [card for card in cards if name in card.queues]
    (arrived,) = connection.execute(
        "SELECT count(*) FROM jobsworth_jobs WHERE seq >= ? AND queue = ? AND created_at >= ?",
        (_first_since(connection, now - RATE_WINDOW), name, now - RATE_WINDOW),
    ).fetchone()
    return msgspec.structs.replace(
        _brief(connection, name, paused, cards, now),
        counts=_counts(connection, name, GROUPS),
        in_rate=arrived,
        out_rate=_ended(connection, name, now - RATE_WINDOW),
        unroutable=_unroutable(connection, name, mine),
    )


def _ended(connection: sqlite3.Connection, queue: str, since: float) -> int:
    total = 0
    for code in (4, 5, 6):
        (number,) = connection.execute(
            "SELECT count(*) FROM jobsworth_jobs WHERE state > 3 AND state = ? AND queue = ? AND finished_at >= ?",
            (code, queue, since),
        ).fetchone()
        total += number
    return total


def _counts(connection: sqlite3.Connection, queue: str, groups: Iterable[str]) -> dict[State, int]:
    counts: dict[State, int] = {}
    for group in groups:
        for code, number in connection.execute(
            f"SELECT state, count(*) FROM jobsworth_jobs WHERE {group} AND queue = ? GROUP BY state",
            (queue,),
        ):
            # A code that means nothing is a damaged row; find() shows it as a dead letter, so it is counted as one.
            state = STATES[code] if code in range(len(STATES)) else State.FAILED
            counts[state] = counts.get(state, 0) + number
    return counts


def _oldest(connection: sqlite3.Connection, queue: str, now: float) -> float | None:
    """Seconds the longest-waiting queued job has been ready; among the next EXACT_BELOW ones when there are more."""
    found = [connection.execute(OLDEST.format(group=group), (queue,)).fetchone()[0] for group in (READY, CRASHED)]
    waits = [max(0.0, now - moment) for moment in found if moment is not None]
    return max(waits, default=None)


def _first_since(connection: sqlite3.Connection, moment: float) -> int:
    """The first row created at or after a moment, by halving: rows are numbered in the order they came."""
    low, high = connection.execute(
        "SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) + 1 FROM jobsworth_jobs"
    ).fetchone()
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT seq, created_at FROM jobsworth_jobs WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
        ).fetchone()
        if row is None or row[1] >= moment:
            high = middle
        else:
            low = int(row[0]) + 1
    return int(low)


def _unroutable(connection: sqlite3.Connection, queue: str, cards: list[WorkerCard]) -> dict[str, int]:
    """Queued jobs by task, of tasks that none of the queue's live workers knows."""
    if not cards:
        return {}
    known = as_json_list(tuple(sorted({task for card in cards for task in card.tasks})))
    found: dict[str, int] = {}
    for group in (READY, CRASHED):
        for task, number in connection.execute(
            f"SELECT task, count(*) FROM jobsworth_jobs WHERE {group} AND queue = ?"
            " AND task NOT IN (SELECT value FROM json_each(?)) GROUP BY task",
            (queue, known),
        ):
            found[task] = found.get(task, 0) + number
    return found
