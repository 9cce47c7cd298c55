"""Programs on one fixed port: side by side, each in a network of its own; or one at a time where there is none."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import own_network
from own_network import in_own_network, networks
from private_server import Missing, free_port
from waiting import until

SERVES = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[2].encode())
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def command(port: int, name: str) -> list[str]:
    return [sys.executable, "-c", SERVES, str(port), name]


def said_on(port: int) -> str:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return answer.read().decode()
    return ""


def test_two_programs_listen_on_one_port() -> None:
    if not networks():
        pytest.skip("this machine lets us make no network")
    port = free_port()
    with (
        in_own_network(port, command(port, "one")) as (one, at),
        in_own_network(port, command(port, "two")) as (two, to),
    ):
        assert until(lambda: said_on(at)) == "one"
        assert until(lambda: said_on(to)) == "two"
        assert said_on(port) == ""
        one.send_signal(signal.SIGTERM)
        assert one.wait(20) == 7
    assert two.poll() is not None


def test_without_a_network_it_runs_here_unless_the_port_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(own_network, "networks", lambda: False)
    monkeypatch.setattr(own_network.tempfile, "gettempdir", lambda: str(tmp_path))
    port = free_port()
    with in_own_network(port, command(port, "here")) as (_, at):
        assert at == port
        assert until(lambda: said_on(port)) == "here"
    never: Any = in_own_network(port, command(port, "there"))
    with socket.create_server(("127.0.0.1", port)):  # noqa: SIM117
        with pytest.raises(Missing, match=f"port {port} is in use"):
            never.__enter__()
