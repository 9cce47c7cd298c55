"""The operator's and the onlooker's verbs: move, delete, configure, find, workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg

from ...engine import QueueSettings, Where, WorkerCard
from ...job import HELD, Attempt, Job, State
from ...lifecycle import Move
from .rows import CODES, JOB_COLUMNS, STATES, attempt, job, text
from .where import codes, condition, selection

Ask = Callable[..., psycopg.Cursor[Any]]  # execute() on a connection, with @names filled in

MOVE = "SELECT @move(%s::bigint[], %s::smallint[], %s, %s, %s, %s, %s, %s)"
DELETE = (
    "WITH chosen AS MATERIALIZED ({}), gone AS (DELETE FROM @jobs AS job USING chosen WHERE job.seq = chosen.seq"
    " AND job.state NOT IN (2, 3) RETURNING job.seq),"
    " past AS (DELETE FROM @attempts WHERE job IN (SELECT seq FROM gone)),"
    " said AS (DELETE FROM @logs WHERE job IN (SELECT seq FROM gone)) SELECT count(*) FROM gone"
)
HISTORY = (
    "SELECT job, number, worker, started_at, finished_at, outcome, failure FROM @attempts"
    " WHERE job = ANY (%s::bigint[]) ORDER BY job, fence"
)
CONFIGURE = (
    "INSERT INTO @queues (name, paused) VALUES (%s, coalesce(%s, false))"
    " ON CONFLICT (name) DO UPDATE SET paused = coalesce(%s, @queues.paused)"
)
WORKERS = (
    "SELECT card, started_at, moment - beat_at FROM @workers, (SELECT @moment(%s) AS moment) AS clock"
    " WHERE gone_at > moment ORDER BY started_at, id"
)


def move(ask: Ask, where: Where, change: Move, test_now: float | None) -> list[str]:
    """Apply a move to every matching job in one of its source states. Needs a transaction."""
    sql, values = selection(where, test_now, "seq, id", f" AND state = ANY ('{{{codes(tuple(change.to))}}}')")
    ids = dict(ask(f"{sql} FOR UPDATE", values).fetchall())
    if not ids:
        return []
    targets = [CODES[change.to[state]] if state in change.to else None for state in STATES]
    why = None if change.reason is None else text(change.reason)
    moved = ask(
        MOVE, (list(ids), targets, change.renews, why, change.grace, float(change.delay), change.args, test_now)
    )
    return [ids[seq] for (seq,) in moved.fetchall()]


def delete(ask: Ask, where: Where, test_now: float | None) -> int:
    """Delete matching jobs that no worker holds, with everything that belongs to them."""
    free = tuple(state for state in State if state not in HELD)
    sql, values = selection(where, test_now, "seq", f" AND state = ANY ('{{{codes(free)}}}')")
    (gone,) = ask(DELETE.format(sql), values).fetchone() or (0,)
    return int(gone)


def configure(ask: Ask, queue: str, settings: QueueSettings) -> None:
    """Keep what the store decides for a queue."""
    ask(CONFIGURE, (text(queue), settings.paused, settings.paused))


def find(ask: Ask, where: Where, test_now: float | None) -> list[Job]:
    """The matching jobs with their attempts."""
    sql, values = selection(where, test_now, JOB_COLUMNS)
    return jobs_from(ask, ask(sql, values, binary=True).fetchall())


def jobs_from(ask: Ask, rows: Sequence[tuple[Any, ...]]) -> list[Job]:
    """Rows of JOB_COLUMNS with their attempts."""
    history: dict[int, list[Attempt]] = {}
    if rows:
        for seq, *record in ask(HISTORY, ([row[0] for row in rows],), binary=True).fetchall():
            history.setdefault(seq, []).append(attempt(tuple(record)))
    return [job(row, history.get(row[0], [])) for row in rows]


def count(ask: Ask, where: Where, test_now: float | None) -> int:
    """How many match."""
    clause, values = condition(where, test_now)
    (found,) = ask(f"SELECT count(*) FROM @jobs WHERE {clause}", values).fetchone() or (0,)
    return int(found)


def workers(ask: Ask, test_now: float | None) -> list[WorkerCard]:
    """Cards that have not run out."""
    return [
        msgspec.structs.replace(card, started_at=started_at, beat=max(0.0, beat))
        for data, started_at, beat in ask(WORKERS, (test_now,), binary=True).fetchall()
        if (card := _card(data)) is not None
    ]


def _card(data: bytes) -> WorkerCard | None:
    """A worker's card; a damaged one is nobody's, and its worker writes a new one at its next pulse."""
    try:
        return msgspec.json.decode(data, type=WorkerCard)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
