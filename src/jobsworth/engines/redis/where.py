"""Which jobs a Where means: the indexes that know, and the test each job has to pass."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ...engine import Where
from ...job import FINAL, HELD, Job, State, storable
from .record import CODES

_PLAIN = re.compile(r'[^"\\\x00-\x1f\x7f]*').fullmatch  # JSON writes all others as they are


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


class Words(NamedTuple):
    """What must be found among the bytes of a record for its job to match: a quick way to say no."""

    names: tuple[bytes, ...]  # as they are
    told: tuple[bytes, ...]  # in what the job says of itself and of its failure; without case
    id_from: bytes | None  # unless its id begins so


def words_of(where: Where) -> Words | None:
    """None if nothing is to be found."""
    names = tuple(storable(each).encode() for each in (where.task, where.key, where.owner, where.tag) if each)
    told = []
    if where.reason:
        told.append(_folded(where.reason))
    if where.text and _PLAIN(where.text):
        told.append(_folded(where.text))
    if not names and not told:
        return None
    return Words(names, tuple(told), None if where.text is None else where.text.encode("utf-8", "surrogatepass"))


def may_fit(words: Words, job_id: bytes, record: bytes) -> bool:
    """False if a job cannot match, told from the bytes alone."""
    if any(each not in record for each in words.names):
        return False
    if not words.told or record[0] == CODES[State.CANCELLED]:  # these may say what is written nowhere
        return True
    folded = record.lower()
    missing = [each for each in words.told if each not in folded]
    return not missing or (words.id_from is not None and job_id.startswith(words.id_from))


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
