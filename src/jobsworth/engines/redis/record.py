"""A job as the bytes Redis keeps: one string per job. The only place that knows its layout, for Python and for Lua.

    head      HOT: what each run changes, at fixed offsets, so that a claim or an ending touches little
    worker, progress, result, failure, reason        of the lengths told in the head
    place     twelve digits: where the job stands in the order of creation
    rest      COLD: what a run never changes;  queue, task, key;  more, args

`more` and `args` live under a key of their own where they are large (APART). Progress and failures are JSON texts,
`more` is MessagePack; scripts look into none of them. A moment that is not set is NaN.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import msgspec

from ...engine import HISTORY as HISTORY_KEPT
from ...engine import kept_attempts
from ...job import HELD, Attempt, Claim, Failure, Job, Lease, NewJob, Progress, State
from ...lifecycle import cancelled
from .keys import PLACE

FORM = 1  # of this layout
STATES = (
    State.SCHEDULED, State.QUEUED, State.RUNNING, State.CANCELLING, State.COMPLETED, State.FAILED, State.CANCELLED,
)  # fmt: skip
CODES = {state: code for code, state in enumerate(STATES)}
INLINE = 4096  # bytes of `more` and `args` above which claims and endings do not rewrite them

# state, form, flags, fence, version, attempt, errors, crashes, updated, run_at, started, finished; then the lengths of
# worker, progress, result, failure, reason
HOT = struct.Struct("<BBHdIIIIddddHIIII")
FENCE_AT, RUN_AT, LENGTHS_AT = 4, 36, 60
# lengths of queue, task, key, more, args; priority, max_attempts, created, expires, grace
COLD = struct.Struct("<HHHIIiIddd")
# number, started, finished, lengths of worker and outcome; then worker, outcome, and the failure to the end
ATTEMPT = struct.Struct("<IddHH")
MOMENT = struct.Struct("<d")
CARD = struct.Struct("<ddd")  # started, last pulse, end; then the card
RESULT, REASON, APART, HISTORY, ASKED = 1, 2, 4, 8, 16  # flags: there is a result, a reason, ...; it was asked to stop

_More = tuple[str | None, str | None, tuple[str, ...], bytes | None, float | None]  # owner label tags meta timeout
_NOTHING: _More = (None, None, (), None, None)
_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_more = msgspec.msgpack.Decoder(_More).decode
_progress = msgspec.json.Decoder(Progress).decode
_failure = msgspec.json.Decoder(Failure | None).decode
_names: dict[bytes, str] = {}  # queues and tasks met so far, decoded
_MANY_NAMES = 10_000


def constants() -> dict[str, str | int]:
    """The layout for scripts."""
    return {
        **{state.name: code for state, code in CODES.items()},
        "RESULT": RESULT, "REASON": REASON, "APART": APART, "HISTORY": HISTORY, "ASKED": ASKED,
        "FORM": FORM, "HOT_SIZE": HOT.size, "COLD_SIZE": PLACE + COLD.size, "FENCE_AT": FENCE_AT, "RUN_AT": RUN_AT,
        "LENGTHS_AT": LENGTHS_AT,
        "INLINE": INLINE, "HISTORY_KEPT": HISTORY_KEPT,
        "HOT": _lua_format(HOT), "COLD": _lua_format(COLD), "ATTEMPT": _lua_format(ATTEMPT),
    }  # fmt: skip


def _lua_format(form: struct.Struct) -> str:
    """Lua's struct library names integers of four bytes by their size."""
    return form.format.replace("I", "I4").replace("i", "i4")


def as_text(value: Progress | Failure | None) -> str | None:
    """A small value as the text that records keep."""
    return None if value is None else _to_json(value).decode()


def more_of(job: NewJob | Job) -> bytes:
    """The options that scripts need not know; nothing for most jobs."""
    if job.owner is None and job.label is None and not job.tags and job.meta is None and job.timeout is None:
        return b""
    return _to_msgpack((job.owner, job.label, job.tags, job.meta, job.timeout))


def _name(data: bytes) -> str:
    name = _names.get(data)
    if name is None:
        if len(_names) >= _MANY_NAMES:
            _names.clear()
        name = _names[data] = data.decode()
    return name


def claim_from(member: bytes, record: bytes, *, taken_over: bool = False) -> Claim:
    """A Claim from a member and a whole record. One that was taken over names its loser, and cannot expire."""
    job_id = member[PLACE:].decode()
    try:
        return _claim(job_id, record, taken_over)
    except (struct.error, msgspec.MsgspecError, UnicodeDecodeError, IndexError) as exc:
        # It is claimed, so somebody has to end it: whoever gets it is told what is wrong and never runs it.
        fence = MOMENT.unpack_from(record, FENCE_AT)[0] if len(record) >= HOT.size else 0
        return Claim(
            lease=Lease(job_id, int(fence)), queue="", task="", args=b"", attempt=1, errors=0, crashes=0,
            max_attempts=1, corrupt=f"the record cannot be read: {exc}",
        )  # fmt: skip


def _claim(job_id: str, record: bytes, taken_over: bool) -> Claim:
    (state, _, flags, fence, _, attempt, errors, crashes, updated, _, _, _,
     nworker, nprogress, nresult, nfailure, nreason) = HOT.unpack_from(record)  # fmt: skip
    at = HOT.size + nworker + nprogress + nresult + nfailure + nreason + PLACE
    nqueue, ntask, nkey, nmore, nargs, priority, max_attempts, _, expires, _ = COLD.unpack_from(record, at)
    at += COLD.size
    queue = _name(record[at : at + nqueue])
    at += nqueue
    task = _name(record[at : at + ntask])
    at += ntask
    lease = Lease(job_id, int(fence))
    if not (nkey or nmore or taken_over) and expires != expires:
        args = record[at:]
        _expect(args, nargs)
        return Claim(
            lease=lease, queue=queue, task=task, args=args, attempt=attempt, errors=errors, crashes=crashes,
            max_attempts=max_attempts, priority=priority,
        )  # fmt: skip
    key = record[at : at + nkey].decode() if nkey else None
    at += nkey
    owner, label, tags, meta, timeout = _more(record[at : at + nmore]) if nmore else _NOTHING
    args = record[at + nmore :]
    _expect(args, nargs)
    reason_ends = HOT.size + nworker + nprogress + nresult + nfailure + nreason
    return Claim(
        lease=lease, queue=queue, task=task, args=args, attempt=attempt, errors=errors, crashes=crashes,
        max_attempts=max_attempts, priority=priority, key=key, owner=owner, label=label, tags=tags, meta=meta,
        timeout=timeout, worker=record[HOT.size : HOT.size + nworker].decode() if taken_over else None,
        # A claim has just been made: it was updated now.
        expired=not taken_over and expires <= updated, cancelling=state == CODES[State.CANCELLING],
        cancel_reason=record[reason_ends - nreason : reason_ends].decode() if flags & REASON else None,
    )  # fmt: skip


def _expect(args: bytes, size: int) -> None:
    if len(args) != size:
        raise IndexError(f"{len(args)} bytes of arguments where there should be {size}")


def job_from(job_id: str, record: bytes, past: list[bytes]) -> Job:
    """A Job from a whole record and its recorded attempts, oldest first."""
    try:
        return _job(job_id, record, past)
    except (struct.error, msgspec.MsgspecError, UnicodeDecodeError, IndexError) as exc:
        # One damaged record must not hide all the others: it is shown as what it is, and kept.
        why = Failure("CorruptRow", f"E202: the stored record cannot be read: {exc}", "corrupt")
        return Job(id=job_id, queue="", task="", args=b"", state=State.FAILED, failure=why)


def _job(job_id: str, record: bytes, past: list[bytes]) -> Job:
    (code, form, flags, _, version, attempt, errors, crashes, updated, run_at, started, finished, *lengths) = (
        HOT.unpack_from(record)
    )
    if form != FORM:
        raise IndexError(f"no layout of number {form}")
    (worker, progress, result, failure, reason), at = _split(record, HOT.size, lengths)
    at += PLACE
    nqueue, ntask, nkey, nmore, nargs, priority, max_attempts, created, expires, _ = COLD.unpack_from(record, at)
    (queue, task, key, more, args), _ = _split(record, at + COLD.size, [nqueue, ntask, nkey, nmore, nargs])
    _expect(args, nargs)
    owner, label, tags, meta, timeout = _more(more) if more else _NOTHING
    state, who = STATES[code], worker.decode() or None
    cancel_reason = reason.decode() if flags & REASON else None
    attempts = [_attempt(each) for each in past]
    if state in HELD:
        attempts.append(Attempt(attempt, who, _moment(started)))
    elif state is State.COMPLETED:
        attempts.append(Attempt(attempt, who, _moment(started), _moment(finished), "succeeded"))
    why = _failure(failure) if failure else cancelled(cancel_reason) if state is State.CANCELLED else None
    return Job(
        id=job_id, queue=_name(queue), task=_name(task), state=state, args=args, priority=priority, attempt=attempt,
        errors=errors, crashes=crashes, max_attempts=max_attempts, key=key.decode() or None, owner=owner, label=label,
        tags=tags, meta=meta, timeout=timeout, created_at=created, updated_at=updated, run_at=_moment(run_at),
        started_at=_moment(started), finished_at=_moment(finished), expires_at=_moment(expires), worker=who,
        progress=_progress(progress) if progress else None, result=result if flags & RESULT else None, failure=why,
        cancel_reason=cancel_reason, cancel_requested=bool(flags & ASKED), version=version, attempts=tuple(attempts),
    )  # fmt: skip


def parts_of(job: Job) -> tuple[bytes, bytes, bytes, list[bytes]]:
    """A Job that nobody holds as what adopt.lua stores: its record up to the place, the rest of it, the part that is
    kept elsewhere if that is large, and its recorded attempts, oldest first.
    """
    worker, reason = (job.worker or "").encode(), (job.cancel_reason or "").encode()
    progress, failure = as_text(job.progress) or "", as_text(job.failure) or ""
    if job.failure is None and job.state is State.CANCELLED:
        failure = "null"  # else readers say what its being asked says
    result, more = job.result or b"", more_of(job)
    names = [job.queue.encode(), job.task.encode(), (job.key or "").encode()]
    apart = more + job.args if len(more) + len(job.args) > INLINE else b""
    past = [_past(each) for each in kept_attempts(job)]
    signs = ((job.result is not None, RESULT), (job.cancel_reason is not None, REASON), (apart, APART),
             (past, HISTORY), (job.cancel_requested, ASKED))  # fmt: skip
    told = (worker, progress.encode(), result, failure.encode(), reason)
    moments = (_or_nan(job.run_at), _or_nan(job.started_at), _or_nan(job.finished_at))
    # No lease has been given out yet, so its fence is below all that ever will be.
    hot = HOT.pack(
        CODES[job.state], FORM, sum(flag for given, flag in signs if given), 0, job.version, job.attempt, job.errors,
        job.crashes, job.updated_at, *moments, *map(len, told),
    )  # fmt: skip
    cold = COLD.pack(
        *map(len, names), len(more), len(job.args), job.priority, job.max_attempts, job.created_at,
        _or_nan(job.expires_at), math.nan,
    )  # fmt: skip
    return hot + b"".join(told), cold + b"".join(names) + (b"" if apart else more + job.args), apart, past


def _past(attempt: Attempt) -> bytes:
    worker, outcome = (attempt.worker or "").encode(), (attempt.outcome or "lost").encode()
    moments = (_or_nan(attempt.started_at), _or_nan(attempt.finished_at))
    head = ATTEMPT.pack(attempt.number, *moments, len(worker), len(outcome))
    return head + worker + outcome + (as_text(attempt.error) or "").encode()


def _or_nan(moment: float | None) -> float:
    return math.nan if moment is None else moment


def place_of(record: bytes) -> bytes:
    """Where a job stands in the order of creation; nothing if the record is damaged."""
    if len(record) < HOT.size:
        return b""
    at = HOT.size + sum(HOT.unpack_from(record)[12:])
    return record[at : at + PLACE]


def _split(record: bytes, at: int, lengths: list[Any]) -> tuple[list[bytes], int]:
    parts = []
    for length in lengths:
        parts.append(record[at : at + length])
        at += length
    return parts, at


def _attempt(data: bytes) -> Attempt:
    number, started, finished, nworker, noutcome = ATTEMPT.unpack_from(data)
    (worker, outcome), at = _split(data, ATTEMPT.size, [nworker, noutcome])
    error = _failure(data[at:]) if len(data) > at else None
    return Attempt(number, worker.decode() or None, _moment(started), _moment(finished), outcome.decode(), error)


def _moment(value: float) -> float | None:
    return None if math.isnan(value) else value
