"""Jobsworth in a Spikard app, in both spellings: `Spikard` (0.8) and `App` (0.17). Translates, and holds no rule.

Both call a `def` handler in a thread of its own, so the site is driven there as it is in a WSGI server's: whole answers
only, and whoever watches a job asks with ?since=. A coroutine would hold up the one loop that all handlers share.
"""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote, urlencode

from jobsworth.app import Jobsworth
from jobsworth.bridge import drive
from jobsworth.errors import BadOption, ExtraMissing
from jobsworth.web import Level, Request, Response, Site, Visitor
from jobsworth.web.access import Authorize
from jobsworth.web.asking import InPlace
from jobsworth.web.message import MAX_BODY
from jobsworth.web.routes import MONITORS, TABLE, USERS
from jobsworth.web.table import Route

try:
    import spikard
except ImportError as missing:
    raise ExtraMissing("Spikard is not installed", hint='pip install "jobsworth[spikard]"') from missing

MONITORING = (*USERS, *MONITORS)
EVERYTHING = TABLE.routes  # the dashboard and its addresses too
STOPS = (signal.SIGINT, signal.SIGTERM)


def register(
    app: Any,
    jobs: Jobsworth,
    *,
    authorize: Authorize | Visitor | Level,
    prefix: str = "",
    routes: Iterable[Route] = MONITORING,
    streams: int = 200,
    **options: Any,
) -> Site:
    """Add the site's routes to a Spikard app before it runs; returns the site.

    authorize: who asks? As for Site, and required. The request's `raw` holds `cookies`; nobody knows its `client` here.
    prefix:    where they begin ("/background"), "" for the root.
    routes:    MONITORING (a job's status with long-poll, its cancellation, health, numbers) or EVERYTHING.
    streams:   onlookers at once. Each holds a thread while it waits; when Spikard's 512 are held it answers nobody.
    options:   the others of Site.

    Raises BadOption (E105).
    """
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise BadOption(f"prefix begins with a slash and does not end with one, unlike {prefix!r}")
    spelling = _spelling(app)
    site = Site(jobs, authorize=authorize, streams=streams, **options)
    ask = InPlace(jobs.bridge, site.engine_answered)

    def answer(asked: _Asked) -> Response:
        return drive(site.answer(asked.translated(prefix, ask)))

    for route in routes:
        path = prefix + route.path.replace("{file}", "{file:path}")  # it alone may hold slashes
        spelling.add(route.method, path, answer)
    return site


def serve(app: Any) -> None:
    """Run the app until SIGINT or SIGTERM, then return, so that `with jobs.worker(): serve(app)` ends the worker too.

    For the main thread. What is asked while the program ends may still be answered. Raises what app.run() raises.
    """
    _spelling(app).run()


class _Asked:
    """A request as Spikard hands it over, in either spelling."""

    def __init__(self, given: Callable[[str], Any], query: Mapping[str, Any]) -> None:
        self._given = given
        self._query = query

    def translated(self, prefix: str, ask: InPlace) -> Request:
        given = self._given
        body = bytes(given("raw_body") or b"")
        # Spikard packs what it sends itself, or not at all: it cannot be handed what is packed already.
        headers = {name.lower(): text for name, text in given("headers").items() if name.lower() != "accept-encoding"}
        return Request(
            method=given("method"), path=unquote(given("path")).removeprefix(prefix), headers=headers, prefix=prefix,
            query_text=_as_text(self._query), body=body if len(body) <= MAX_BODY else None,
            raw={"cookies": given("cookies")}, ask=ask,
        )  # fmt: skip


Answer = Callable[[_Asked], Response]


class _Spelling(Protocol):
    def add(self, method: str, path: str, answer: Answer) -> None: ...
    def run(self) -> None: ...


class _Spikard:
    """0.8: `Spikard(ServerConfig(...))`."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._as_it_is: Any = vars(spikard)["StreamingResponse"]  # its Response reads JSON and writes other numbers

    def add(self, method: str, path: str, answer: Answer) -> None:
        def handler(request: Any) -> Any:
            # There are numbers in its query where text looked like one: 007 has become 7.
            response = answer(_Asked(lambda name: getattr(request, name), request.query_params))
            return self._as_it_is(_whole(response), status_code=response.status, headers=response.headers)

        handler.__annotations__["request"] = spikard.Request  # it is handed over by this type, else there is None
        for each in {path, path.rstrip("/") or path}:  # a prefix without its slash leads to the one with it
            self._app.register_route(method, each, handler)

    def run(self) -> None:
        """It hears no signal, and keeps its thread from running a signal's handler: so that is not the main one."""
        over = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                self._app.run()
            except BaseException as exc:  # noqa: BLE001 (raised again in the main thread)
                failed.append(exc)
            finally:
                over.set()

        before = [(stop, signal.signal(stop, lambda *_: over.set())) for stop in STOPS]
        threading.Thread(target=run, name="spikard", daemon=True).start()
        over.wait()
        for stop, handler in before:
            signal.signal(stop, handler or signal.SIG_DFL)  # None was put there by no Python
        if failed:
            raise failed[0]


class _App:
    """0.17: `App()`. What it wraps hands over the whole request, its own handlers only see what they name."""

    # Without a declared parameter no query comes as it was sent. It need not be there.
    _QUERY = json.dumps({"type": "object", "properties": {"since": {"type": "string", "source": "query"}}})

    def __init__(self, app: Any, inner: Any) -> None:
        self._app, self._inner = app, inner

    def add(self, method: str, path: str, answer: Answer) -> None:
        from spikard._spikard import Method, RouteBuilder

        def handler(request: dict[str, Any]) -> dict[str, Any]:
            response = answer(_Asked(request.__getitem__, request["raw_query_params"]))
            assert isinstance(response.body, bytes)
            return {"content": response.body.decode(), "status_code": response.status, "headers": response.headers}

        path = path.rstrip("/") or path  # it adds the one with a slash itself
        builder = RouteBuilder.new(getattr(Method, method), path).handler_name("jobsworth").sync()
        self._inner.register_route(builder.params_schema_json(self._QUERY), handler)

    def run(self) -> None:
        """It hears both signals."""
        with contextlib.suppress(KeyboardInterrupt):
            self._app.run()


def _spelling(app: Any) -> _Spelling:
    if hasattr(app, "register_route") and hasattr(app, "get_routes"):
        return _Spikard(app)
    inner = getattr(app, "_app", None)
    if hasattr(inner, "register_route") and hasattr(app, "add_route"):
        return _App(app, inner)
    raise BadOption(f"{app!r} is no Spikard app", hint="spikard.Spikard of 0.8, or spikard.App of 0.17")


async def _whole(response: Response) -> AsyncIterator[bytes]:
    assert isinstance(response.body, bytes)
    yield response.body


def _as_text(query: Mapping[str, Any]) -> str:
    """A query that has been read as a text again."""
    pairs = [(name, each) for name, found in query.items() for each in (found if isinstance(found, list) else [found])]
    return urlencode([(name, each if isinstance(each, str) else json.dumps(each)) for name, each in pairs])
