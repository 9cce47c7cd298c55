"""Dead letters for operators: grouped by what went wrong, tried again, or deleted for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from jobsworth.dead import redrive_slowly
from jobsworth.engine import Engine, Where
from jobsworth.frames import user_frame
from jobsworth.job import Failure, Job, State
from jobsworth.lifecycle import REDRIVE
from jobsworth.snapshot import moment

from . import choice
from .choice import MOST_IDS, Chosen, Name
from .message import Request, Response, json_response
from .operators import Ids, expected, meant
from .refusal import BadRequest
from .shown import Changed

if TYPE_CHECKING:
    from .site import Site

_DEAD = (State.FAILED,)


class Letters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to group: the newest `limit` that match."""

    queue: Name | None = None
    task: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_IDS)] = 500


class TheseLetters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dead letters: these ids, or all that match a filter. `expect` as in Bulk."""

    ids: Ids | None = None
    where: Chosen | None = None
    expect: Annotated[int, Meta(ge=0)]


class Redrive(TheseLetters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dead letters to be tried again. rate: jobs per second at most, by spreading their start; for up to a thousand."""

    rate: Annotated[float, Meta(gt=0, le=10_000)] | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters with the same task, reason, kind of error and place. first, last: when they were given up."""

    task: str
    queue: str
    reason: str
    type: str
    message: str  # the newest one's
    place: str | None
    count: int
    first: str | None
    last: str | None
    ids: list[str]


class Groups(msgspec.Struct, frozen=True):
    """The groups, largest first. `looked_at` of `count` dead letters were read to make them."""

    groups: list[Group]
    looked_at: int
    count: int


async def grouped(_site: Site, request: Request) -> Response:
    """Dead letters by error."""
    query: Letters = request.query
    where = Chosen(queue=query.queue, task=query.task).where(among=_DEAD, limit=query.limit)

    async def look(engine: Engine) -> Groups:
        found = await choice.find(engine, request.visitor, where)
        return Groups(_groups(found), len(found), await choice.count(engine, request.visitor, where))

    return json_response(await request.ask.call(look))


async def redrive(site: Site, request: Request) -> Response:
    """Try them again with a fresh budget of attempts."""
    data: Redrive = request.data
    where = meant(data.ids, data.where, _DEAD)
    ids = await request.ask.call(lambda engine: _redrive(engine, request, where, data))
    site.audit(request, "redrive", _said(data), len(ids))
    return json_response(Changed(len(ids), ids[:MOST_IDS]))


async def discard(site: Site, request: Request) -> Response:
    """Delete them for good."""
    data: TheseLetters = request.data
    where = meant(data.ids, data.where, _DEAD)

    async def drop(engine: Engine) -> int:
        await expected(engine, request, where, data.expect)
        return await choice.delete(engine, request.visitor, where, data.expect)

    number = await request.ask.call(drop)
    site.audit(request, "discard", _said(data), number)
    return json_response(Changed(number))


async def _redrive(engine: Engine, request: Request, where: Where, data: Redrive) -> list[str]:
    await expected(engine, request, where, data.expect)
    if data.rate is None:
        return await choice.move(engine, request.visitor, where, [REDRIVE], data.expect)
    if data.expect > MOST_IDS:
        raise BadRequest(f"a rate is for {MOST_IDS} dead letters at most")
    every = msgspec.structs.replace(where, limit=MOST_IDS)
    oldest_first = [job.id for job in reversed(await choice.find(engine, request.visitor, every))]
    return await redrive_slowly(engine, oldest_first[: data.expect], data.rate)


def _groups(jobs: list[Job]) -> list[Group]:
    """From newest to oldest jobs to groups."""
    found: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        why = job.failure or Failure("?", "")
        found.setdefault((job.task, job.queue, why.reason, why.type, user_frame(why.traceback)), []).append(job)
    groups = [_group(key, each) for key, each in found.items()]
    return sorted(groups, key=lambda group: -group.count)


def _group(key: tuple[Any, ...], jobs: list[Job]) -> Group:
    task, queue, reason, kind, place = key
    ended = sorted(job.finished_at for job in jobs if job.finished_at is not None)
    return Group(
        task=task, queue=queue, reason=reason, type=kind, place=place, count=len(jobs),
        message=jobs[0].failure.message if jobs[0].failure else "",
        first=moment(ended[0]) if ended else None, last=moment(ended[-1]) if ended else None,
        ids=[job.id for job in jobs],
    )  # fmt: skip


def _said(data: TheseLetters) -> str:
    return f"{len(data.ids)} dead letters" if data.ids is not None else f"dead letters: {data.where}"
