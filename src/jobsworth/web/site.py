"""The site: a program's queues over HTTP. Every request goes through answer(), whichever host brought it.

The order is the safety: route, origin, visitor, level, body, object, handler. A handler only ever runs for a visitor
who may see the job or queue its path names.
"""

from __future__ import annotations

import functools
import os
import time
import traceback
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, get_origin

import msgspec

from jobsworth.codec import MAX_DEPTH
from jobsworth.codec.carry import deeper_than
from jobsworth.engine import Where
from jobsworth.errors import BadName, BadOption, EngineUnavailable, JobNotFound, JobsworthError, TooDeep, UnknownQueue
from jobsworth.events import EngineBack, EngineLost, Fault, Listener, VisitorActed
from jobsworth.log import clean, harmless, read_aloud
from jobsworth.naming import checked

from .access import NOBODY, SAFE, Authorize, Level, Visitor, admit, checked_origins, same_site, tokens_of
from .asgi import Asgi
from .forecast import Forecast
from .hub import Hub
from .message import JSON, MAX_BODY, Request, Response
from .meter import Meter
from .past import Recent
from .refusal import (
    BadRequest,
    BodyTooLarge,
    CrossSite,
    NoSuchPage,
    NotJson,
    answer_to,
    unexpected,
)
from .routes import TABLE
from .sockets import Socket
from .table import Route, Table
from .wsgi import Wsgi

if TYPE_CHECKING:
    from jobsworth.app import Jobsworth
    from jobsworth.worker import Worker

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Site:
    """A Jobsworth's HTTP interface, to be mounted in an app or served by itself.

    authorize: who asks? A function from a Request to a Visitor, a Level or None (nobody), sync or async; or one Visitor
               or Level for everybody. There is no default: `local_operator` is for a site that listens on loopback.
    worker:    a worker in this process, of which /livez tells.
    origins:   other origins whose pages may ask with their users' cookies, as "https://app.example"; and all those,
               this site's own too, whose pages may open a WebSocket. Without any there is none.
    streams:   onlookers at once, in this process, sockets included.
    listener:  hears what visitors did and what went wrong; by default they become log lines.
    """

    table: Table = TABLE

    def __init__(
        self,
        jobs: Jobsworth,
        *,
        authorize: Authorize | Visitor | Level,
        worker: Worker | None = None,
        origins: Collection[str] = (),
        streams: int = 2_000,
        listener: Listener = read_aloud,
    ) -> None:
        if not (callable(authorize) or isinstance(authorize, (Visitor, Level))):
            raise BadOption(
                f"authorize must be a function, a Visitor or a Level, not {authorize!r}",
                hint="a function from a request to a Visitor, a Level or None; see docs/web.md",
            )
        self.jobs = jobs
        self.worker = worker
        self.origins = checked_origins(origins)
        self.forecast = Forecast()
        self.meter = Meter()
        self.recent = Recent()
        self.hub = Hub(jobs.bridge, self.forecast, most=streams)
        self._started = time.monotonic()
        self._authorize = authorize
        self._tell = harmless(listener)
        self.strangers: set[Socket] = set()  # sockets of which nobody knows yet whose they are
        self._lost: float | None = None  # since when the engine does not answer
        jobs.lifespan.streams.add(self)

    def __repr__(self) -> str:
        return f"<Site of {self.jobs!r}>"

    @functools.cached_property
    def asgi(self) -> Asgi:
        """The site as an ASGI app, under any root_path."""
        return Asgi(self)

    @functools.cached_property
    def wsgi(self) -> Wsgi:
        """The site as a WSGI app, under any SCRIPT_NAME."""
        return Wsgi(self)

    def close(self) -> None:
        """End all streams and sockets; those who read them come again elsewhere. The site can be used on."""
        for stranger in list(self.strangers):
            stranger.stop()
        self.hub.stop()

    async def answer(self, request: Request) -> Response:
        """The answer to a request. Raises nothing but what ends the program."""
        try:
            return self._dressed(await self._answer(request))
        except Exception as exc:  # noqa: BLE001 (told to the log under the id that the answer shows)
            return self.refuse(request, exc)

    async def connect(self, request: Request) -> Socket | Response:
        """The visitor's socket, or the answer that refuses it. Whoever gets a socket closes it."""
        try:
            return await self._connect(request)
        except Exception as exc:  # noqa: BLE001 (the same)
            return self.refuse(request, exc)

    def _dressed(self, response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if response.status == 401:
            response.headers["www-authenticate"] = getattr(self._authorize, "challenge", "Bearer")
        return response

    @property
    def uptime(self) -> float:
        """Seconds since the site was made."""
        return time.monotonic() - self._started

    async def _answer(self, request: Request) -> Response:
        route, request.names = self.table.find(request.method, request.path)
        request.visitor = await self._visitor(route, request)
        admit(route.level, request.visitor)
        request.query = _query(route, request)
        request.data = _data(route, request)
        admit(route.level_for(request.data), request.visitor)
        if "id" in request.names:
            request.job = await self._job(route, request)
        if "queue" in request.names:
            await self._check_queue(request)
        return await route.handler(self, request)

    async def _connect(self, request: Request) -> Socket:
        route, request.names = self.table.find("GET", request.path)
        if not route.socket or not self.origins:
            raise NoSuchPage("there is no WebSocket here", hint="Site(origins=[...]) offers one at /ws")
        # No other header tells whose page it is, and cookies come with a socket whosoever's page opens it.
        if request.headers.get("origin") not in self.origins:
            raise CrossSite("no page of this origin may open a socket here", hint="Site(origins=[...]) names those")
        request.visitor = await self._visitor(route, request)
        _query(route, request)
        return Socket(self, request, route.level)

    async def _visitor(self, route: Route, request: Request) -> Visitor:
        if route.level is Level.NONE:
            return NOBODY
        jobs = tokens_of(request, self.jobs.tokens)
        trusted = request.method in SAFE or same_site(request, self.origins)
        if not trusted and not jobs:
            raise CrossSite("another site's page asked for this", hint="ask from a page of the app itself")
        # What a browser sends by itself counts for nothing when another site's page made it send that.
        visitor = await self._judged(request) if trusted else NOBODY
        return msgspec.structs.replace(visitor, jobs=jobs) if jobs else visitor

    async def _judged(self, request: Request) -> Visitor:
        found: Any = self._authorize
        if callable(found):
            found = await request.ask.run(found, request)
        match found:
            case None:
                return NOBODY
            case Level():
                return Visitor(found)
            case Visitor():
                return found
            case _:
                raise TypeError(f"authorize gave a {type(found).__name__}; it must give a Visitor, a Level or None")

    async def _job(self, route: Route, request: Request) -> Any:
        job_id = request.names["id"]
        try:
            checked(job_id, "job id")
        except BadName:
            raise JobNotFound("no job has such an id") from None
        found = await request.ask.call(lambda engine: engine.find(Where(ids=(job_id,))))
        if not found or not request.visitor.may_see(found[0], route.level):
            raise JobNotFound("not there, or not theirs")
        return found[0]

    async def _check_queue(self, request: Request) -> None:
        name = request.names["queue"]
        if not request.visitor.serves(name):
            raise UnknownQueue("not theirs")
        if name not in self.jobs.queues:
            known = await request.ask.call(lambda engine: engine.queues(brief=True))
            if name not in {status.queue for status in known}:
                raise UnknownQueue("not there")

    def audit(self, request: Request, verb: str, what: str, jobs: int) -> None:
        """Tell who did what, to how many jobs."""
        self._tell(VisitorActed(request.visitor.called, verb, what, jobs))

    def refuse(self, request: Request, error: Exception) -> Response:
        """The answer to what was raised instead of an answer; the log is told of what is ours."""
        if isinstance(error, EngineUnavailable):
            self._engine_lost(error)
        said = answer_to(error) if isinstance(error, JobsworthError) else None
        return self._dressed(unexpected(self.tell_fault(request, error)) if said is None else said)

    def tell_fault(self, request: Request, error: Exception) -> str:
        """Tell what went wrong; returns the id under which it can be found."""
        error_id = os.urandom(4).hex()
        trace = "".join(traceback.format_exception(error))
        self._tell(Fault(f"error {error_id} at {request.method} {clean(request.path)}", str(error), trace))
        return error_id

    def _engine_lost(self, error: EngineUnavailable) -> None:
        if self._lost is None:
            self._lost = time.monotonic()
            self._tell(EngineLost(error.message))

    def engine_answered(self) -> None:
        """Called by hosts whenever the engine has answered."""
        if self._lost is not None:
            since, self._lost = self._lost, None
            self._tell(EngineBack(time.monotonic() - since))


def _query(route: Route, request: Request) -> Any:
    """The query as the route's type. Raises BadRequest (E609), also for what the route does not take."""
    try:
        values = request.query_values
    except ValueError as exc:
        raise BadRequest(f"the query cannot be read: {exc}") from exc
    if route.query is None:
        if values:
            raise BadRequest(f"the query takes no {next(iter(values))[:60]!r}")
        return None
    lists = {each.name for each in msgspec.structs.fields(route.query) if _is_list(each.type)}
    given: dict[str, Any] = {}
    for name, found in values.items():
        if name not in lists and len(found) > 1:
            raise BadRequest(f"the query holds {name[:60]!r} more than once")
        given[name] = found if name in lists else found[0]
    query = _made(lambda: msgspec.convert(given, route.query, strict=False), "the query")
    for name in given:
        if getattr(query, name) is None:  # "null" counts as nothing given, which nobody means who gives it
            raise BadRequest(f"the query: {name!r} cannot be null")
    return query


def _is_list(kind: Any) -> bool:
    plain = kind.__origin__ if hasattr(kind, "__metadata__") else kind
    return get_origin(plain) is tuple


def _data(route: Route, request: Request) -> Any:
    """The body as the route's type. An empty one stands for {}."""
    if route.data is None:
        return None
    if request.body is None:
        raise BodyTooLarge(f"the body is larger than {MAX_BODY // 1_048_576} MiB")
    body = request.body or b"{}"
    if request.body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise NotJson("bodies are JSON", hint="send it with Content-Type: application/json")
    if deeper_than(MAX_DEPTH + 4, body):
        raise TooDeep(f"the body is nested deeper than {MAX_DEPTH}")
    return _made(lambda: msgspec.json.decode(body, type=route.data), "the body")


def _made(make: Callable[[], Any], what: str) -> Any:
    try:
        return make()
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BadRequest(f"{what}: {str(exc)[:500]}") from exc
