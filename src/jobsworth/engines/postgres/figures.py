"""Queues in numbers, read off the jobs' own indexes; nothing is counted apart, so nothing can drift."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ...engine import RATE_WINDOW, Place, QueueStatus, WorkerCard
from ...job import JobId, State
from .desk import Ask, workers
from .rows import CODES, STATES, text, to_json

# Each partial index's own condition: a query that repeats it reads that index and nothing else.
READY, CRASHED, HELD, FINISHED = (
    "state = 1 AND crashes = 0",
    "state = 1 AND crashes > 0",
    "state IN (2, 3)",
    "state > 3",
)
GROUPS = ("state = 0", READY, CRASHED, HELD, FINISHED)
EXACT_BELOW = 10_000  # waiting jobs up to which the oldest is looked up among all of them
OLDEST = "SELECT least({}) AS at".format(
    ", ".join(
        f"(SELECT min(run_at) FROM (SELECT run_at FROM @jobs WHERE {group} AND queue = its.name"
        f" ORDER BY (-priority::bigint), seq LIMIT {EXACT_BELOW}) AS line)"
        for group in (READY, CRASHED)
    )
)
ARRIVED = "SELECT count(*) FROM @jobs WHERE seq >= @first_since(%s) AND queue = its.name AND created_at >= %s"
ENDED = "SELECT count(*) FROM @jobs WHERE state > 3 AND state IN (4, 5, 6) AND queue = its.name AND finished_at >= %s"
UNROUTABLE = (
    "SELECT its.name, found.* FROM json_to_recordset(%s::json) AS its (name text, known text[]) CROSS JOIN LATERAL ("
    + " UNION ALL ".join(
        f"SELECT task, count(*) FROM @jobs WHERE {group} AND queue = its.name AND task <> ALL (its.known) GROUP BY task"
        for group in (READY, CRASHED)
    )
    + ") AS found"
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
    """Each queue in numbers; those in use when no names are given. As many questions for many queues as for one:
    a worker that asks claims nothing meanwhile, and the server may be far away.
    """
    cards = workers(ask, test_now)
    now = float(_one(ask("SELECT @moment(%s)", (test_now,))))
    paused = dict(ask("SELECT name, paused FROM @queues").fetchall())
    if names is None:
        found = sorted(set(paused) | {queue for card in cards for queue in card.queues} | _in_use(ask))
    else:
        found = sorted({text(name) for name in names})
    counts = _counts(ask, found, GROUPS[:-1] if brief else GROUPS)
    oldest = dict(ask(_each(OLDEST), (found,)).fetchall())
    seen = []
    for name in found:
        mine = [card for card in cards if name in card.queues]
        status = QueueStatus(
            queue=name,
            paused=bool(paused.get(name)),
            counts=counts.get(name, {}),
            oldest=None if oldest[name] is None else max(0.0, now - oldest[name]),
            slots=sum(card.queues[name] for card in mine),
            workers=len(mine),
        )
        seen.append(status)
    return seen if brief else _with_rates(ask, seen, cards, now)


def _with_rates(ask: Ask, seen: list[QueueStatus], cards: list[WorkerCard], now: float) -> list[QueueStatus]:
    """What takes a longer look."""
    names, since = [status.queue for status in seen], now - RATE_WINDOW
    arrived = dict(ask(_each(ARRIVED), (names, since, since)).fetchall())
    ended = dict(ask(_each(ENDED), (names, since)).fetchall())
    strange = _unroutable(ask, names, cards)
    return [
        msgspec.structs.replace(
            status,
            in_rate=arrived[status.queue],
            out_rate=ended[status.queue],
            unroutable=strange.get(status.queue, {}),
        )
        for status in seen
    ]


def _each(look: str) -> str:
    """A look at one queue, its.name, done for each of an array of them, which is the statement's first value."""
    return f"SELECT its.name, found.* FROM unnest(%s::text[]) AS its (name) CROSS JOIN LATERAL ({look}) AS found"


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


def _counts(ask: Ask, names: list[str], groups: Iterable[str]) -> dict[str, dict[State, int]]:
    """Jobs by queue and state."""
    look = " UNION ALL ".join(
        f"SELECT state, count(*) FROM @jobs WHERE {group} AND queue = its.name GROUP BY state" for group in groups
    )
    counts: dict[str, dict[State, int]] = {}
    for name, code, number in ask(_each(look), (names,)).fetchall():
        mine = counts.setdefault(name, {})
        mine[STATES[code]] = mine.get(STATES[code], 0) + number
    return counts


def _unroutable(ask: Ask, names: list[str], cards: list[WorkerCard]) -> dict[str, dict[str, int]]:
    """Queued jobs by queue and task, of tasks that none of the queue's live workers knows."""
    known = [
        {"name": name, "known": sorted({text(task) for card in cards if name in card.queues for task in card.tasks})}
        for name in names
        if any(name in card.queues for card in cards)
    ]
    found: dict[str, dict[str, int]] = {}
    if known:
        for name, task, number in ask(UNROUTABLE, (to_json(known),)).fetchall():
            mine = found.setdefault(name, {})
            mine[task] = mine.get(task, 0) + number
    return found
