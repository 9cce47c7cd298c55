"""Which jobs an operator means, and asking the engine about them within what the visitor may see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from jobsworth.engine import Engine, Where
from jobsworth.job import Job, JobId, State
from jobsworth.lifecycle import Move

from .access import Visitor

MOST_IDS = 1_000  # named in one request
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:\-]+$", min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=200)]
Seconds = Annotated[float, Meta(ge=0, le=3_200_000_000)]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter; every part given must match.

    state: one of these. q: part of the task's name, the label or the error message, or the beginning of the id.
    reason: why it failed: error, timeout, gave_up, exhausted, crashed, incompatible, expired, cancelled, pushed.
    created_within, finished_within, finished_for: seconds before now.
    """

    state: Annotated[tuple[State, ...], Meta(max_length=len(State))] = ()
    queue: Name | None = None
    task: Name | None = None
    tag: Name | None = None
    owner: Name | None = None
    key: Name | None = None
    q: Text | None = None
    reason: Name | None = None
    created_within: Seconds | None = None
    finished_within: Seconds | None = None
    finished_for: Seconds | None = None

    def where(self, *, among: Iterable[State] | None = None, limit: int | None = None, beyond: int = 0) -> Where:
        """As a selector; `among` are the only states that make sense, if there are such."""
        states = tuple(self.state) or None
        if among is not None:
            states = tuple(state for state in among if states is None or state in states)
        text = _CONTROL.sub("", self.q).strip() if self.q else None
        return Where(
            states=states, queue=self.queue, task=self.task, tag=self.tag, owner=self.owner, key=self.key,
            text=text or None, reason=self.reason, created_within=self.created_within,
            finished_within=self.finished_within, finished_for=self.finished_for, limit=limit, beyond=beyond,
        )  # fmt: skip

    def __str__(self) -> str:
        given: dict[str, Any] = msgspec.to_builtins(self)
        said = [f"{name}={value}" for name, value in given.items() if value not in (None, [], ())]
        return ", ".join(said) or "all jobs"


class Page(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter and a place in what matches, newest first.

    beyond: skip the newest so many. count: say how many match in all, which may take a while.
    """

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    beyond: Annotated[int, Meta(ge=0, le=10_000)] = 0
    count: bool = False


async def find(engine: Engine, visitor: Visitor, where: Where) -> list[Job]:
    """Matching jobs that the visitor may see, newest first; `where` has a limit."""
    parts = _parts(visitor, where)
    if len(parts) == 1:
        return await engine.find(parts[0])
    assert where.limit is not None
    found: list[Job] = []
    for part in parts:  # each could hold all of the page
        found += await engine.find(msgspec.structs.replace(part, beyond=0, limit=where.beyond + where.limit))
    found.sort(key=lambda job: (job.created_at, job.id), reverse=True)
    return found[where.beyond : where.beyond + where.limit]


async def count(engine: Engine, visitor: Visitor, where: Where) -> int:
    """How many match that the visitor may see."""
    return sum([await engine.count(part) for part in _parts(visitor, where)])


async def move(engine: Engine, visitor: Visitor, where: Where, hows: Sequence[Move], most: int) -> list[JobId]:
    """Move those of them that the visitor may see, at most so many. What is the oldest comes first.

    Whoever was told of `most` jobs was told of these: what has come to match since is younger, for the most part.
    """
    moved: list[JobId] = []
    for part, how in product(_parts(visitor, where), hows):
        if (left := most - len(moved)) > 0:
            moved += await engine.move(_oldest(part, left), how)
    return moved


async def delete(engine: Engine, visitor: Visitor, where: Where, most: int) -> int:
    """Delete those of them that the visitor may see, at most so many, as in move()."""
    gone = 0
    for part in _parts(visitor, where):
        if gone < most:
            gone += await engine.delete(_oldest(part, most - gone))
    return gone


def _oldest(where: Where, number: int) -> Where:
    return msgspec.structs.replace(where, newest_first=False, limit=number)


def _parts(visitor: Visitor, where: Where) -> list[Where]:
    return [] if where.states == () else visitor.narrowed(where)
