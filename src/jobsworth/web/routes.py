"""Every address there is, in one table: its method, who may ask, what it takes and gives, and what answers it.

A route cannot be made without a level. `{id}` in a path is a job and `{queue}` a queue: the site looks them up and
refuses whoever may not see them, before any handler runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import live, users
from .access import SAFE, Level
from .message import JSON, Request, Response
from .refusal import MethodRefused, NoSuchPage

if TYPE_CHECKING:
    from .site import Site

EVENTS = "text/event-stream"
Handler = Callable[["Site", Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One address and method.

    query, data: Structs of what the query and the body may hold; nothing else is taken.
    answer:      the type of the JSON it gives, for the document; `kind` its media type.
    """

    method: str
    path: str
    level: Level
    handler: Handler
    about: str
    query: Any = None
    data: Any = None
    answer: Any = dict[str, Any]
    kind: str = JSON

    def __post_init__(self) -> None:
        if not isinstance(self.level, Level):
            raise TypeError(f"{self.method} {self.path} has no level")
        if self.method not in SAFE and (self.level < Level.USER or self.data is None):
            raise TypeError(f"{self.method} {self.path} changes something: it needs a level and a body type")

    @property
    def names(self) -> tuple[str, ...]:
        """What the path names: ("id",) of "/jobs/{id}/status"."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))


class Table:
    """Routes, found by method and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._shaped: dict[re.Pattern[str], dict[str, Route]] = {}
        for route in self.routes:
            methods = self._methods(route)
            if route.method in methods:
                raise ValueError(f"there are two routes for {route.method} {route.path}")
            methods[route.method] = route

    def _methods(self, route: Route) -> dict[str, Route]:
        if not route.names:
            return self._exact.setdefault(route.path, {})
        # {file} may hold slashes, all others are one segment.
        shape = re.sub(r"\{(\w+)\}", lambda it: f"(?P<{it[1]}>{'.+' if it[1] == 'file' else '[^/]+'})", route.path)
        return self._shaped.setdefault(re.compile(shape), {})

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route, and what the path names. Raises NoSuchPage (E604) or MethodRefused (E605)."""
        path = path.rstrip("/") or "/"
        names: dict[str, str] = {}
        methods = self._exact.get(path)
        if methods is None:
            found, methods = next(
                ((found, methods) for shape, methods in self._shaped.items() if (found := shape.fullmatch(path))),
                (None, {}),
            )
            if found is None:
                raise NoSuchPage("there is nothing here", hint="openapi.json lists what there is")
            names = found.groupdict()
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodRefused(sorted(methods.keys() | ({"HEAD"} if "GET" in methods else set())))
        return route, names


USERS = (
    Route(
        method="GET", path="/jobs/{id}/status", level=Level.USER, handler=users.status, query=users.Newer,
        answer=users.Snapshot, about="Where a job stands; with `since`, as soon as that has changed.",
    ),
    Route(
        method="GET", path="/jobs/{id}/events", level=Level.USER, handler=live.job_events, kind=EVENTS,
        about="A job's changes as they happen, until it has ended. Last-Event-ID: the version that is known.",
    ),
    Route(
        method="GET", path="/events", level=Level.USER, handler=live.events, query=live.Watched, kind=EVENTS,
        about="The changes of several jobs, of an owner's, or of the store as a whole.",
    ),
    Route(
        method="POST", path="/jobs/{id}/cancel", level=Level.USER, handler=users.cancel, data=users.Cancel,
        answer=users.Snapshot, about="Ask a job to stop.",
    ),
)  # fmt: skip
TABLE = Table(USERS)
