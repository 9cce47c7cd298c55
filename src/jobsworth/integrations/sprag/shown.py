"""A job as SPRAG tells of it: its words and shapes, from Jobsworth's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from jobsworth.codec import decode
from jobsworth.errors import ValueRefused
from jobsworth.job import PENDING, Job, Progress, State
from jobsworth.naming import new_id
from jobsworth.snapshot import result_so_far

TARGET = "_sprag"  # in a job's meta: whose pages are told of it; with a session's id, which nobody else may learn
TARGETS = ("route", "session_id", "client_id", "topic")
PROCESS = new_id()
ENDED = frozenset({"completed", "failed", "cancelled"})
HELD = frozenset({"running", "cancelling"})


def stored_target(target: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of whose pages hear of a job. SPRAG numbers its sockets anew in each process."""
    return {**target, "process": PROCESS}


def _target(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The same for this process: another one's socket is nobody here, whoever has its number."""
    target = {each: stored.get(each) for each in TARGETS}
    if target["client_id"] is not None and stored.get("process") != PROCESS:
        target["client_id"] = f"{target['client_id']} of {stored.get('process')}"
    return target


def shown(job: Job) -> dict[str, Any]:
    """A job's snapshot."""
    meta = _readable(job.meta) or {}
    target = _target(meta.pop(TARGET, None) or {})
    label = job.label or f"Job {job.id}"
    status = "queued" if job.state in PENDING else job.state.value
    error = None if job.failure is None or status in ("completed", "cancelled") else _error(job)
    told = {
        "id": job.id, "label": label, "status": status, "message": f"Queued {label}.",
        "progress": {"current": 0, "total": None, "percent": 0}, "result": result_so_far(job), "error": error,
        "cancel_requested": status == "cancelled" or (job.cancel_requested and status != "completed"),
        "created_at": job.created_at, "updated_at": job.updated_at, "meta": meta,
        "target": target,
    }  # fmt: skip
    if job.progress is not None:
        told |= progress_of(job.progress, told["message"])
    return told | {"message": _message(job, label, error, told["message"])}


def as_queued(job: Job) -> dict[str, Any]:
    """A job as it was when it was stored, whatever it has become by now."""
    return shown(
        msgspec.structs.replace(
            job, state=State.QUEUED, progress=None, result=None, failure=None, attempts=(), updated_at=job.created_at
        )
    )


def rejected(job_id: str, label: str, meta: Mapping[str, Any] | None, target: Mapping[str, Any]) -> dict[str, Any]:
    """A job that a full queue did not take."""
    job = Job(id=job_id, queue="", task="", state=State.QUEUED, args=b"", label=label)
    now = time.time()
    return shown(job) | {
        "status": "rejected", "message": f"Queue is full. Could not queue {label}.", "created_at": now,
        "updated_at": now, "meta": dict(meta or {}), "target": dict(target),
    }  # fmt: skip


def progress_of(progress: Progress, message: str) -> dict[str, Any]:
    """The numbers, and what was said with them, or else `message`."""
    numbers = {
        "current": _whole(progress.current) or 0, "total": _whole(progress.total), "percent": int(progress.percent or 0)
    }  # fmt: skip
    return {"progress": numbers, "message": message if progress.message is None else progress.message}


def owner(session_id: str | None) -> str | None:
    """Whose job it is. A browser may give its session any name, and whoever knows the name is the session."""
    return (
        None
        if session_id is None
        else f"sprag:{sha256(str(session_id).encode(errors='surrogatepass')).hexdigest()[:32]}"
    )


def _message(job: Job, label: str, error: str | None, said: str) -> str:
    """What was said last; or what the job's state says without it."""
    noted = job.progress is not None and job.progress.message is not None
    match job.state:
        case State.CANCELLING:
            return job.cancel_reason or f"Cancelling {label}..."
        case State.CANCELLED:
            by_handler = noted and job.attempts and job.attempts[-1].outcome == "cancelled"
            return said if by_handler else f"Cancelled {label}."
        case State.COMPLETED:
            return said if noted else f"Completed {label}."
        case State.FAILED:
            return said if noted and job.failure is not None and job.failure.type == "GiveUp" else str(error)
    return said


def _error(job: Job) -> str:
    assert job.failure is not None
    if job.failure.type == "GiveUp":
        return job.failure.message
    return f"{job.failure.type.rpartition('.')[2]}: {job.failure.message}"


def _whole(number: float | None) -> float | int | None:
    return int(number) if number is not None and number.is_integer() else number


def _readable(data: bytes | None) -> Any:
    try:
        return None if data is None else decode(data)
    except ValueRefused:  # damaged: a job with odd bytes must still be shown
        return None
