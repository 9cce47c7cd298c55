"""The life of a running job: turn, pulse, hear, reclaim. Every write here is fenced by the lease."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ...engine import Pulse, Turn, Want, WorkerCard
from ...job import Claim, Lease
from ...lifecycle import Settlement
from . import logs
from .desk import Ask
from .intake import store
from .lines import Line
from .marks import Floor, Rank, Sights
from .rows import CODES, claim, done, is_plain, other, small, text, to_json

TURN = "SELECT * FROM @turn(%s, %s, %s, %s, %s, %s, %s)"
SETTLE = "SELECT place, reached FROM @settle(%s, %s, %s)"
CLAIM = "SELECT * FROM @claim(%s, %s, %s, %s, %s)"
MOMENT = "SELECT @moment(%s)"
PULSE = "SELECT place, state, reason, grace FROM @pulse(%s, %s, %s, %s, %s, %s)"
# The same where something was logged. It is kept first, while the leases hold: what comes after it asks for its answer.
TURN_LOGGED = (
    "SELECT turned.* FROM @keep_lines(%s, %s) AS kept (moment), @turn(%s, %s, %s, %s, %s, %s, kept.moment) AS turned"
)
SETTLE_LOGGED = (
    "SELECT ended.place, ended.reached FROM @keep_lines(%s, %s) AS kept (moment), @settle(%s, %s, kept.moment) AS ended"
)
PULSE_LOGGED = (
    "SELECT heard.place, heard.state, heard.reason, heard.grace FROM @keep_lines(%s, %s) AS kept (moment),"
    " @pulse(%s, %s, %s, %s, %s, kept.moment) AS heard"
)
HEAR = "SELECT place, state, reason, grace FROM @hear(%s)"
DEAD = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = '@jobs'::regclass"
MANY = 10_000  # dead rows
# Bare, as claim() and reclaim() answer: after an outage only, and among the held jobs only.
RECALL = """
SELECT job.seq, job.id, job.fence, job.queue, job.task, job.args, job.attempt, job.errors, job.crashes,
       job.max_attempts, job.priority, job.key, job.owner, job.label, job.tags, job.meta, job.timeout,
       coalesce(job.expires_at <= job.started_at, false), job.state = 3, job.cancel_reason, NULL::text
  FROM @jobs AS job
 WHERE job.state IN (2, 3) AND job.worker = %s AND job.started_at >= (SELECT @moment(%s)) - %s::double precision
"""
RECLAIM = "SELECT * FROM @reclaim(%s, %s, %s, %s)"


def turn(
    line: Line,
    ask: Ask,
    worker: str,
    settle: Sequence[Settlement],
    want: Sequence[Want],
    lease: float,
    test_now: float | None,
    sights: Sights,
) -> Turn:
    """Write down the endings, then claim: one round trip, unless an ending brings a new job with it."""
    ended, others = _endings(settle)
    want = [each for each in want if each.limit > 0 and each.tasks]
    begun, after = sights.lines.begin(want), sights.due.begin()
    moment = _moment(ask, sights.due, test_now)
    wants, began = _wants(want, begun), time.monotonic()
    claiming = (text(worker), wants, lease, after, test_now)
    if any(each.forward is not None for each in settle):
        with line.transaction():
            written = _settle_and_forward(ask, settle, ended, others, test_now)
            rows = ask(CLAIM, claiming, binary=True).fetchall()
    elif not settle:
        written = set()
        rows = ask(CLAIM, claiming, binary=True).fetchall()
    else:
        rows = ask(*_turning(settle, (claiming[0], ended, others, *claiming[1:-1]), test_now), binary=True).fetchall()
        written = set(rows[0][0] or ())
        rows = [row[1:] for row in rows]
    claims = _by_want([claim(row[1:]) for row in rows[1:]], want)
    took, next_due = time.monotonic() - began, rows[0][0]
    sights.lines.learn(begun, want, claims, took, lambda: _many_dead(ask))
    sights.due.learn(after, None if next_due == 0 else moment, took, lambda: _many_dead(ask))
    refused = [each.lease.job_id for place, each in enumerate(settle) if place not in written]
    return Turn(claims, refused, next_due)


def _moment(ask: Ask, floor: Floor, test_now: float | None) -> float | None:
    """The server's moment, where that floor can use it."""
    if not floor.asks():
        return None
    row = ask(MOMENT, (test_now,)).fetchone()
    return float(row[0]) if row else None


def _turning(settle: Sequence[Settlement], values: Sequence[Any], test_now: float | None) -> tuple[str, Sequence[Any]]:
    said = logs.said(settle)
    return (TURN, (*values, test_now)) if said is None else (TURN_LOGGED, (said, test_now, *values))


def _many_dead(ask: Ask) -> bool:
    row = ask(DEAD).fetchone()
    return row is not None and row[0] > MANY


def _by_want(claims: list[Claim], want: Sequence[Want]) -> list[Claim]:
    """In order of (priority, age) within each want: they come want by want, but there in no particular order."""
    ordered: list[Claim] = []
    for each in want:
        begin = end = len(ordered)
        while end < len(claims) and end - begin < each.limit and _answers(claims[end], each):
            end += 1
        ordered += sorted(claims[begin:end], key=lambda claim: (-claim.priority, claim.lease.row or 0))
    return ordered + claims[len(ordered) :]


def _answers(claim: Claim, want: Want) -> bool:
    return claim.queue == want.queue and claim.task in want.tasks and (want.crashed or not claim.crashes)


def _endings(settle: Sequence[Settlement]) -> tuple[str | None, str | None]:
    """Plain successes and all other endings, as JSON. A lease that is named twice ends once."""
    ended, others, seen = [], [], set()
    for place, each in enumerate(settle):
        lease = (each.lease.row, each.lease.fence)
        if lease not in seen and each.lease.row is not None:
            if is_plain(each):
                ended.append(done(place, each))
            else:
                others.append(other(place, each))
        seen.add(lease)
    return to_json(ended) if ended else None, to_json(others) if others else None


def _wants(want: Sequence[Want], begin: Sequence[Rank]) -> str | None:
    asked = [
        {
            "queue": text(each.queue), "room": each.limit, "tasks": [text(task) for task in each.tasks],
            "crashed": each.crashed, "from_rank": rank, "from_seq": seq,
        }
        for each, (rank, seq) in zip(want, begin, strict=True)
    ]  # fmt: skip
    return to_json(asked) if asked else None


def settling(ending: Settlement, test_now: float | None) -> tuple[str, Sequence[Any]]:
    """What writes one ending that brings no job with it. It answers with no row if its lease was lost."""
    ended, others = _endings([ending])
    said = logs.said([ending])
    if said is None:
        return SETTLE, (ended, others, test_now)
    return SETTLE_LOGGED, (said, test_now, ended, others)


def _settle_and_forward(
    ask: Ask, settle: Sequence[Settlement], ended: str | None, others: str | None, test_now: float | None
) -> set[int]:
    said = logs.said(settle)
    if said is not None:
        ask(logs.KEEP, (said, test_now))
    reached = dict(ask(SETTLE, (ended, others, test_now)).fetchall())
    for place, each in enumerate(settle):
        if each.forward is not None and reached.get(place) == CODES[each.target]:
            # A full queue must not lose it: the job it stands for has already been given up.
            store(ask, [replace(each.forward, max_size=None)], test_now)
    return set(reached)


def pulse(
    ask: Ask, card: WorkerCard, lives: float, pulses: Sequence[Pulse], lease: float, test_now: float | None
) -> list[tuple[Any, ...]]:
    """Keep the worker's card, renew leases, store progress and lines; then as hear()."""
    leases = to_json(
        [
            {"place": place, "seq": each.lease.row, "fence": each.lease.fence, "progress": small(each.progress)}
            for place, each in enumerate(pulses)
        ]
    )
    values = (text(card.id), msgspec.json.encode(card), lives, leases, lease)
    said = logs.said(pulses)
    if said is None:
        return ask(PULSE, (*values, test_now)).fetchall()
    return ask(PULSE_LOGGED, (said, test_now, *values)).fetchall()


def hear(ask: Ask, leases: Sequence[Lease]) -> list[tuple[Any, ...]]:
    """(place, state, reason, grace) of the leases that were asked to stop, or, without a state, are lost."""
    named = [{"place": place, "seq": each.row, "fence": each.fence} for place, each in enumerate(leases)]
    return ask(HEAR, (to_json(named),)).fetchall()


def reclaim(ask: Ask, limit: int, lease: float, test_now: float | None, floor: Floor) -> list[Claim]:
    """Take over expired leases."""
    after, moment, began = floor.begin(), _moment(ask, floor, test_now), time.monotonic()
    rows = ask(RECLAIM, (max(0, limit), lease, after, test_now), binary=True).fetchall()
    left = len(rows) >= limit
    floor.learn(after, None if left else moment, time.monotonic() - began, lambda: _many_dead(ask))
    return sorted([claim(row[1:]) for row in rows], key=lambda each: each.lease.row)


def recall(ask: Ask, worker: str, within: float, test_now: float | None) -> list[Claim]:
    """What a worker has claimed lately and still holds."""
    return [claim(row) for row in ask(RECALL, (text(worker), test_now, within), binary=True).fetchall()]
