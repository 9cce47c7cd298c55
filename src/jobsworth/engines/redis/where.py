"""Which jobs a Where means: the indexes that know, and the test each job has to pass."""

from __future__ import annotations

from collections.abc import Iterable

from ...engine import Where
from ...job import FINAL, HELD, Job, State, storable


def states_of(where: Where, may: Iterable[State] | None = None) -> frozenset[State]:
    """The states in which a job can match."""
    states = frozenset(State) if where.states is None else frozenset(where.states)
    if where.finished_for is not None or where.finished_within is not None:
        states &= FINAL
    return states if may is None else states & frozenset(may)


def is_exact(where: Where, states: frozenset[State]) -> bool:
    """True if every member of the indexes of these states matches, so that no job has to be read to know."""
    narrowed = (where.ids, where.task, where.key, where.tag, where.owner, where.text, where.reason)
    if any(each is not None for each in (*narrowed, where.created_within)):
        return False
    # One index holds all that run, of whatever queue.
    return not (states & HELD) or (states >= HELD and where.queue is None)


def may_change(where: Where) -> bool:
    """True if a job can cease to match without changing its state."""
    return any(each is not None for each in (where.text, where.reason, where.finished_for, where.finished_within))


def fits(where: Where, job: Job, now: float) -> bool:
    """True if a job is one of those meant. Windows include their edge."""
    return _named(where, job) and _told(where, job) and _timed(where, job, now)


def _named(where: Where, job: Job) -> bool:
    return (
        (where.queue is None or job.queue == where.queue)
        and (where.task is None or job.task == where.task)
        and (where.states is None or job.state in where.states)
        and (where.key is None or job.key == storable(where.key))
        and (where.tag is None or storable(where.tag) in job.tags)
        and (where.owner is None or job.owner == storable(where.owner))
    )


def _told(where: Where, job: Job) -> bool:
    failure = job.failure
    if where.reason is not None and (failure is None or failure.reason != where.reason):
        return False
    if where.text is None:
        return True
    sought = _folded(where.text)
    words = (job.task, job.label or "", failure.message if failure else "")
    return job.id.startswith(where.text) or any(sought in _folded(word) for word in words)


def _timed(where: Where, job: Job, now: float) -> bool:
    ended = job.finished_at
    return (
        (where.created_within is None or job.created_at >= now - where.created_within)
        and (where.finished_for is None or (ended is not None and ended <= now - where.finished_for))
        and (where.finished_within is None or (ended is not None and ended >= now - where.finished_within))
    )


def _folded(text: str) -> bytes:
    """Only ASCII letters lose their case, as on the other engines."""
    return text.encode("utf-8", "surrogatepass").lower()
