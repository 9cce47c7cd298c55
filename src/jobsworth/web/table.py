"""What a route is, and how one is found by method and path."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .access import SAFE, Level
from .message import JSON, Request, Response
from .refusal import MethodRefused, NoSuchPage

if TYPE_CHECKING:
    from .site import Site

Handler = Callable[["Site", Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One address and method.

    level:       who may ask; `raised` says which actions named in the body need more.
    query, data: Structs of what the query and the body may hold; nothing else is taken.
    answer:      the type of the JSON it gives, for the document; `kind` its media type.
    socket:      hosts that can make it a WebSocket; whoever asks without one is answered by the handler.
    gives, refuses: the statuses of its answer, and of refusals that not every route has.
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
    gives: tuple[int, ...] = (200,)
    refuses: tuple[int, ...] = ()
    raised: Mapping[str, Level] = field(default_factory=dict)
    socket: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.level, Level):
            raise TypeError(f"{self.method} {self.path} has no level")
        if self.method not in SAFE and (self.level < Level.USER or self.data is None):
            raise TypeError(f"{self.method} {self.path} changes something: it needs a level and a body type")
        if "id" in self.names and self.level < Level.USER:
            raise TypeError(f"{self.method} {self.path} names a job: it needs a level")

    @property
    def names(self) -> tuple[str, ...]:
        """What the path names: ("id",) of "/jobs/{id}/status"."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    def level_for(self, data: Any) -> Level:
        """The level this very request needs."""
        return self.raised.get(data.action, self.level) if self.raised else self.level


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
