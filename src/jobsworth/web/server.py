"""A server for the site alone, with uvicorn (`jobsworth[dashboard]`): for `jobsworth dashboard` and `jobsworth dev`.

It never listens where others can reach it without asking who they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jobsworth.errors import BadOption, ExtraMissing, OpenToAll

from .access import Authorize, BasicAuth, Decision, Level, is_loopback, local_operator
from .message import Request
from .sockets import LONGEST_MESSAGE

if TYPE_CHECKING:
    from .site import Site

HOST, PORT = "127.0.0.1", 8642
AUTH = "JOBSWORTH_DASHBOARD_AUTH"
_BACKLOG = 100
_STOP_WITHIN = 2  # seconds for answers that are under way


def who_may(host: str, auth: str | None, *, level: Level = Level.ADMIN, local_without: bool = False) -> Authorize:
    """The `authorize` of a site that listens on `host`. Raises OpenToAll (E116) or BadOption.

    auth:          "user:password". local_without: whoever sits at this machine need not give it.
    """
    if auth:
        asked = BasicAuth(auth, level)
        return _Local(level, asked) if local_without else asked
    if not is_loopback(host):
        raise OpenToAll(
            f"the dashboard would listen on {host} for everybody: whoever reaches it could see, cancel and delete jobs",
            hint=f"set {AUTH}=user:password, or leave --host out, which listens on {HOST} only",
        )
    return _Local(level)


class _Local:
    """Whoever sits at this machine; others by password, if there is one."""

    def __init__(self, level: Level, others: BasicAuth | None = None) -> None:
        self._level, self._others = level, others
        self.challenge = others.challenge if others else "Bearer"

    def __call__(self, request: Request) -> Decision:
        found = local_operator(request, self._level)
        return self._others(request) if found is None and self._others is not None else found


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises BadOption (E105) if that is not possible."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        raise BadOption(
            f"cannot listen on {host} port {port}: {exc.strerror or exc}", hint="try another --port"
        ) from exc


def address_of(sock: socket.socket) -> str:
    """Where to point a browser."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(site: Site, sock: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM. Raises ExtraMissing (E115)."""
    server = _server(site)
    # It raises the signal that stopped it once more, for whoever listened before.
    before = {number: signal.signal(number, _heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[sock])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heard(_number: int, _frame: object) -> None:
    """The signal has done its work."""


@contextlib.contextmanager
def served(site: Site, sock: socket.socket) -> Iterator[None]:
    """Serve on a thread of its own for as long as the block lasts. Raises ExtraMissing (E115)."""
    server = _server(site)
    thread = threading.Thread(target=server.run, args=([sock],), name="jobsworth-dashboard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def _server(site: Site) -> Any:
    try:
        import uvicorn
    except ImportError as exc:
        raise ExtraMissing(
            "the dashboard needs uvicorn, which is not installed", hint="pip install 'jobsworth[dashboard]'"
        ) from exc

    class Server(uvicorn.Server):
        """Ends its streams and sockets first, so that nobody waits for those who only look on."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await asyncio.to_thread(site.close)
            await site.asgi.idle(_STOP_WITHIN)
            await super().shutdown(sockets)

    # No proxy headers: who is local is told by the connection. No access log: pages ask every few seconds.
    config = uvicorn.Config(
        site.asgi, log_config=None, log_level="warning", access_log=False, proxy_headers=False, server_header=False,
        timeout_graceful_shutdown=_STOP_WITHIN, lifespan="on", ws_max_size=LONGEST_MESSAGE,
        ws_per_message_deflate=False,
    )  # fmt: skip
    return Server(config)
