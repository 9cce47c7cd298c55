"""The site as a WSGI app: translates, and decides nothing. The same handlers, driven in the server's own thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jobsworth.bridge import drive

from .asking import InPlace
from .message import MAX_BODY, Request

if TYPE_CHECKING:
    from .site import Site

Environ = dict[str, Any]


class Wsgi:
    """`DispatcherMiddleware(app.wsgi_app, {"/background": site.wsgi})`, or served by itself.

    Streams need a host that gives one thread to many readers: here whoever watches asks with ?since=.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ask = InPlace(site.jobs.bridge, site.engine_answered)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(
            method=environ["REQUEST_METHOD"], path=_text(environ.get("PATH_INFO", "")),
            query_text=environ.get("QUERY_STRING", ""), headers=_headers(environ), body=_body(environ),
            prefix=_text(environ.get("SCRIPT_NAME", "")), client=environ.get("REMOTE_ADDR"),
            raw=environ, ask=self._ask,
        )  # fmt: skip
        response = drive(self._site.answer(request))
        body = response.body
        if not isinstance(body, bytes):
            raise TypeError("a stream was made for a host that cannot send one")
        headers = [*response.headers.items(), ("content-length", str(len(body)))]
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        return [b"" if request.method == "HEAD" else body]


def _text(raw: str) -> str:
    """WSGI hands bytes over as latin-1; what is not UTF-8 matches nothing, and shows as such."""
    return raw.encode("latin-1").decode("utf-8", "replace")


def _headers(environ: Environ) -> dict[str, str]:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers


def _body(environ: Environ) -> bytes | None:
    """The whole body; None if it is too large. Without a length there is none, but where the server says otherwise."""
    announced = environ.get("CONTENT_LENGTH") or ""
    if announced.isdecimal():
        length = int(announced[:20])
        if length > MAX_BODY:
            return None
        return bytes(environ["wsgi.input"].read(length)) if length else b""
    if not environ.get("wsgi.input_terminated"):
        return b""
    body = bytes(environ["wsgi.input"].read(MAX_BODY + 1))
    return body if len(body) <= MAX_BODY else None
