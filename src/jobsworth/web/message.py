"""Requests and responses as values: what a host (ASGI, WSGI, a test) translates from and to. No framework, no I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

import msgspec

if TYPE_CHECKING:
    from jobsworth.job import Job

    from .access import Visitor
    from .asking import Asking

MAX_BODY = 2 * 1_048_576  # bytes; the arguments of a job may take half of that
MAX_FIELDS = 200  # in a query
JSON = "application/json"
Headers = dict[str, str]


class Stream(Protocol):
    """Bytes that come while time goes by. The host closes it when its reader has gone, wherever it then stands.

    An async generator is one. Streams need a host with a running loop (`Request.streams`).
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def aclose(self) -> Coroutine[Any, Any, None]: ...


@dataclass(slots=True)
class Response:
    """An answer. Header names are in lower case; the site adds those that every answer has."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    body: bytes | Stream = b""


@dataclass(slots=True, kw_only=True)
class Request:
    """A question. The first part is the host's, the second is filled in by the site before a handler sees it.

    path:    below the place where the site is mounted, decoded: "/jobs/0199/status".
    headers: names in lower case; of several values the last, cookies joined.
    body:    None if there was more than MAX_BODY.
    prefix:  where the site is mounted ("/background"), "" at the root.
    client:  the address at the other end of the connection, which may be a proxy's; None if the host does not tell.
    raw:     the ASGI scope or the WSGI environ, for `authorize` functions: sessions and users live there.
    ask:     how to ask the engine from here (see Asking).
    streams: whether the host can send a Stream.
    """

    method: str
    path: str
    query_text: str = ""
    headers: Mapping[str, str]
    body: bytes | None = b""
    prefix: str = ""
    scheme: str = "http"
    client: str | None = None
    raw: Mapping[str, Any]
    ask: Asking
    streams: bool = False

    visitor: Visitor = field(init=False)
    names: dict[str, str] = field(init=False, default_factory=dict)  # from the path: {"id": "0199"}
    query: Any = field(init=False, default=None)  # of the route's type
    data: Any = field(init=False, default=None)  # of the route's type
    _job: Job | None = field(init=False, default=None)

    @property
    def job(self) -> Job:
        """The job the path names, which this visitor may see."""
        assert self._job is not None, "the route has no {id}"
        return self._job

    @job.setter
    def job(self, job: Job) -> None:
        self._job = job

    @property
    def query_values(self) -> dict[str, list[str]]:
        """The query as it was sent. Raises ValueError if it is not UTF-8, or too much."""
        pairs = parse_qsl(self.query_text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return values


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a value as JSON."""
    return Response(status, {"content-type": JSON, **(headers or {})}, msgspec.json.encode(value))
