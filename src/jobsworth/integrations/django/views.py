"""The site among a project's pages: from Django's requests to ours, and back. It decides nothing."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from jobsworth.bridge import Bridge, drive
from jobsworth.web.asking import OnLoop
from jobsworth.web.message import MAX_BODY, Request, Response, Stream
from jobsworth.web.site import Site

from .access import who_asks
from .runs import let_go

DJANGOS = "django.request"  # in a request's `raw`: Django's own
_sites: dict[Bridge, Site] = {}
_making = threading.Lock()


async def _visitor(request: Request) -> Any:
    """Signed in as whom? Sessions and users are in the database, in the thread that is Django's for this request."""
    return await sync_to_async(who_asks, thread_sensitive=True)(request.raw[DJANGOS])


def the_site() -> Site:
    """The site of the project's jobs, wherever they live now."""
    from jobsworth.integrations.django import jobs

    bridge = jobs.bridge
    with _making:
        if bridge not in _sites:
            for left in _sites.values():
                left.close()
            _sites.clear()
            _sites[bridge] = Site(jobs, authorize=_visitor)
        return _sites[bridge]


async def site(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """Every address of the site: see urls.py. A WSGI server is given whole answers only."""
    the = the_site()
    mount = request.path[: len(request.path) - len(path)].rstrip("/")
    asked = Request(
        method=request.method or "GET", path=f"/{path}", query_text=request.META.get("QUERY_STRING", ""),
        headers={name.lower(): value for name, value in request.headers.items()}, body=_body(request),
        prefix=mount, scheme=request.scheme or "http", client=request.META.get("REMOTE_ADDR"),
        raw={DJANGOS: request}, ask=OnLoop(the.jobs.bridge, the.engine_answered),
        streams=isinstance(request, ASGIRequest),
    )  # fmt: skip
    return await _given_back(await the.answer(asked), asked.method)


def _body(request: HttpRequest) -> bytes | None:
    announced = request.headers.get("content-length") or "0"
    if announced.isdecimal() and int(announced[:20]) > MAX_BODY:
        return None
    try:
        body = bytes(request.body)
    except RequestDataTooBig:  # the project's own limit is lower
        return None
    return body if len(body) <= MAX_BODY else None


async def _given_back(response: Response, method: str) -> HttpResponseBase:
    body = response.body
    if isinstance(body, bytes):
        headers = {**response.headers, "content-length": str(len(body))}
        return HttpResponse(b"" if method == "HEAD" else body, status=response.status, headers=headers)
    if method == "HEAD":
        await body.aclose()
        return HttpResponse(status=response.status, headers=response.headers)
    await sync_to_async(let_go, thread_sensitive=True)()  # else each onlooker would keep a connection for an hour
    return StreamingHttpResponse(_Parts(body), status=response.status, headers=response.headers)


class _Parts:
    """A stream as Django wants it, which closes it when its reader has gone, be that before it has begun."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    def close(self) -> None:
        drive(self._stream.aclose())
