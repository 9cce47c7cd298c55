"""Rows to values and back. The only place that knows the order of columns."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ...job import HELD, Attempt, Claim, Failure, Job, Lease, NewJob, Progress, State

STATES = (
    State.SCHEDULED, State.QUEUED, State.RUNNING, State.CANCELLING, State.COMPLETED, State.FAILED, State.CANCELLED,
)  # fmt: skip
CODES = {state: code for code, state in enumerate(STATES)}

_to_json = msgspec.json.Encoder().encode
_progress = msgspec.json.Decoder(Progress).decode
_failure = msgspec.json.Decoder(Failure).decode
_attempt = msgspec.json.Decoder(Attempt).decode
_tags = msgspec.json.Decoder(tuple[str, ...]).decode

PLAIN_COLUMNS = "id, state, queue, task, args, max_attempts, run_at, created_at"
EXTRA_COLUMNS = (
    "more, updated_at, finished_at, version, priority, key, owner, label, tags, meta, timeout, expires_at, failure"
)
ADOPTED_COLUMNS = (
    f"{PLAIN_COLUMNS}, more, updated_at, started_at, finished_at, attempt, errors, crashes, version, priority, worker,"
    " progress, key, owner, label, tags, meta, timeout, expires_at, cancel_asked, cancel_reason, failure, result"
)
# Narrow, because every column returned costs each claim; what `more` says there is besides is fetched apart.
CLAIM_COLUMNS = "seq, id, fence, task, args, attempt, errors, crashes, max_attempts, priority, more"
MORE_COLUMNS = (
    "queue, key, owner, label, tags, meta, timeout, expires_at, worker, state, cancel_reason,"
    " coalesce(args, (SELECT args FROM jobsworth_payloads AS apart WHERE apart.seq = jobsworth_jobs.seq))"
)
JOB_COLUMNS = (
    "seq, state, fence, attempt, errors, crashes, version, priority, max_attempts, started_at, finished_at,"
    " updated_at, worker, progress, id, queue, task, created_at, run_at, key, owner, label, tags, meta, timeout,"
    " expires_at, cancel_asked, cancel_reason, failure, result, args"
)


def encode(value: Progress | Failure | Attempt | None) -> str | None:
    """A small value as the JSON text kept in a column (text, because SQLite's JSON functions refuse blobs)."""
    return None if value is None else _to_json(value).decode()


def is_plain(job: NewJob) -> bool:
    """True when the job uses none of the options that have columns of their own."""
    return not (
        job.priority or job.key or job.owner or job.label or job.tags or job.meta or job.timeout is not None
        or job.expires is not None or job.expires_at is not None or job.failure
    )  # fmt: skip


def plain_row(job: NewJob, now: float, args: bytes | None) -> tuple[Any, ...]:
    """Values for PLAIN_COLUMNS."""
    if not job.delay and job.run_at is None:
        return (job.id, 1, job.queue, job.task, args, job.max_attempts, now, now)
    run_at = moment(job.delay, job.run_at, now)
    return (job.id, 0 if run_at > now else 1, job.queue, job.task, args, job.max_attempts, run_at, now)


def full_row(job: NewJob, now: float, args: bytes | None) -> tuple[Any, ...]:
    """Values for PLAIN_COLUMNS, then EXTRA_COLUMNS."""
    plain = plain_row(job, now, args)
    dead = job.failure is not None
    if dead:
        plain = (plain[0], CODES[State.FAILED], *plain[2:])
    expires_at = job.expires_at if job.expires is None else now + job.expires
    tags = _to_json(job.tags).decode() if job.tags else None
    return (
        *plain, 1, now, now if dead else None, 0, job.priority, job.key, job.owner, job.label, tags,
        job.meta, job.timeout, expires_at, encode(job.failure),
    )  # fmt: skip


def adopted_row(job: Job, args: bytes | None) -> tuple[Any, ...]:
    """Values for ADOPTED_COLUMNS: a job of another engine, as it is."""
    extras = (
        job.key, job.owner, job.label, _to_json(job.tags).decode() if job.tags else None, job.meta, job.timeout,
        job.expires_at,
    )  # fmt: skip
    more = 1 if any(each is not None for each in extras) else None
    return (
        job.id, CODES[job.state], job.queue, job.task, args, job.max_attempts, job.run_at, job.created_at, more,
        job.updated_at, job.started_at, job.finished_at, job.attempt, job.errors, job.crashes, job.version,
        job.priority, job.worker, encode(job.progress), *extras, 1 if job.cancel_requested else None,
        job.cancel_reason, encode(job.failure), job.result,
    )  # fmt: skip


def moment(delay: float, run_at: float | None, now: float) -> float:
    """When a job may start: the moment asked for, or `delay` seconds from now."""
    if run_at is not None:
        return max(run_at, now)
    return now + delay if delay > 0 else now


def plain_claim(row: tuple[Any, ...], queue: str) -> Claim:
    """A Claim from CLAIM_COLUMNS of a job that has no more to it. Its arguments may be text here."""
    seq, id_, fence, task, args, attempt, errors, crashes, max_attempts, priority, _ = row
    if type(args) is str:
        args = args.encode()
    return Claim(
        lease=Lease(id_, fence, seq), queue=queue, task=task, args=args, attempt=attempt, errors=errors,
        crashes=crashes, max_attempts=max_attempts, priority=priority,
    )  # fmt: skip


def full_claim(row: tuple[Any, ...], more: tuple[Any, ...], now: float, *, taken_over: bool) -> Claim:
    """A Claim from all its columns. One that was taken over names its loser; it has started, so it cannot expire."""
    queue, key, owner, label, tags, meta, timeout, expires_at, worker, state, cancel_reason, args = more
    (args, tags, meta), corrupt = _inspect(args, tags, meta)
    return msgspec.structs.replace(
        plain_claim(row, queue), args=args, key=key, owner=owner, label=label, tags=tags, meta=meta, timeout=timeout,
        worker=worker if taken_over else None, corrupt=corrupt, cancelling=state == CODES[State.CANCELLING],
        cancel_reason=cancel_reason, expired=expires_at is not None and expires_at <= now and not taken_over,
    )  # fmt: skip


def _inspect(args: Any, tags: Any, meta: Any) -> tuple[tuple[bytes, tuple[str, ...], bytes | None], str | None]:
    """Read the columns that may be damaged; what cannot be read is left out and named, so that no row stops a queue."""
    wrong: list[str] = []
    names: tuple[str, ...] = ()
    try:
        names = () if tags is None else _tags(tags)
    except (msgspec.MsgspecError, TypeError) as exc:
        wrong.append(f"tags: {exc}")
    if type(args) is not bytes:
        wrong.append(f"args: bytes expected, not {type(args).__name__}")
        args = b""
    if meta is not None and type(meta) is not bytes:
        wrong.append(f"meta: bytes expected, not {type(meta).__name__}")
        meta = None
    return (args, names, meta), "; ".join(wrong) or None


def job_from(row: tuple[Any, ...], history: list[str]) -> Job:
    """A Job from JOB_COLUMNS and its recorded attempts, oldest first."""
    (_, code, _, attempt, errors, crashes, version, priority, max_attempts, started_at, finished_at, updated_at, worker,
     progress, id_, queue, task, created_at, run_at, key, owner, label, tags, meta, timeout, expires_at, cancel_asked,
     cancel_reason, failure, result, args) = row  # fmt: skip
    try:
        if code not in range(len(STATES)):
            raise ValueError(f"state: no such code {code!r}")
        state = STATES[code]
        attempts = [_attempt(record) for record in history]
        if state in HELD:
            attempts.append(Attempt(attempt, worker, started_at))
        elif state is State.COMPLETED:
            attempts.append(Attempt(attempt, worker, started_at, finished_at, "succeeded"))
        return Job(
            id=id_, queue=queue, task=task, state=state, args=_bytes(args), priority=priority, attempt=attempt,
            errors=errors, crashes=crashes, max_attempts=max_attempts, key=key, owner=owner, label=label,
            tags=() if tags is None else _tags(tags), meta=meta, timeout=timeout, created_at=created_at,
            updated_at=created_at if updated_at is None else updated_at, run_at=run_at, started_at=started_at,
            finished_at=finished_at, expires_at=expires_at, worker=worker,
            progress=None if progress is None else _progress(progress), result=result,
            failure=None if failure is None else _failure(failure), cancel_reason=cancel_reason,
            cancel_requested=bool(cancel_asked), version=version, attempts=tuple(attempts),
        )  # fmt: skip
    except (msgspec.MsgspecError, TypeError, ValueError, IndexError, RecursionError) as exc:
        # One damaged row must not hide all the others: it is shown as what it is. The row itself is kept.
        why = Failure("CorruptRow", f"E202: the stored row cannot be read: {exc}", "corrupt")
        return Job(
            id=str(id_), queue=str(queue), task=str(task), args=args if isinstance(args, bytes) else b"", failure=why,
            state=STATES[code] if code in range(len(STATES)) else State.FAILED,
            created_at=created_at if isinstance(created_at, float) else 0.0,
        )  # fmt: skip


def _bytes(args: Any) -> bytes:
    if not isinstance(args, bytes):
        raise TypeError(f"args: bytes expected, not {type(args).__name__}")
    return args


def as_json_list(values: tuple[str, ...]) -> str:
    """Values as one SQL parameter for json_each()."""
    return json.dumps(values)
