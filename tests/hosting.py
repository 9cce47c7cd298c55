"""Web apps of a test behind the servers that people use, in this process, on a free port: uvicorn and werkzeug."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from werkzeug.serving import make_server

from waiting import until


@contextmanager
def by_uvicorn(app: Any) -> Iterator[httpx.Client]:
    """A client of the app, which has a lifespan. Fails if the app does not start."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=2))

        def serve() -> None:
            with contextlib.suppress(SystemExit):  # with which it ends when the app does not start
                server.run([listening])

        thread = threading.Thread(target=serve, name="uvicorn")
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive(), what="uvicorn has started")
            assert server.started, "the app did not start"
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def by_werkzeug(app: Any) -> Iterator[httpx.Client]:
    """A client of the app, which answers each request in a thread of its own."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="werkzeug")
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            yield client
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
        assert not thread.is_alive()
