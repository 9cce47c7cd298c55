"""The operator's and the onlooker's verbs: find, count, move, delete.

Looking is done in pages and holds nothing up; it is no snapshot. Changing is atomic per job: a script tests again what
may have changed since the job was looked at, and what has changed is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from ...engine import Where
from ...job import FINAL, HELD, Job, JobId, State, storable
from ...lifecycle import Move, cancelled
from .keys import PLACE, SUFFIXES
from .record import CODES, MOMENT, as_text, job_from, place_of
from .where import fits, is_exact, may_change, may_fit, states_of, words_of

PAGE = 500  # jobs looked at, or changed, at a time
MOST_LISTED = 20_000  # members fetched from indexes at once; beyond that every job is walked, in order of creation
TRIES = 20  # looks at jobs that change while they are to be changed

Run = Callable[..., Any]  # a script's name and its values -> its answer
Found = tuple[bytes, Job]  # a job and the member it stands in its indexes by
_to_msgpack = msgspec.msgpack.Encoder().encode


def find(run: Run, where: Where) -> list[Job]:
    """The matching jobs with their attempts."""
    return [job for _, job in select(run, where)]


def count(run: Run, where: Where) -> int:
    """How many match."""
    states = states_of(where)
    everything = msgspec.structs.replace(where, limit=None, beyond=0)
    if is_exact(where, states):
        return int(_listed(run, where, states, most=0)[0])
    resting = states - HELD
    if resting and is_exact(where, resting):  # only those that run have to be looked at
        running = sum(1 for _ in select(run, everything, HELD))
        return int(_listed(run, where, resting, most=0)[0]) + running
    return sum(1 for _ in select(run, everything))


def move(run: Run, where: Where, change: Move) -> list[JobId]:
    """Apply a move to every matching job in one of its source states."""
    targets = {str(CODES[source]): CODES[target] for source, target in change.to.items()}
    what = _to_msgpack(
        (targets, change.renews, change.reason, change.grace, change.delay, as_text(cancelled(change.reason)))
    )
    args = () if change.args is None else (change.args,)

    def apply(jobs: Sequence[Found]) -> list[int]:
        items = [(member.decode(), job.version if careful else None) for member, job in jobs]
        return list(run("move", what, _to_msgpack(items), *args))

    careful = may_change(where)
    return [job.id for _, job in _change(run, where, frozenset(change.to), apply)]


def delete(run: Run, where: Where) -> int:
    """Delete matching jobs that no worker holds, with everything that belongs to them."""
    free = frozenset(State) - HELD
    states = states_of(where, free)
    may = _to_msgpack([state in states for state in CODES])
    careful = may_change(where)

    def apply(jobs: Sequence[Found]) -> list[int]:
        items = [(member.decode(), job.version if careful else None, job.owner, job.tags) for member, job in jobs]
        return list(run("delete", may, _to_msgpack(items)))

    if states and states <= FINAL and is_exact(where, states):
        ended = _long_ended(run, where, states)
        if ended is not None:
            pages = (list(_read(run, ended[at : at + PAGE], where)) for at in range(0, len(ended), PAGE))
            return sum(apply(page).count(1) for page in pages if page)
    return len(_change(run, where, free, apply))


def _long_ended(run: Run, where: Where, states: frozenset[State]) -> list[bytes] | None:
    """Of very many ended jobs, those to delete: here the order of ending stands for that of creation."""
    total, _ = _listed(run, where, states, most=0)
    if total <= MOST_LISTED:
        return None
    number = total - max(where.beyond, 0)
    number = max(0, min(number, MOST_LISTED if where.limit is None else where.limit))
    return _listed(run, where, states, most=number, by_ending=True)[1][:number]


def _change(
    run: Run, where: Where, may: frozenset[State], apply: Callable[[Sequence[Found]], list[int]]
) -> list[Found]:
    done: list[Found] = []
    found = select(run, where, may)
    for _ in range(TRIES):
        changed: list[JobId] = []
        while page := list(islice(found, PAGE)):
            for each, answer in zip(page, apply(page), strict=True):
                if answer == 1:
                    done.append(each)
                elif answer == 2:
                    changed.append(each[1].id)
        if not changed:
            break
        again = msgspec.structs.replace(where, ids=tuple(changed), beyond=0, limit=None)
        found = select(run, again, may)
    return done


def select(run: Run, where: Where, may: Iterable[State] | None = None) -> Iterator[Found]:
    """Matching jobs in the order asked for. `beyond` and `limit` count only those in states the verb may touch."""
    states = states_of(where, may)
    if not states or (where.limit is not None and where.limit <= 0):
        return iter(())
    skip, enough = max(where.beyond, 0), PAGE
    members = _candidates(run, where, states)
    if members is not None and where.ids is None and is_exact(where, states):
        members = members[: max(0, len(members) - skip)]  # they all matched when they were listed
        skip = 0
        if where.limit is not None:
            enough = min(where.limit, PAGE)

    def matching(newest_first: bool) -> Iterator[Found]:
        if members is None:
            found = _walk(run, where, newest_first)
        else:
            found = read_all(run, members[::-1] if newest_first else members, where, enough)
        return (each for each in found if each[1].state in states)

    return islice(_beyond(matching, skip, where.newest_first), where.limit)


def _beyond(matching: Callable[[bool], Iterator[Found]], skip: int, newest_first: bool) -> Iterator[Found]:
    """All but the newest `skip`, from whichever end."""
    if newest_first or skip == 0:
        return islice(matching(newest_first), skip, None)
    last = next(islice(matching(True), skip - 1, None), None)
    if last is None:
        return iter(())
    edge = last[0]
    return (each for each in matching(False) if each[0] < edge)


def _candidates(run: Run, where: Where, states: frozenset[State]) -> list[bytes] | None:
    """Members that may match, oldest first; None if the jobs are to be walked."""
    if where.ids is not None:
        return _members_of(run, where.ids)
    if where.owner is not None or where.tag is not None or (where.queue is None and states == frozenset(State)):
        return None
    total, members = _listed(run, where, states, most=MOST_LISTED)
    return sorted(members) if total <= MOST_LISTED else None


def _members_of(run: Run, ids: Sequence[JobId]) -> list[bytes]:
    wanted = sorted({storable(each) for each in ids})
    members = []
    for at in range(0, len(wanted), PAGE):
        names = wanted[at : at + PAGE]
        records = run("read", *names)[1::2]
        members += [place_of(record) + name.encode() for name, record in zip(names, records, strict=True) if record]
    return sorted(members)


def _listed(
    run: Run, where: Where, states: frozenset[State], *, most: int, by_ending: bool = False
) -> tuple[int, list[bytes]]:
    queues = None if where.queue is None else [where.queue]
    codes = sorted(CODES[state] for state in states)
    ask = (codes, queues, where.finished_for, where.finished_within, most, by_ending)
    _, total, *members = run("list", _to_msgpack(ask))
    return total, members


def _walk(run: Run, where: Where, newest_first: bool) -> Iterator[Found]:
    """Matching jobs in order of creation, a page at a time: of one owner, of one tag, or all."""
    source = ""
    if where.owner is not None:
        source = SUFFIXES["OWNER"] + storable(where.owner)
    elif where.tag is not None:
        source = SUFFIXES["TAG"] + storable(where.tag)
    at: bytes = b""
    while True:
        members = run("walk", source, int(newest_first), at, PAGE)
        yield from read_all(run, members, where)
        if len(members) < PAGE:
            return
        at = members[-1][:PLACE]


def read_all(run: Run, members: Sequence[bytes], where: Where, enough: int = PAGE) -> Iterator[Found]:
    """A page at a time. As a rule the first `enough` of them are, but some may have changed meanwhile."""
    yield from _read(run, members[:enough], where)
    for at in range(enough, len(members), PAGE):
        yield from _read(run, members[at : at + PAGE], where)


def _read(run: Run, members: Sequence[bytes], where: Where) -> Iterator[Found]:
    """Those of the members that are still there and match."""
    if not members:
        return
    moment, *answers = run("read", *(member[PLACE:] for member in members))
    (now,) = MOMENT.unpack(moment)
    words = words_of(where)
    for member, record, past in zip(members, answers[0::2], answers[1::2], strict=True):
        if not record or (words and not may_fit(words, member[PLACE:], record)):
            continue
        if place_of(record) in (member[:PLACE], b""):
            job = job_from(member[PLACE:].decode(), record, past or [])
            if fits(where, job, now):
                yield member, job
