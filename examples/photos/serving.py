"""How the page is served, whatever is on it: what every answer tells the browser, and an end that waits for nobody."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobsworth.web import Site

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "private, no-cache",
}


class SafeHeaders:
    """Middleware that adds HEADERS where an answer does not say otherwise. A Site's answers have their own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, tell)


class Server(uvicorn.Server):
    """uvicorn waits until all answers are complete before it ends, but a stream goes on: streams are closed first."""

    def __init__(self, app: ASGIApp, site: Site, **options: object) -> None:
        quick = {"timeout_graceful_shutdown": 2, "proxy_headers": False, "server_header": False}
        super().__init__(uvicorn.Config(app, **quick, **options))
        self._site = site

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._site.close)
        await super().shutdown(sockets)
