"""The operator's and the onlooker's verbs: move, delete, configure, find, queues, workers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ...engine import CARD_LEASES, QueueSettings, Where, WorkerCard
from ...job import FINAL, HELD, Attempt, Job, State
from ...lifecycle import Move, cancelled
from .life import FORGET, RECORD
from .logs import FORGET as FORGET_LOGS
from .rows import CODES, JOB_COLUMNS, STATES, encode, job_from
from .where import codes, condition, selection

KEY_TAKEN = (
    "SELECT 1 FROM jobsworth_jobs AS me, jobsworth_jobs AS other WHERE me.seq = ? AND me.key IS NOT NULL"
    " AND other.task = me.task AND other.key = me.key AND other.state < 4 AND other.seq <> me.seq"
)
REVIVE = (
    "UPDATE jobsworth_jobs SET state = ?1, errors = 0, crashes = 0, run_at = ?2, finished_at = NULL, updated_at = ?3,"
    " worker = NULL, started_at = NULL, progress = NULL, result = NULL, failure = NULL, cancel_asked = NULL,"
    # A moment to expire at that has passed would only end it again.
    " cancel_reason = NULL, cancel_grace = NULL, expires_at = CASE WHEN expires_at > ?2 THEN expires_at END,"
    " version = version + 1 WHERE seq = ?4"
)
ASK = (
    "UPDATE jobsworth_jobs SET state = 3, cancel_asked = 1, cancel_reason = coalesce(?, cancel_reason),"
    " cancel_grace = coalesce(?, cancel_grace), updated_at = ?, version = version + 1 WHERE seq = ?"
)
END = (
    "UPDATE jobsworth_jobs SET state = ?, cancel_asked = 1, cancel_reason = ?, finished_at = ?, updated_at = ?,"
    " failure = ?, version = version + 1 WHERE seq = ?"
)
READY = "UPDATE jobsworth_jobs SET state = ?, run_at = ?, updated_at = ?, version = version + 1 WHERE seq = ?"
RECORDS = "SELECT job, record FROM jobsworth_attempts WHERE job IN (SELECT value FROM json_each(?)) ORDER BY job, fence"
PAYLOADS = "SELECT seq, args FROM jobsworth_payloads WHERE seq IN (SELECT value FROM json_each(?))"


def move(connection: sqlite3.Connection, where: Where, change: Move, now: float) -> list[str]:
    """Apply a move to every matching job in one of its source states."""
    sources = f" AND state IN ({codes(tuple(change.to))})"
    sql, values = selection(where, now, "seq, id, state", sources)
    moved = []
    for seq, id_, code in connection.execute(sql, values).fetchall():
        if _move_one(connection, seq, STATES[code], change, now):
            moved.append(id_)
    return moved


def _move_one(connection: sqlite3.Connection, seq: int, source: State, change: Move, now: float) -> bool:
    target = change.to[source]
    if target is State.CANCELLING:
        connection.execute(ASK, (change.reason, change.grace, now, seq))
    elif target in FINAL:
        why = cancelled(change.reason)
        connection.execute(END, (CODES[target], change.reason, now, now, encode(why), seq))
    else:
        if source in FINAL and connection.execute(KEY_TAKEN, (seq,)).fetchone() is not None:
            return False  # one live job per key
        if change.delay > 0:
            target = State.SCHEDULED
        run_at = now + max(0.0, change.delay)
        if change.renews:
            if source is State.COMPLETED:
                _remember_success(connection, seq)
            connection.execute(REVIVE, (CODES[target], run_at, now, seq))
        else:
            connection.execute(READY, (CODES[target], run_at, now, seq))
    if change.args is not None:
        connection.execute("UPDATE jobsworth_jobs SET args = ? WHERE seq = ?", (change.args, seq))
        connection.execute("DELETE FROM jobsworth_payloads WHERE seq = ?", (seq,))
    return True


def _remember_success(connection: sqlite3.Connection, seq: int) -> None:
    """Write down the attempt that is otherwise read off the job, before the job forgets it."""
    fence, attempt, worker, started_at, finished_at = connection.execute(
        "SELECT fence, attempt, worker, started_at, finished_at FROM jobsworth_jobs WHERE seq = ?", (seq,)
    ).fetchone()
    record = Attempt(attempt, worker, started_at, finished_at, "succeeded")
    connection.execute(RECORD, (seq, fence, encode(record)))
    connection.execute(FORGET, (seq,))


def delete(connection: sqlite3.Connection, where: Where, now: float) -> int:
    """Delete matching jobs that no worker holds, with everything that belongs to them."""
    free = tuple(state for state in State if state not in HELD)
    sql, values = selection(where, now, "seq", f" AND state IN ({codes(free)})")
    seqs = [seq for (seq,) in connection.execute(sql, values)]
    if not seqs:
        return 0
    for table, column in (("attempts", "job"), ("payloads", "seq"), ("jobs", "seq")):
        connection.executemany(
            f"DELETE FROM jobsworth_{table} WHERE {column} = ?",
            [(seq,) for seq in seqs],
        )
    connection.execute(FORGET_LOGS, (_numbers(seqs),))
    return len(seqs)


def configure(connection: sqlite3.Connection, queue: str, settings: QueueSettings) -> None:
    """Keep what the store decides for a queue."""
    connection.execute("INSERT INTO jobsworth_queues (name) VALUES (?) ON CONFLICT DO NOTHING", (queue,))
    if settings.paused is not None:
        connection.execute("UPDATE jobsworth_queues SET paused = ? WHERE name = ?", (settings.paused, queue))


def find(connection: sqlite3.Connection, where: Where, now: float) -> list[Job]:
    """The matching jobs with their attempts."""
    sql, values = selection(where, now, JOB_COLUMNS)
    return jobs_from(connection, connection.execute(sql, values).fetchall())


def jobs_from(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> list[Job]:
    """Rows of JOB_COLUMNS with what else belongs to them."""
    if not rows:
        return []
    history: dict[int, list[str]] = {}
    for job, record in connection.execute(RECORDS, (_numbers(row[0] for row in rows),)):
        history.setdefault(job, []).append(record)
    apart = _numbers(row[0] for row in rows if row[-1] is None)
    payloads = dict(connection.execute(PAYLOADS, (apart,)).fetchall()) if apart != "[]" else {}
    return [
        job_from(row if row[-1] is not None else (*row[:-1], payloads.get(row[0])), history.get(row[0], []))
        for row in rows
    ]


def count(connection: sqlite3.Connection, where: Where, now: float) -> int:
    """How many match."""
    text, values = condition(where, now)
    (found,) = connection.execute(f"SELECT count(*) FROM jobsworth_jobs WHERE {text}", values).fetchone()
    return int(found)


def workers(connection: sqlite3.Connection, now: float) -> list[WorkerCard]:
    """Cards that have not run out."""
    rows = connection.execute(
        "SELECT card, started_at, beat_at FROM jobsworth_workers WHERE gone_at > ? ORDER BY started_at, id", (now,)
    )
    return [
        msgspec.structs.replace(card, started_at=started_at, beat=max(0.0, now - beat_at))
        for data, started_at, beat_at in rows
        if (card := _card(data)) is not None
    ]


def _card(data: bytes) -> WorkerCard | None:
    """A worker's card; a damaged one is nobody's, and its worker writes a new one at its next pulse."""
    try:
        return msgspec.json.decode(data, type=WorkerCard)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def keep_card(connection: sqlite3.Connection, card: WorkerCard, lease: float, now: float) -> None:
    """Store a worker's card until CARD_LEASES leases from now."""
    connection.execute(
        "INSERT INTO jobsworth_workers (id, card, started_at, beat_at, gone_at) VALUES (?1, ?2, ?3, ?3, ?4)"
        " ON CONFLICT (id) DO UPDATE SET card = ?2, beat_at = ?3, gone_at = ?4",
        (card.id, msgspec.json.encode(card), now, now + CARD_LEASES * lease),
    )


def _numbers(values: Iterable[int]) -> str:
    return f"[{','.join(map(str, values))}]"
