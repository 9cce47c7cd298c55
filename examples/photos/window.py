"""The demo's page: web.py, served by this process on a free port of this machine and opened in a browser."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import webbrowser
from types import TracebackType

import web
from rich.console import Console
from serving import Server
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

OWNER = "visitor:demo"  # whose the demo's own pictures are


def can_open(console: Console) -> bool:
    """Whether somebody sits here who would see a page open."""
    if not (console.is_terminal and sys.stdin.isatty()):
        return False
    if sys.platform == "darwin":
        seen = "SSH_CONNECTION" not in os.environ
    else:  # without a desktop there may be browsers for terminals, but ours is in use
        seen = any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))
    try:
        return seen and bool(webbrowser.get())
    except webbrowser.Error:
        return False


class Window:
    """The page, for as long as the `with` block lasts. `url` makes whoever opens it the one who owns the pictures."""

    def __init__(self) -> None:
        path = f"/demo/{secrets.token_urlsafe(9)}"  # others on this machine do not know it
        web.app.router.routes.append(Route(path, _enter))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server = Server(web.app, web.site, log_config=None, log_level="warning")
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="page")
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}{path}"

    def __enter__(self) -> Window:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join()

    def open(self) -> None:
        """Open the page in a browser; returns at once."""
        threading.Thread(target=webbrowser.open, args=[self.url], name="browser", daemon=True).start()


async def _enter(request: Request) -> Response:
    request.session["owner"] = OWNER
    return RedirectResponse("/", 303)
