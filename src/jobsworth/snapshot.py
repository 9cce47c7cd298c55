"""The status snapshot: the one JSON shape in which a job is shown, everywhere.

    {"accepted": true, "message": "...",
     "job":   {"id", "queue", "task", "label", "status", "message", "progress": {"current", "total", "percent"},
               "result", "error": {"type", "message", "reason"} | null, "cancel_requested", "created_at", "started_at",
               "finished_at", "updated_at", "run_at", "attempt", "max_attempts",
               "attempts": [{"number", "worker", "started_at", "finished_at", "outcome", "error", "traceback"}],
               "meta", "tags", "owner", "version"},
     "queue": {"pending", "active", "active_jobs", "workers"}}

Moments are ISO 8601 in UTC with milliseconds; what is not known is null. `accepted` is false only in the answer to an
enqueue or a cancel that changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from .codec import decode
from .engine import QueueStatus
from .errors import ValueRefused
from .job import HELD, PENDING, Attempt, Failure, Job, Progress, State
from .logged import Logged

_WORDS = {
    State.SCHEDULED: "waits for its time",
    State.QUEUED: "waits for a worker",
    State.RUNNING: "is running",
    State.CANCELLING: "is asked to stop",
    State.COMPLETED: "is done",
    State.FAILED: "was given up",
    State.CANCELLED: "was cancelled",
}

# Reasons and types of failures whose text somebody wrote for whoever reads it, or is our own.
_MEANT_FOR_USERS = frozenset({("gave_up", "GiveUp"), ("cancelled", "Cancelled"), ("expired", "Expired")})


def snapshot(
    job: Job, queue: QueueStatus | None = None, active: Sequence[str] = (), *, accepted: bool = True
) -> dict[str, Any]:
    """The whole snapshot of a job and of its queue's load."""
    return {
        "accepted": accepted,
        "job": job_part(job),
        "queue": queue_part(queue, active),
        "message": f"job {job.id} {_WORDS[job.state]}",
    }


def job_part(job: Job) -> dict[str, Any]:
    """The "job" part alone."""
    return {
        "id": job.id,
        "queue": job.queue,
        "task": job.task,
        "label": job.label,
        "status": job.state.value,
        "message": job.progress.message if job.progress else None,
        "progress": progress_part(job.progress),
        "result": result_so_far(job),
        "error": _error(job.failure),
        "cancel_requested": job.cancel_requested,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "updated_at": moment(job.updated_at),
        "run_at": moment(job.run_at),
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "attempts": [_attempt(each) for each in job.attempts],
        "meta": _open_part(_readable(job.meta)),
        "tags": list(job.tags),
        "owner": job.owner,
        "version": job.version,
    }


def _open_part(meta: Any) -> dict[str, Any]:
    """What may be shown to whoever may look at the job: names with an underscore in front are the program's own."""
    given = meta if isinstance(meta, dict) else {}
    return {name: value for name, value in given.items() if not name.startswith("_")}


def result_so_far(job: Job) -> Any:
    """What the job's handler returned; before that, what it said is there already."""
    so_far = None if job.progress is None or job.state is State.COMPLETED else job.progress.result
    return _readable(job.result) if so_far is None else _readable(so_far.encode())


def line_part(line: Logged) -> dict[str, Any]:
    """A line of a job's log. `place` is what may be asked to go on behind; `number` counts within its attempt."""
    return {
        "place": line.place,
        "attempt": line.attempt,
        "number": line.number,
        "at": moment(line.at),
        "level": line.level,
        "logger": line.logger,
        "message": line.message,
    }


def progress_part(progress: Progress | None) -> dict[str, Any]:
    """The numbers of a progress."""
    return {
        "current": _number(progress.current) if progress else None,
        "total": _number(progress.total) if progress else None,
        "percent": _number(progress.percent) if progress else None,
    }


def queue_part(queue: QueueStatus | None, active: Sequence[str] = ()) -> dict[str, Any]:
    """The "queue" part alone."""
    counts = queue.counts if queue else {}
    return {
        "pending": sum(counts.get(state, 0) for state in PENDING),
        "active": sum(counts.get(state, 0) for state in HELD),
        "active_jobs": list(active),
        "workers": queue.workers if queue else 0,
    }


def moment(seconds: float | None) -> str | None:
    """An ISO 8601 moment in UTC, with milliseconds."""
    if seconds is None:
        return None
    try:
        text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):  # a damaged row may hold any number
        return None
    return text.replace("+00:00", "Z")


def error_line(failure: Failure | None) -> str:
    """A failure in one line: "ValueError: not a picture"."""
    if failure is None:
        return ""
    return f"{failure.type}: {failure.message}" if failure.message else failure.type


def said_to_users(failure: Failure | None) -> str | None:
    """What of a failure is meant for the app's own users: what its handler said with GiveUp, or why it was cancelled.

    None for all else. The text of an exception may hold anything: paths, addresses, other people's names.
    """
    if failure is None or (failure.reason, failure.type) not in _MEANT_FOR_USERS:
        return None
    return failure.message


def _readable(data: bytes | None) -> Any:
    """A stored value; null if it is damaged: a job with odd bytes must still be shown. result() says what is wrong."""
    try:
        return None if data is None else decode(data)
    except ValueRefused:
        return None


def _error(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {"type": failure.type, "message": failure.message, "reason": failure.reason}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker": attempt.worker,
        "started_at": moment(attempt.started_at),
        "finished_at": moment(attempt.finished_at),
        "outcome": attempt.outcome,
        "error": _error(attempt.error),
        "traceback": attempt.error.traceback if attempt.error else None,
    }


def _number(value: float | None) -> float | int | None:
    """Whole numbers without a decimal point, as they were most likely written."""
    return int(value) if value is not None and float(value).is_integer() else value
