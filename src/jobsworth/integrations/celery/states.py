"""Celery's words for where a task stands, and which of ours each is."""

from __future__ import annotations

from jobsworth.job import FINAL, HELD, Job, State

PENDING, RECEIVED, STARTED, SUCCESS = "PENDING", "RECEIVED", "STARTED", "SUCCESS"
FAILURE, REVOKED, REJECTED, RETRY, IGNORED = "FAILURE", "REVOKED", "REJECTED", "RETRY", "IGNORED"
READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = READY_STATES | (UNREADY_STATES - {REJECTED})
# Those that say more come first; None stands for states of a program's own.
PRECEDENCE = [SUCCESS, FAILURE, None, REVOKED, STARTED, RECEIVED, REJECTED, RETRY, PENDING]
PRECEDENCE_LOOKUP = {name: place for place, name in enumerate(PRECEDENCE)}

_FINAL = {State.COMPLETED: SUCCESS, State.FAILED: FAILURE, State.CANCELLED: REVOKED}


def precedence(name: str | None) -> int:
    """Where a state stands: a lower number says more."""
    return PRECEDENCE_LOOKUP.get(name, PRECEDENCE_LOOKUP[None])


class state(str):  # noqa: N801 (Celery's name)
    """A state's name that compares by precedence: state("PROGRESS") > "STARTED"."""

    __slots__ = ()

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)


def of(job: Job, *, tracked: bool) -> str:
    """A job's state, without what it says of itself. tracked: whether its start is told (`task_track_started`)."""
    if job.state in FINAL:
        return _FINAL[job.state]
    if job.state in HELD and tracked:
        return STARTED
    return RETRY if job.errors else PENDING
