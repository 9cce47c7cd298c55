"""The events of live.py as JSON messages over a WebSocket, for pages of the origins that a site names.

A socket is asked for like a page: route, origin, visitor. What it watches it says in messages, and each of those is
judged like a request for a stream of these jobs:

    {"watch": [ids], "unwatch": [ids], "tokens": [tokens of jobs in "watch"], "owner": "user:7", "stats": true}

It hears {"event": "job.changed", "job_id": ...} and the other events of a stream. A job that has ended is told of one
last time, and then watched no longer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from .access import Level, Visitor, admit, jobs_of
from .live import COMMENT_EVERY, LONGEST, MOST_JOBS, Wish, box_for, granted
from .mailbox import Event, gone
from .message import Request, Response
from .refusal import BadRequest, CannotStream, NoSuchPage, TooManyStreams, UpgradeRequired

if TYPE_CHECKING:
    from .site import Site

LONGEST_MESSAGE = 65_536  # bytes of one that a browser sends; all jobs of a socket with their tokens fit into it
FIRST_WITHIN = 10.0  # seconds for the first message: until then nothing is known of what somebody wants
PAUSE = 0.05  # seconds between two messages that are read
ALIVE_EVERY = COMMENT_EVERY  # pages cannot see the pings of the standard
STUCK = 60.0  # seconds for which one event may wait for its reader to take anything at all
MOST_STRANGERS = 500  # sockets of which nobody knows yet whose they are; they must not take the places of the others
LONGEST_REASON = 123  # bytes, by the standard
ALIVE = '{"event":"alive"}'

Ids = Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=MOST_JOBS)]


class Line(Protocol):
    """What a host brings: one connection."""

    async def hear(self) -> str | bytes | None:
        """The next message; None when the other side has gone."""
        ...

    async def say(self, text: str) -> None:
        """Send a message. Waits while the other side does not read. Raises LineCut when it has gone."""
        ...


class LineCut(Exception):
    """There is nobody at the other end any more."""


class Close(NamedTuple):
    """How a socket ends, if we end it."""

    code: int
    reason: str


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message. All parts may be left out; the first one, if it is empty, asks for whatever is the visitor's own."""

    watch: Ids = ()
    unwatch: Ids = ()
    tokens: Annotated[tuple[str, ...], Meta(max_length=MOST_JOBS)] = ()
    owner: Annotated[str, Meta(max_length=256)] | None = None
    stats: bool = False


async def plain(site: Site, request: Request) -> Response:
    """Where a WebSocket is offered, somebody has asked for a page."""
    if not site.origins:
        raise NoSuchPage("there are no WebSockets here", hint="Site(origins=[...]) offers them; /events is a stream")
    if not request.streams or "upgrade" in request.headers:
        raise CannotStream("this server has no WebSockets", hint="read /events, or ask with ?since=VERSION&wait=25")
    raise UpgradeRequired("this is a WebSocket", hint="/events is the same as a stream")


class Socket:
    """One visitor's socket. Counts as an onlooker from when it is known that they may look, until close().

    Raises TooManyStreams (E610).
    """

    def __init__(self, site: Site, request: Request, level: Level) -> None:
        self._site, self._request, self._level = site, request, level
        self._loop = asyncio.get_running_loop()
        self._box = box_for(request.visitor, self._loop)
        self._untold: list[Event] = []  # of jobs that are hidden from them
        self._entered = self._begun = False
        if request.visitor.level >= level or request.visitor.jobs:
            self._enter()
        elif len(site.strangers) >= MOST_STRANGERS:
            raise TooManyStreams(f"{MOST_STRANGERS} sockets are waiting to say who they are", hint="try again later")
        else:
            site.strangers.add(self)

    def close(self) -> None:
        """Look no longer. Idempotent."""
        self._site.strangers.discard(self)
        self._site.hub.close(self._box)

    def stop(self) -> None:
        """Have it closed with a word of goodbye. From any thread."""
        self.close()
        with contextlib.suppress(RuntimeError):  # its loop has ended, and it with that
            self._loop.call_soon_threadsafe(self._box.call)

    async def run(self, line: Line) -> Close | None:
        """Talk until one side has enough; None if that was the other one."""
        tasks = [asyncio.ensure_future(self._safely(talk)) for talk in (self._hear(line), self._tell(line))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _safely(self, talk: Coroutine[Any, Any, Close | None]) -> Close | None:
        try:
            return await talk
        except LineCut:
            return None
        except Exception as exc:  # noqa: BLE001 (told to the log and, in a word, to whoever is at the other end)
            return _closing(self._site.refuse(self._request, exc))

    # what they say

    async def _hear(self, line: Line) -> Close | None:
        try:
            async with asyncio.timeout(FIRST_WITHIN):
                message = await line.hear()
        except TimeoutError:
            return Close(4408, "nothing was asked for")
        while message is not None:
            if isinstance(message, bytes):
                return Close(1003, "messages are JSON text")
            if len(message) > LONGEST_MESSAGE or len(message.encode()) > LONGEST_MESSAGE:
                return Close(1009, f"a message has at most {LONGEST_MESSAGE} bytes")
            await self._obey(_read(message))
            await asyncio.sleep(PAUSE)
            message = await line.hear()
        return None

    async def _obey(self, asked: Asked) -> None:
        self._box.unwatch(asked.unwatch)
        if self._begun and not (asked.watch or asked.owner or asked.stats):
            return
        self._begun = True
        visitor = self._request.visitor
        if jobs := jobs_of(asked.tokens, self._site.jobs.tokens):
            visitor = msgspec.structs.replace(visitor, jobs=visitor.jobs | jobs)
        admit(self._level, visitor)
        self._enter()
        ids = tuple(dict.fromkeys(asked.watch))
        if len(self._box.ids.union(ids, [each.job_id or "" for each in self._untold])) > MOST_JOBS:
            raise BadRequest(f"at most {MOST_JOBS} jobs on one socket", hint="watch an owner's jobs by the owner")
        await self._watch(visitor, Wish(ids, asked.owner, asked.stats))

    async def _watch(self, visitor: Visitor, wish: Wish) -> None:
        seen = await granted(self._request, visitor, wish)
        anew = seen.everything and not self._box.everything
        self._box.watch(seen.ids, seen.owner, everything=seen.everything)
        self._untold += [gone(job_id) for job_id in seen.hidden]
        self._site.hub.look_again(self._box, anew=anew)
        self._box.call()

    def _enter(self) -> None:
        if not self._entered:
            self._site.hub.open(self._box)
            self._site.strangers.discard(self)
            self._entered = True

    # what they are told

    async def _tell(self, line: Line) -> Close | None:
        clock = asyncio.get_running_loop().time
        until, spoken = clock() + LONGEST, clock()
        while not self._box.closed and clock() < until:
            events, self._untold = [*self._untold, *self._of_interest()], []
            said = [_message(event) for event in events]
            if not said and clock() - spoken >= ALIVE_EVERY:
                said = [ALIVE]
            if not await _say_all(line, said):
                return Close(1008, "too slow")
            if said:
                spoken = clock()
            self._box.unwatch([event.job_id for event in events if event.final and event.job_id is not None])
            await self._box.wait(min(spoken + ALIVE_EVERY, until) - clock())
        return Close(1001, "the server stops: come again") if self._box.closed else Close(1000, "come again")

    def _of_interest(self) -> list[Event]:
        """What is unread. Of a job that is watched no longer the hub may have been just about to tell: not that."""
        ids, owner = self._box.ids, self._box.owner
        return [each for each in self._box.take() if each.job_id is None or each.job_id in ids or owner is not None]


def _read(message: str) -> Asked:
    try:
        return msgspec.json.decode(message, type=Asked)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BadRequest(str(exc)) from exc


def _message(event: Event) -> str:
    """An event as one JSON object: its kind, and what a stream has as its data."""
    begin, rest = f'{{"event":"{event.kind}"', event.data[1:].decode()
    return begin + rest if rest == "}" else f"{begin},{rest}"


async def _say_all(line: Line, said: Collection[str]) -> bool:
    """False if the other side has not read anything for too long."""
    try:
        for text in said:
            async with asyncio.timeout(STUCK):
                await line.say(text)
    except TimeoutError:
        return False
    return True


def _closing(refused: Response) -> Close:
    """A refusal as the end of a socket: 4000 and the status, but where there is a code for that."""
    assert isinstance(refused.body, bytes)
    said = msgspec.json.decode(refused.body)
    code = {500: 1011, 503: 1013}.get(refused.status, 4_000 + refused.status)
    reason = f"{said.get('code', said.get('id'))} {said['error']}"
    return Close(code, reason.encode()[:LONGEST_REASON].decode(errors="ignore"))
