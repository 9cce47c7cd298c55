"""Queues in numbers, read off the jobs' own indexes; nothing is counted apart, so nothing can drift."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ...engine import RATE_WINDOW, Place, QueueStatus, WorkerCard
from ...job import JobId, State
from .desk import Ask, workers
from .rows import CODES, STATES, text

# Each partial index's own condition: a query that repeats it reads that index and nothing else.
READY, CRASHED, HELD, FINISHED = (
    "state = 1 AND crashes = 0",
    "state = 1 AND crashes > 0",
    "state IN (2, 3)",
    "state > 3",
)
GROUPS = ("state = 0", READY, CRASHED, HELD, FINISHED)
EXACT_BELOW = 10_000  # waiting jobs up to which the oldest is looked up among all of them
OLDEST = (
    "SELECT min(run_at) FROM (SELECT run_at FROM @jobs WHERE {group} AND queue = %s"
    f" ORDER BY (-priority::bigint), seq LIMIT {EXACT_BELOW}) AS line"
)

AHEAD = "SELECT count(*) FROM @jobs WHERE {group} AND queue = %s AND ((-priority::bigint), seq) < (%s, %s)"


def place(ask: Ask, job_id: JobId, test_now: float | None) -> Place | None:
    """Where a job stands."""
    sql = "SELECT @moment(%s), state, crashes, queue, -priority::bigint, seq FROM @jobs WHERE id = %s"
    row = ask(sql, (test_now, text(job_id))).fetchone()
    if row is None:
        return None
    now, code, crashes, *rank = row
    if code != CODES[State.QUEUED]:
        return Place(None, float(now))
    return Place(int(_one(ask(AHEAD.format(group=CRASHED if crashes else READY), rank))), float(now))


def queues(ask: Ask, names: Iterable[str] | None, test_now: float | None, *, brief: bool) -> list[QueueStatus]:
    """Each queue in numbers; those in use when no names are given."""
    cards = workers(ask, test_now)
    now = float(_one(ask("SELECT @moment(%s)", (test_now,))))
    paused = dict(ask("SELECT name, paused FROM @queues").fetchall())
    if names is None:
        found = set(paused) | {queue for card in cards for queue in card.queues} | _in_use(ask)
    else:
        found = {text(name) for name in names}
    look = _brief if brief else _whole
    return [look(ask, name, bool(paused.get(name)), cards, now) for name in sorted(found)]


def _one(cursor: Any) -> Any:
    return cursor.fetchone()[0]


def _in_use(ask: Ask) -> set[str]:
    """Names of queues that hold jobs: a hop per name along each index rather than a walk over every job."""
    found: set[str] = set()
    finals = [f"state > 3 AND state = {code}" for code in (4, 5, 6)]
    for group in (READY, CRASHED, *finals):
        name: str | None = ""
        while name is not None:
            name = _one(ask(f"SELECT min(queue) FROM @jobs WHERE {group} AND queue > %s", (name,)))
            if name is not None:
                found.add(name)
    for group in ("state = 0", HELD):
        found.update(queue for (queue,) in ask(f"SELECT DISTINCT queue FROM @jobs WHERE {group}").fetchall())
    return found


def _brief(ask: Ask, name: str, paused: bool, cards: list[WorkerCard], now: float) -> QueueStatus:
    mine = [card for card in cards if name in card.queues]
    return QueueStatus(
        queue=name,
        paused=paused,
        counts=_counts(ask, name, GROUPS[:-1]),
        oldest=_oldest(ask, name, now),
        slots=sum(card.queues[name] for card in mine),
        workers=len(mine),
    )


def _whole(ask: Ask, name: str, paused: bool, cards: list[WorkerCard], now: float) -> QueueStatus:
    mine = [card for card in cards if name in card.queues]
    arrived = _one(
        ask(
            "SELECT count(*) FROM @jobs WHERE seq >= @first_since(%s) AND queue = %s AND created_at >= %s",
            (now - RATE_WINDOW, name, now - RATE_WINDOW),
        )
    )
    ended = _one(
        ask(
            "SELECT count(*) FROM @jobs WHERE state > 3 AND state IN (4, 5, 6) AND queue = %s AND finished_at >= %s",
            (name, now - RATE_WINDOW),
        )
    )
    return msgspec.structs.replace(
        _brief(ask, name, paused, cards, now),
        counts=_counts(ask, name, GROUPS),
        in_rate=arrived,
        out_rate=ended,
        unroutable=_unroutable(ask, name, mine),
    )


def _counts(ask: Ask, queue: str, groups: Iterable[str]) -> dict[State, int]:
    counts: dict[State, int] = {}
    for group in groups:
        sql = f"SELECT state, count(*) FROM @jobs WHERE {group} AND queue = %s GROUP BY state"
        for code, number in ask(sql, (queue,)).fetchall():
            counts[STATES[code]] = counts.get(STATES[code], 0) + number
    return counts


def _oldest(ask: Ask, queue: str, now: float) -> float | None:
    """Seconds the longest-waiting queued job has been ready; among the next EXACT_BELOW ones when there are more."""
    found = [_one(ask(OLDEST.format(group=group), (queue,))) for group in (READY, CRASHED)]
    return max((max(0.0, now - moment) for moment in found if moment is not None), default=None)


def _unroutable(ask: Ask, queue: str, cards: list[WorkerCard]) -> dict[str, int]:
    """Queued jobs by task, of tasks that none of the queue's live workers knows."""
    if not cards:
        return {}
    known = sorted({text(task) for card in cards for task in card.tasks})
    found: dict[str, int] = {}
    for group in (READY, CRASHED):
        sql = (
            f"SELECT task, count(*) FROM @jobs WHERE {group} AND queue = %s AND task <> ALL (%s::text[]) GROUP BY task"
        )
        for task, number in ask(sql, (queue, known)).fetchall():
            found[task] = found.get(task, 0) + number
    return found
