"""The life of a running job: turn, pulse, hear, reclaim. Every write here is fenced by the lease."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from ... import statistics
from ...engine import HISTORY, Heard, Pulse, Turn, Want
from ...job import FINAL, PENDING, Attempt, CancelRequest, Claim, Lease, State
from ...lifecycle import Settlement, cancelled
from . import logs, tallies
from .batch import LARGE, endings, fetch, numbers
from .intake import store
from .rows import CLAIM_COLUMNS, CODES, MORE_COLUMNS, encode, full_claim, plain_claim

PROMOTE = 1000  # scheduled jobs made ready per turn, so that a million due at once hold nobody up

NEXT_DUE = "SELECT run_at FROM jobsworth_jobs WHERE state = 0 AND run_at IS NOT NULL ORDER BY run_at LIMIT 1"
PROMOTION = (
    "UPDATE jobsworth_jobs SET state = 1, version = version + 1, updated_at = ?1 WHERE seq IN"
    f" (SELECT seq FROM jobsworth_jobs WHERE state = 0 AND run_at <= ?1 ORDER BY run_at LIMIT {PROMOTE})"
)
LOOK = f"SELECT ({NEXT_DUE}), (SELECT json_group_array(name) FROM jobsworth_queues WHERE paused)"
MORE = f"SELECT {MORE_COLUMNS} FROM jobsworth_jobs WHERE seq = ?"
# The common ending, made as narrow as it can be: success without anything else to say.
# Each ending is [seq, fence, result].
SUCCESS = (
    "UPDATE jobsworth_jobs SET state = 4, result = CAST(ending.value ->> 2 AS BLOB), finished_at = ?2, updated_at = ?2,"
    " lease_until = NULL, failure = NULL, version = version + 1 FROM json_each(?1) AS ending"
    " WHERE seq = ending.value ->> 0 AND fence = ending.value ->> 1 AND state > 1 AND state < 4"
)
HELD_ROW = (
    "SELECT state, attempt, worker, started_at, cancel_reason, queue, task, run_at FROM jobsworth_jobs"
    " WHERE seq = ? AND fence = ? AND state > 1 AND state < 4"
)
ENDING = (
    "UPDATE jobsworth_jobs SET state = ?, attempt = attempt - ?, errors = errors + ?, crashes = crashes + ?,"
    " run_at = coalesce(?, run_at), started_at = ?, finished_at = ?, updated_at = ?, lease_until = NULL, worker = ?,"
    " progress = coalesce(?, progress), result = ?, failure = coalesce(?, failure), version = version + 1"
    " WHERE seq = ? AND fence = ?"
)
RECORD = "INSERT OR REPLACE INTO jobsworth_attempts (job, fence, record) VALUES (?, ?, ?)"
FORGET = (
    "DELETE FROM jobsworth_attempts WHERE job = ?1 AND fence <="
    f" (SELECT fence FROM jobsworth_attempts WHERE job = ?1 ORDER BY fence DESC LIMIT 1 OFFSET {HISTORY})"
)
RENEW = "UPDATE jobsworth_jobs SET lease_until = ? WHERE seq = ? AND fence = ? AND state > 1 AND state < 4"
TELL = (
    "UPDATE jobsworth_jobs SET lease_until = ?, progress = ?, updated_at = ?, version = version + 1"
    " WHERE seq = ? AND fence = ? AND state > 1 AND state < 4"
)
STILL = "SELECT 1 FROM jobsworth_jobs WHERE seq = ? AND fence = ? AND state > 1 AND state < 4"
ASKED = (
    "SELECT seq, fence, id, cancel_reason, cancel_grace FROM jobsworth_jobs WHERE state > 1 AND state < 4 AND state = 3"
)
# A held job without a moment is damaged: whoever had it cannot keep it.
RAN_OUT = "state > 1 AND state < 4 AND (lease_until IS NULL OR lease_until <= ?)"
EXPIRED = f"SELECT 1 FROM jobsworth_jobs WHERE {RAN_OUT} LIMIT 1"
TAKE_OVER = (
    "UPDATE jobsworth_jobs SET fence = fence + 1, lease_until = ? WHERE seq IN (SELECT seq FROM jobsworth_jobs"
    f" WHERE {RAN_OUT} ORDER BY lease_until LIMIT ?) RETURNING {CLAIM_COLUMNS}"
)

TAKE = (
    "UPDATE jobsworth_jobs SET state = 2, attempt = attempt + 1, fence = fence + 1, worker = ?1, lease_until = ?2,"
    " started_at = ?3, updated_at = ?3, progress = NULL, version = version + 1"
    " WHERE seq IN (SELECT value FROM json_each(?4))"
)


_COMPLETED = State.COMPLETED  # an enum's members take their time to be looked up


class TooLate(Exception):
    """Some ending of a batch came after its lease was lost: roll back, and write them one by one."""


@functools.cache
def _next_in_line(crashed: bool, tasks: int) -> str:
    """Jobs as they will be once taken, by CLAIM_COLUMNS."""
    return (
        "SELECT seq, id, fence + 1 AS fence, task, args, attempt + 1 AS attempt, errors, crashes, max_attempts,"
        f" priority, more FROM jobsworth_jobs WHERE state = 1 AND crashes {'>' if crashed else '='} 0 AND queue = ?"
        f" AND task IN ({_marks(tasks)}) ORDER BY priority DESC, seq LIMIT ?"
    )


@functools.cache
def _any_ready(tasks: int) -> str:
    one = "EXISTS (SELECT 1 FROM jobsworth_jobs WHERE state = 1 AND crashes {} 0 AND queue = ? AND task IN ({}))"
    return f"SELECT {one.format('=', _marks(tasks))}, {one.format('>', _marks(tasks))}"


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def something_to_do(connection: sqlite3.Connection, want: Sequence[Want], now: float) -> tuple[bool, float | None]:
    """Without taking the write lock: may a claim find anything? And the seconds until the next job is due."""
    row = connection.execute(NEXT_DUE).fetchone()
    due = None if row is None else max(0.0, row[0] - now)
    if due == 0.0:
        return True, due
    for each in want:
        statement = _any_ready(len(each.tasks))
        fresh, crashed = connection.execute(statement, (each.queue, *each.tasks) * 2).fetchone()
        if fresh or (crashed and each.crashed):
            return True, due
    return False, due


def turn(
    connection: sqlite3.Connection,
    worker: str,
    settlements: Sequence[Settlement],
    want: Sequence[Want],
    lease: float,
    now: float,
    *,
    one_by_one: bool = False,
) -> Turn:
    """Write down the endings, then claim. Raises TooLate, unless one by one: then the answer names what was refused."""
    refused = _settle(connection, settlements, now, one_by_one) if settlements else []
    next_due, names = connection.execute(LOOK).fetchone()
    if next_due is not None and next_due <= now:
        connection.execute(PROMOTION, (now,))
        next_due, names = connection.execute(LOOK).fetchone()
    due = None if next_due is None else max(0.0, next_due - now)
    paused = () if names == "[]" else json.loads(names)
    claims: list[Claim] = []
    for each in want:
        if each.queue not in paused and each.limit > 0:
            # One job that took a process down per turn, whichever queue it comes from.
            crashed = each.crashed and not any(claim.crashes for claim in claims)
            claims += _claim(connection, worker, each, crashed, lease, now)
    return Turn(claims, refused, due)


def _claim(
    connection: sqlite3.Connection, worker: str, want: Want, with_crashed: bool, lease: float, now: float
) -> list[Claim]:
    found: list[tuple[Any, ...]] = []
    if with_crashed:
        found = fetch(connection, _next_in_line(True, len(want.tasks)), (want.queue, *want.tasks, 1))
    room = want.limit - len(found)
    found += fetch(connection, _next_in_line(False, len(want.tasks)), (want.queue, *want.tasks, room))
    if not found:
        return []
    connection.execute(TAKE, (worker, now + lease, now, numbers(row[0] for row in found)))
    found.sort(key=_line)
    return [
        # Column 4: arguments, None if they are kept apart. Column 10: more.
        plain_claim(row, want.queue) if row[10] is None and row[4] is not None else _whole_claim(connection, row, now)
        for row in found
    ]


def _line(row: tuple[Any, ...]) -> tuple[int, int]:
    """A job's place in line, from CLAIM_COLUMNS."""
    return -row[9], row[0]


def _whole_claim(
    connection: sqlite3.Connection, row: tuple[Any, ...], now: float, *, taken_over: bool = False
) -> Claim:
    return full_claim(row, connection.execute(MORE, (row[0],)).fetchone(), now, taken_over=taken_over)


def _settle(
    connection: sqlite3.Connection, settlements: Sequence[Settlement], now: float, one_by_one: bool
) -> list[str]:
    """Write endings; returns the ids whose lease was lost. Raises TooLate if those of a batch cannot be told apart."""
    logs.keep(connection, settlements, now)
    others = settlements
    if not one_by_one:
        plain, others = _sorted_out(settlements)
        text = endings(plain)
        if text is None:
            others = settlements
        elif plain:
            if connection.execute(SUCCESS, (text, now)).rowcount != len(plain):
                raise TooLate
            tallies.count_completed(connection, [each.lease.row for each in plain], now)
    reached = [_write(connection, each, now) for each in others]
    for each, target in zip(others, reached, strict=True):  # which keys are free depends on all that have ended
        _send_on(connection, each, target, now)
    return [each.lease.job_id for each, target in zip(others, reached, strict=True) if target is None]


def _sorted_out(settlements: Sequence[Settlement]) -> tuple[Sequence[Settlement], Sequence[Settlement]]:
    """The plain ones, and the others."""
    plain = [each for each in settlements if _is_plain(each)]
    if len(plain) == len(settlements):
        return plain, ()
    return plain, [each for each in settlements if not _is_plain(each)]


def _is_plain(ending: Settlement) -> bool:
    return (
        ending.target is _COMPLETED
        and ending.progress is None
        and ending.forward is None
        and (ending.result is None or len(ending.result) <= LARGE)
    )


def settle_one(connection: sqlite3.Connection, ending: Settlement, now: float) -> bool:
    """Write one ending. False if its lease was lost."""
    target = _write(connection, ending, now)
    _send_on(connection, ending, target, now)
    return target is not None


def _write(connection: sqlite3.Connection, ending: Settlement, now: float) -> State | None:
    """Write one ending; the state that the job is in then. None if its lease was lost."""
    lease = ending.lease
    row = connection.execute(HELD_ROW, (lease.row, lease.fence)).fetchone()
    if row is None:
        return None
    code, attempt, worker, started_at, cancel_reason, queue, task, run_at = row
    target = ending.if_cancelling if code == CODES[State.CANCELLING] else ending.target
    outcome = ending.outcome
    tallies.count(connection, queue, task, statistics.end_of(outcome, target), started_at, run_at, now)
    final = target in FINAL
    if outcome != "succeeded":
        record = Attempt(attempt, worker, started_at, now, outcome, ending.failure)
        connection.execute(RECORD, (lease.row, lease.fence, encode(record)))
        connection.execute(FORGET, (lease.row,))
    failure = ending.failure
    if failure is None and target is State.CANCELLED:
        failure = cancelled(cancel_reason)
    connection.execute(
        ENDING,
        (
            CODES[target], int(ending.refund), ending.errors, ending.crashes,
            now + max(0.0, ending.delay) if target in PENDING else None,
            None if ending.refund and attempt <= 1 else started_at,
            now if final else None, now, worker if final else None,
            encode(ending.progress), ending.result, encode(failure), lease.row, lease.fence,
        ),
    )  # fmt: skip
    if target is State.COMPLETED:
        connection.execute("UPDATE jobsworth_jobs SET failure = NULL WHERE seq = ?", (lease.row,))
    return target


def _send_on(connection: sqlite3.Connection, ending: Settlement, target: State | None, now: float) -> None:
    if ending.forward is not None and target is ending.target:
        # A full queue must not lose it: the job it stands for has already been given up.
        store(connection, [replace(ending.forward, max_size=None)], now)


def pulse(connection: sqlite3.Connection, pulses: Sequence[Pulse], lease: float, now: float) -> Heard:
    """Renew leases, store progress and lines."""
    until = now + lease
    silent = [(until, each.lease.row, each.lease.fence) for each in pulses if each.progress is None]
    telling = [
        (until, encode(each.progress), now, each.lease.row, each.lease.fence)
        for each in pulses
        if each.progress is not None
    ]
    written = connection.executemany(RENEW, silent).rowcount if silent else 0
    written += connection.executemany(TELL, telling).rowcount if telling else 0
    logs.keep(connection, pulses, now)
    leases = [each.lease for each in pulses]
    return Heard(asked(connection, leases), [] if written == len(pulses) else lost(connection, leases))


def asked(connection: sqlite3.Connection, leases: Iterable[Lease]) -> list[CancelRequest]:
    """Which of these were asked to stop."""
    mine = {(lease.row, lease.fence) for lease in leases}  # one worker may name a stale and a new lease of one job
    return [
        CancelRequest(id_, reason, grace)
        for seq, fence, id_, reason, grace in connection.execute(ASKED).fetchall()
        if (seq, fence) in mine
    ]


def lost(connection: sqlite3.Connection, leases: Iterable[Lease]) -> list[str]:
    """Which of these no longer hold."""
    return [lease.job_id for lease in leases if connection.execute(STILL, (lease.row, lease.fence)).fetchone() is None]


def reclaim(connection: sqlite3.Connection, limit: int, lease: float, now: float) -> list[Claim]:
    """Take over expired leases."""
    rows = connection.execute(TAKE_OVER, (now + lease, now, limit)).fetchall()
    rows.sort(key=lambda row: row[0])
    return [_whole_claim(connection, row, now, taken_over=True) for row in rows]
