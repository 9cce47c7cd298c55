"""Values to JSON and rows back to values. The only place that knows the order of columns."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from ...job import HELD, Attempt, Claim, Failure, Job, Lease, NewJob, Progress, State, storable
from ...lifecycle import Settlement

STATES = (
    State.SCHEDULED, State.QUEUED, State.RUNNING, State.CANCELLING, State.COMPLETED, State.FAILED, State.CANCELLED,
)  # fmt: skip
CODES = {state: code for code, state in enumerate(STATES)}
JOB_COLUMNS = (
    "seq, state, attempt, errors, crashes, version, priority, max_attempts, started_at, finished_at, updated_at,"
    " worker, progress, id, queue, task, created_at, run_at, key, owner, label, tags, meta, timeout, expires_at,"
    " cancel_asked, cancel_reason, failure, result, args"
)
_to_json = msgspec.json.Encoder().encode
_progress = msgspec.json.Decoder(Progress).decode
_failure = msgspec.json.Decoder(Failure).decode


def text(value: str) -> str:
    """Text as PostgreSQL can keep it: it has no NUL characters."""
    plain = storable(value)
    return plain.replace("\0", "\\x00") if "\0" in plain else plain


def _maybe(value: str | None) -> str | None:
    return None if value is None else text(value)


def to_json(values: object) -> str:
    """JSON for a function's parameter."""
    return _to_json(values).decode()


def small(value: Progress | Failure | None) -> str | None:
    """A small value as the JSON that is kept of it."""
    return None if value is None else to_json(value)


def carried(data: bytes | None) -> tuple[str | None, str | None]:
    """Bytes as (text, None) where they are text, which they nearly always are; as (None, base64) otherwise."""
    if data is None:
        return None, None
    try:
        plain = data.decode()
    except UnicodeDecodeError:
        return None, b64encode(data).decode()
    return (None, b64encode(data).decode()) if "\0" in plain else (plain, None)


class Wish(msgspec.Struct, omit_defaults=True, gc=False):
    """A NewJob as the function enqueue reads it."""

    id: str
    queue: str
    task: str
    max_attempts: int
    args: str | None = None
    args64: str | None = None
    delay: float = 0.0
    run_at: float | None = None
    priority: int = 0
    key: str | None = None
    owner: str | None = None
    label: str | None = None
    tags: Sequence[str] = ()
    meta64: str | None = None
    timeout: float | None = None
    expires: float | None = None
    expires_at: float | None = None
    max_size: int | None = None
    failure: str | None = None
    reason: str | None = None
    message: str | None = None


def wish(job: NewJob) -> Wish:
    """A job on its way in."""
    args, args64 = carried(job.args)
    found = Wish(job.id, job.queue, job.task, job.max_attempts, args, args64, job.delay, job.run_at, job.priority)
    if job.key is not None or job.owner is not None or job.label is not None or job.tags or job.meta is not None:
        found.key, found.owner, found.label = _maybe(job.key), _maybe(job.owner), _maybe(job.label)
        found.tags = [text(tag) for tag in job.tags]
        found.meta64 = None if job.meta is None else b64encode(job.meta).decode()
    found.timeout, found.expires, found.expires_at = job.timeout, job.expires, job.expires_at
    found.max_size = job.max_size
    if job.failure is not None:
        found.failure, found.reason, found.message = _of_failure(job.failure)
    return found


def _of_failure(failure: Failure) -> tuple[str, str, str]:
    return to_json(failure), text(failure.reason), text(failure.message)


# What is stored of a job of another engine, by column and type. Tags travel as JSON: arrays of arrays must be even.
ADOPTED = (
    ("id", "text"), ("state", "smallint"), ("queue", "text"), ("task", "text"), ("args", "bytea"),
    ("max_attempts", "integer"), ("run_at", "double precision"), ("created_at", "double precision"),
    ("updated_at", "double precision"), ("started_at", "double precision"), ("finished_at", "double precision"),
    ("attempt", "integer"), ("errors", "integer"), ("crashes", "integer"), ("version", "integer"),
    ("priority", "integer"), ("worker", "text"), ("progress", "bytea"), ("key", "text"), ("owner", "text"),
    ("label", "text"), ("tags", "text"), ("meta", "bytea"), ("timeout", "double precision"),
    ("expires_at", "double precision"), ("cancel_asked", "boolean"), ("cancel_reason", "text"), ("failure", "bytea"),
    ("reason", "text"), ("message", "text"), ("result", "bytea"),
)  # fmt: skip


def adopted_row(job: Job) -> tuple[Any, ...]:
    """Values for ADOPTED."""
    failure, reason, message = (None, None, None) if job.failure is None else _of_failure(job.failure)
    tags = to_json([text(tag) for tag in job.tags]) if job.tags else None
    return (
        job.id, CODES[job.state], text(job.queue), text(job.task), job.args, job.max_attempts, job.run_at,
        job.created_at, job.updated_at, job.started_at, job.finished_at, job.attempt, job.errors, job.crashes,
        job.version, job.priority, _maybe(job.worker), _bytes(small(job.progress)), _maybe(job.key),
        _maybe(job.owner), _maybe(job.label), tags, job.meta, job.timeout, job.expires_at, job.cancel_requested,
        _maybe(job.cancel_reason), _bytes(failure), reason, message, job.result,
    )  # fmt: skip


def recorded(past: Attempt) -> tuple[Any, ...]:
    """An Attempt as (number, worker, started_at, finished_at, outcome, failure)."""
    worker, outcome = _maybe(past.worker), text(past.outcome or "lost")
    return (past.number, worker, past.started_at, past.finished_at, outcome, _bytes(small(past.error)))


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


class Done(msgspec.Struct, omit_defaults=True, gc=False):
    """A plain success as the function settle reads it."""

    place: int
    seq: int
    fence: int
    result: str | None = None
    result64: str | None = None


class Other(msgspec.Struct, gc=False):
    """Any other ending as the function settle reads it."""

    place: int
    seq: int
    fence: int
    target: int
    if_cancelling: int
    outcome: str
    delay: float
    refund: int
    errors: int
    crashes: int
    result: str | None = None
    result64: str | None = None
    failure: str | None = None
    reason: str | None = None
    message: str | None = None
    progress: str | None = None


def is_plain(ending: Settlement) -> bool:
    """True for a success without anything else to say."""
    return ending.target is State.COMPLETED and ending.progress is None


def done(place: int, ending: Settlement) -> Done:
    """A plain success."""
    return Done(place, ending.lease.row, ending.lease.fence, *carried(ending.result))


def other(place: int, ending: Settlement) -> Other:
    """Any other ending."""
    failure, reason, message = (None, None, None) if ending.failure is None else _of_failure(ending.failure)
    result, result64 = carried(ending.result)
    return Other(
        place, ending.lease.row, ending.lease.fence, CODES[ending.target], CODES[ending.if_cancelling], ending.outcome,
        max(0.0, ending.delay), int(ending.refund), ending.errors, ending.crashes, result, result64,
        failure, reason, message, small(ending.progress),
    )  # fmt: skip


def claim(row: tuple[Any, ...]) -> Claim:
    """A Claim from the columns that claim and reclaim answer with, next_due aside."""
    (seq, id_, fence, queue, task, args, attempt, errors, crashes, max_attempts, priority, key, owner, label, tags,
     meta, timeout, expired, cancelling, cancel_reason, worker) = row  # fmt: skip
    return Claim(
        lease=Lease(id_, fence, seq), queue=queue, task=task, args=args, attempt=attempt, errors=errors,
        crashes=crashes, max_attempts=max_attempts, priority=priority, key=key, owner=owner, label=label,
        tags=tuple(tags or ()), meta=meta, timeout=timeout, worker=worker, expired=expired, cancelling=cancelling,
        cancel_reason=cancel_reason,
    )  # fmt: skip


def attempt(row: tuple[Any, ...]) -> Attempt:
    """An Attempt from (number, worker, started_at, finished_at, outcome, failure)."""
    number, worker, started_at, finished_at, outcome, failure = row
    error = None if failure is None else _failure(failure)
    return Attempt(number, worker, started_at, finished_at, outcome, error)


def job(row: tuple[Any, ...], history: list[Attempt]) -> Job:
    """A Job from JOB_COLUMNS and its recorded attempts, oldest first."""
    (_, code, attempt_, errors, crashes, version, priority, max_attempts, started_at, finished_at, updated_at, worker,
     progress, id_, queue, task, created_at, run_at, key, owner, label, tags, meta, timeout, expires_at, cancel_asked,
     cancel_reason, failure, result, args) = row  # fmt: skip
    state = STATES[code]
    attempts = list(history)
    if state in HELD:
        attempts.append(Attempt(attempt_, worker, started_at))
    elif state is State.COMPLETED:
        attempts.append(Attempt(attempt_, worker, started_at, finished_at, "succeeded"))
    return Job(
        id=id_, queue=queue, task=task, state=state, args=args, priority=priority, attempt=attempt_, errors=errors,
        crashes=crashes, max_attempts=max_attempts, key=key, owner=owner, label=label, tags=tuple(tags or ()),
        meta=meta, timeout=timeout, created_at=created_at, updated_at=updated_at, run_at=run_at, started_at=started_at,
        finished_at=finished_at, expires_at=expires_at, worker=worker,
        progress=None if progress is None else _progress(progress), result=result,
        failure=None if failure is None else _failure(failure), cancel_reason=cancel_reason,
        cancel_requested=cancel_asked, version=version, attempts=tuple(attempts),
    )  # fmt: skip
