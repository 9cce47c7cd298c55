"""Celery's words for where a task stands, and which of ours each is."""

from __future__ import annotations

from jobsworth.job import FINAL, HELD, Job, State

PENDING, RECEIVED, STARTED, SUCCESS = "PENDING", "RECEIVED", "STARTED", "SUCCESS"
FAILURE, REVOKED, REJECTED, RETRY, IGNORED = "FAILURE", "REVOKED", "REJECTED", "RETRY", "IGNORED"
READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = READY_STATES | UNREADY_STATES

_FINAL = {State.COMPLETED: SUCCESS, State.FAILED: FAILURE, State.CANCELLED: REVOKED}


def of(job: Job, *, tracked: bool) -> str:
    """A job's state, without what it says of itself. tracked: whether its start is told (`task_track_started`)."""
    if job.state in FINAL:
        return _FINAL[job.state]
    if job.state in HELD and tracked:
        return STARTED
    return RETRY if job.errors else PENDING
