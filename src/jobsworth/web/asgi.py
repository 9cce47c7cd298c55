"""The site as an ASGI app: translates, and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from .asking import OnLoop
from .message import MAX_BODY, Request, Response, Stream
from .sockets import LineCut

if TYPE_CHECKING:
    from .site import Site

_CLOSE_WITHIN = 2.0  # seconds for a reader to take our goodbye
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Asgi:
    """`app.mount("/background", site.asgi)`, or served by itself."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ask = OnLoop(site.jobs.bridge, site.engine_answered)
        self._sockets: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await _lifespan(receive, send)
            case "websocket":
                await self._socket(scope, receive, send)
            case kind:
                raise ValueError(f"this is no ASGI scope we know: {kind!r}")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self._request(scope)
        request.body = await _body(request.headers, receive)
        response = await self._site.answer(request)
        if isinstance(response.body, bytes):
            await _send_whole(request, response, response.body, send)
            return
        if request.method == "HEAD":
            await response.body.aclose()
            await _send_whole(request, response, b"", send)
            return
        try:
            await _start(response, send)
            await _send_stream(response.body, receive, send)
        except Exception as exc:  # noqa: BLE001 (told; the connection breaks, and whoever reads it comes again)
            self._site.tell_fault(request, exc)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # that somebody connects, which we know
        found = await self._site.connect(self._request(scope))
        if isinstance(found, Response):
            await _refuse(scope, found, send)
            return
        task = asyncio.current_task()
        assert task is not None
        self._sockets.add(task)
        try:
            await send({"type": "websocket.accept"})
            close = await found.run(_Line(receive, send))
            if close is not None:
                async with asyncio.timeout(_CLOSE_WITHIN):
                    await send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        except (OSError, TimeoutError):
            pass  # it has gone, or does not read: there is nobody to tell
        finally:
            found.close()
            self._sockets.discard(task)

    async def idle(self, within: float) -> None:
        """Until every socket has been closed, at most so many seconds. In the loop that serves them."""
        if self._sockets:
            await asyncio.wait(self._sockets, timeout=within)

    def _request(self, scope: Scope) -> Request:
        return Request(
            method=scope.get("method", "GET"), path=path_of(scope), headers=headers_of(scope),
            query_text=scope.get("query_string", b"").decode("latin-1"), prefix=scope.get("root_path", ""),
            scheme=scope.get("scheme", "http"), client=(scope.get("client") or (None,))[0], raw=scope, ask=self._ask,
            streams=True,
        )  # fmt: skip


class _Line:
    """A connection to a browser, as a socket needs it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send

    async def hear(self) -> str | bytes | None:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        return bytes(message["bytes"]) if text is None else text

    async def say(self, text: str) -> None:
        try:
            await self._send({"type": "websocket.send", "text": text})
        except OSError as exc:
            raise LineCut from exc


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of a scope: of several values the last, but cookies joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}; {value}" if name == "cookie" and name in headers else value
    return headers


def path_of(scope: Scope) -> str:
    """The path below the mount. By the standard `path` begins with `root_path`; not all hosts do that."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :]
    return path


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes | None:
    """The whole body; None if it is too large, of which no more than that is read."""
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > MAX_BODY:
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
        if not message.get("more_body", False):  # the end, or the client has gone
            return b"".join(parts)


async def _refuse(scope: Scope, response: Response, send: Send) -> None:
    """Refuse a socket before it is one: with the answer, where the host can send it, else with its own 403."""
    assert isinstance(response.body, bytes)
    if "websocket.http.response" in (scope.get("extensions") or {}):
        response.headers["content-length"] = str(len(response.body))
        await _start(response, send, "websocket.http.response.start")
        await send({"type": "websocket.http.response.body", "body": response.body})
        await asyncio.sleep(0)  # uvicorn writes down an error for who returns before the connection has ended
    else:
        await send({"type": "websocket.close", "code": 1008})


async def _start(response: Response, send: Send, kind: str = "http.response.start") -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": kind, "status": response.status, "headers": headers})


async def _send_whole(request: Request, response: Response, body: bytes, send: Send) -> None:
    response.headers["content-length"] = str(len(body))
    await _start(response, send)
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})


async def _send_stream(stream: Stream, receive: Receive, send: Send) -> None:
    """Send until it ends or its reader has gone; closed in any case, and never while it is running."""
    pump = asyncio.ensure_future(_pump(stream, send))
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        pump.cancel()
        gone.cancel()
        await asyncio.gather(pump, gone, return_exceptions=True)
        await stream.aclose()
    if not pump.cancelled():
        pump.result()


async def _pump(stream: Stream, send: Send) -> None:
    async for part in stream:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
