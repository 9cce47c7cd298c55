"""Both Spikards as real processes: 0.17 is installed beside us, 0.8 apart from it (scripts/install_apart.sh)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from own_network import in_own_network, running
from private_server import Missing, free_port
from servers import hire
from waiting import until

OLD, NEW = SPELLINGS = ("0.8", "0.17")
APART = Path(sys.prefix) / "apart" / f"spikard-{OLD}"
FIXED = 8000  # where 0.17 listens, whatever it is told
ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "spikard"


class Server:
    """A running one."""

    def __init__(self, process: subprocess.Popen[str], url: str, said: Path) -> None:
        self.process = process
        self.client = httpx.Client(base_url=url, timeout=40)
        self._said = said

    @property
    def said(self) -> str:
        return self._said.read_text(encoding="utf-8", errors="replace")

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, path, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, data: Any, **more: Any) -> httpx.Response:
        return self.ask("POST", path, json=data, **more)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.said
        with contextlib.suppress(httpx.TransportError):
            return self.get("/livez", timeout=5).status_code == 200
        return False


@contextmanager
def served(spelling: str, program: Path, folder: Path, **environment: str) -> Iterator[Server]:
    """The program in that folder, with that Spikard, as soon as it answers. Where it cannot run the test is skipped."""
    with contextlib.ExitStack() as stack:
        yield hire(lambda: stack.enter_context(_served(spelling, program, folder, environment)))


@contextmanager
def _served(spelling: str, program: Path, folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / f"said-{time.monotonic_ns()}.txt"
    surroundings = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    command = [sys.executable, str(program)]
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(said.open("w"))
        more = {"cwd": folder, "env": surroundings, "stdout": output, "stderr": subprocess.STDOUT}
        if spelling == OLD:
            if not (APART / ".list").exists():
                raise Missing(f"Spikard {OLD} is not in {APART} (make setup installs it)")
            port = free_port()
            surroundings["PORT"] = str(port)
            surroundings["PYTHONPATH"] = os.pathsep.join(filter(None, [str(APART), os.environ.get("PYTHONPATH")]))
            process = stack.enter_context(running(subprocess.Popen(command, text=True, **more)))
        else:
            process, port = stack.enter_context(in_own_network(FIXED, command, **more))
        server = Server(process, f"http://127.0.0.1:{port}", said)
        stack.callback(server.client.close)
        until(server.answers, 40, "it answers", every=0.05)
        yield server
