"""What onlookers are sent: server-sent events, one long answer per look, or messages over a WebSocket.

An event's id is its job's version, so a browser that comes back says what it knows and is sent what it missed, the end
included. Whoever may look was decided before anything here is called (access.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from jobsworth.engine import Where
from jobsworth.errors import BadName, JobNotFound
from jobsworth.job import FINAL, Job
from jobsworth.naming import checked

from .access import Level, Visitor
from .mailbox import Event, Mailbox, gone
from .message import Request, Response
from .refusal import BadRequest, CannotStream, NoSuchPage

if TYPE_CHECKING:
    from .hub import Hub
    from .site import Site

COMMENT_EVERY = 15.0  # seconds of silence after which a stream says that it lives; proxies close silent ones
LONGEST = 3_600.0  # seconds after which a stream ends, and who reads it comes back with rights looked at anew
MOST_JOBS = 200  # in one stream
LONGEST_WAIT = 30.0  # seconds a long answer may take
AGAIN = b"retry: 2000\n\n"  # milliseconds until a browser comes back
COMMENT = b":\n\n"
END = b"event: end\ndata: {}\n\n"
EVENTS = "text/event-stream"
_HEADERS = {"content-type": f"{EVENTS}; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no"}


class Feed:
    """The events of one mailbox as bytes for a browser: what message.Stream asks for.

    Opens its mailbox when it is made, so that a refusal comes before any answer; aclose() closes it.
    one: it watches this single job: ids are given, and it ends when the job has.
    """

    def __init__(self, hub: Hub, box: Mailbox, one: str | None = None, *, over: bool = False) -> None:
        self._hub, self._box, self._one = hub, box, one
        self._begun = False
        self._over = over  # there is nothing more to tell
        self._until = asyncio.get_running_loop().time() + LONGEST
        hub.open(box)

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> bytes:
        if not self._begun:
            self._begun = True
            return AGAIN + END if self._over else AGAIN
        while not (self._over or self._box.closed) and asyncio.get_running_loop().time() < self._until:
            if events := self._box.take():
                return b"".join([frame(event, self._one) for event in events]) + self._last(events)
            if not await self._box.wait(COMMENT_EVERY) and not self._box.closed:
                return COMMENT
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Look no longer. Idempotent."""
        self._over = True
        self._hub.close(self._box)

    def _last(self, events: Collection[Event]) -> bytes:
        self._over = self._one is not None and any(event.final for event in events)
        return END if self._over and events else b""


def frame(event: Event, one: str | None) -> bytes:
    """One event in the text/event-stream format. JSON has no line breaks in it."""
    number = f"id: {event.version}\n" if one is not None and event.kind == "job.changed" else ""
    return f"{number}event: {event.kind}\ndata: ".encode() + event.data + b"\n\n"


class Watched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a stream of several jobs is of."""

    jobs: Annotated[str, msgspec.Meta(max_length=8_000, description="Ids, separated by commas.")] = ""
    owner: Annotated[str, msgspec.Meta(max_length=256, description="All jobs of this owner.")] | None = None
    stats: Annotated[bool, msgspec.Meta(description="The queues in numbers too, for level read.")] = False


async def job_events(site: Site, request: Request) -> Response:
    """The events of the job that the path names, from what the browser knows on, until it has ended."""
    job, known = request.job, last_known(request)
    over = known is not None and job.state in FINAL and job.version <= known
    box = Mailbox(
        [job.id], since={} if known is None else {job.id: known}, loop=_loop(request),
        details=request.visitor.may_see(job, Level.READ),
    )  # fmt: skip
    return Response(200, dict(_HEADERS), Feed(site.hub, box, job.id, over=over))


async def events(site: Site, request: Request) -> Response:
    """The events of several jobs, of an owner's, or of the store as a whole, whatever this visitor may see of it."""
    query, visitor = request.query, request.visitor
    wish = Wish(tuple(dict.fromkeys(filter(None, query.jobs.split(",")))), query.owner, stats=query.stats)
    seen = await granted(request, visitor, wish)
    box = box_for(visitor, loop=_loop(request))
    box.watch(seen.ids, seen.owner, everything=seen.everything)
    for job_id in seen.hidden:
        box.put(gone(job_id))
    return Response(200, dict(_HEADERS), Feed(site.hub, box))


class Wish(NamedTuple):
    """What somebody would like to watch."""

    ids: tuple[str, ...]
    owner: str | None = None
    stats: bool = False


class Granted(NamedTuple):
    """What of it they are let watch. hidden: ids of jobs that are not there, or not theirs."""

    ids: frozenset[str]
    hidden: frozenset[str]
    owner: str | None
    everything: bool


async def granted(request: Request, visitor: Visitor, wish: Wish) -> Granted:
    """What this visitor may watch of what they wish for. Raises BadRequest, JobNotFound or NoSuchPage.

    Without a wish that is all of an owner's jobs for users, and the queues in numbers for operators.
    """
    ids = wish.ids
    owner = wish.owner or (visitor.owner if not ids and visitor.level is Level.USER else None)
    if len(ids) > MOST_JOBS:
        raise BadRequest(f"at most {MOST_JOBS} jobs in one stream", hint="watch an owner's jobs by the owner")
    if owner is not None and visitor.level < Level.READ and owner != visitor.owner:
        raise JobNotFound("not theirs")
    everything = (not ids and owner is None) or wish.stats
    if everything and visitor.level < Level.READ:
        if ids or owner is not None:
            raise NoSuchPage("the queues in numbers are for operators")
        raise BadRequest("which jobs?", hint="name their ids, or their owner")
    visible = frozenset(job.id for job in await _found(request, ids) if visitor.may_see(job, Level.USER))
    return Granted(visible, frozenset(ids) - visible, owner, everything)


async def _found(request: Request, ids: Sequence[str]) -> list[Job]:
    """Those that there are. An id that no job can have is that of no job: one page's mistake ends no stream of all."""
    where = Where(ids=tuple(filter(_can_be, ids)), limit=None)
    return await request.ask.call(lambda engine: engine.find(where)) if where.ids else []


def box_for(visitor: Visitor, loop: asyncio.AbstractEventLoop) -> Mailbox:
    """A mailbox in which they find what is for them."""
    queues = None if visitor.queues is None else frozenset(visitor.queues)
    return Mailbox(queues=queues, details=visitor.level >= Level.READ, loop=loop)


def _can_be(job_id: str) -> bool:
    try:
        checked(job_id, "job id")
    except BadName:
        return False
    return True


async def until_newer(site: Site, request: Request, since: int, seconds: float) -> None:
    """Return when the job that the path names has a version above `since`, at most after so many seconds."""
    job = request.job
    if job.version > since:
        return
    box = Mailbox([job.id], since={job.id: since}, loop=_loop(request) if request.streams else None)
    site.hub.open(box)
    try:
        if box.loop is None:
            box.wait_here(min(seconds, LONGEST_WAIT))
        else:
            await box.wait(min(seconds, LONGEST_WAIT))
    finally:
        site.hub.close(box)


def last_known(request: Request) -> int | None:
    """The version in Last-Event-ID. Raises BadRequest if it is none of ours."""
    given = request.headers.get("last-event-id")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise BadRequest("Last-Event-ID must be the id of an earlier event: a job's version, a whole number")
    return int(given)


def _loop(request: Request) -> asyncio.AbstractEventLoop:
    if not request.streams:
        raise CannotStream("this server gives whole answers only", hint="ask again with ?since=VERSION&wait=25")
    return asyncio.get_running_loop()
