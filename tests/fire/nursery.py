"""Where the fire tests' processes are born: forked off one that has imported everything, so that each works at once.

Otherwise each is what `python fire_app.py WHAT OPTIONS` would be: a process with a session of its own, to be stopped
and killed. The nursery itself has no threads, no engine and no loop.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from undertaker import dies_with_us

WARM = (
    "asyncio.runners", "fire_app", "ledger_app", "jobsworth.web", "jobsworth.worker", "jobsworth.engines.sqlite",
    "jobsworth.engines.postgres", "jobsworth.engines.redis",
)  # fmt: skip


class Born:
    """A process, as subprocess.Popen would have it."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ending(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.002)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The test run's side of it."""

    def __init__(self) -> None:
        self._wire, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
        )  # fmt: skip
        theirs.close()
        dies_with_us(self._process.pid)
        self._lock = threading.Lock()
        self._text = b""
        self._born: list[int] = []
        self._ended: dict[int, int] = {}

    def bear(self, program: Path, arguments: Sequence[str], environment: dict[str, str], out: Path, err: Path) -> Born:
        """Run a program of this folder; its output goes to files."""
        out.touch()
        err.touch()
        wish = {
            "module": program.stem,
            "arguments": arguments,
            "environment": environment,
            "out": f"{out}",
            "err": f"{err}",
        }
        with self._lock:
            self._wire.sendall(json.dumps(wish).encode() + b"\n")
            while not self._born:
                self._hear(60)
            pid = self._born.pop()
        dies_with_us(pid)
        return Born(self, pid)

    def ending(self, pid: int) -> int | None:
        """With which code it has ended, told once; None while it lives."""
        with self._lock:
            self._hear(0)
            return self._ended.pop(pid, None)

    def close(self) -> None:
        self._wire.close()
        self._process.wait(10)

    def _hear(self, within: float) -> None:
        while select.select([self._wire], [], [], within)[0]:
            piece = self._wire.recv(65536)
            assert piece, "the nursery has ended"
            *lines, self._text = (self._text + piece).split(b"\n")
            for line in lines:
                match line.split():
                    case [b"born", pid]:
                        self._born.append(int(pid))
                    case [b"ended", pid, code]:
                        self._ended[int(pid)] = int(code)
            within = 0


# The nursery's side.


def _bury(wire: socket.socket) -> None:
    """Tell who has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        wire.sendall(f"ended {pid} {os.waitstatus_to_exitcode(status)}\n".encode())


def _fork() -> int:
    """As os.fork(), but when it returns the child has its session."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
    else:
        os.close(there)
        os.read(here, 1)  # ends when the child closes its side
        there = -1
    for end in (here, there):
        if end >= 0:
            os.close(end)
    return pid


def _become(wish: dict[str, Any]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, name in ((1, wish["out"]), (2, wish["err"])):
        opened = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(wish["environment"])
    sys.argv = [wish["module"], *wish["arguments"]]
    runpy.run_module(wish["module"], run_name="__main__", alter_sys=True)


def main(wire: socket.socket) -> None:
    for name in WARM:
        importlib.import_module(name)
    awake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    text = b""
    while True:
        ready = select.select([wire, awake], [], [])[0]
        if awake in ready:
            os.read(awake, 4096)
            _bury(wire)
        if wire in ready:
            piece = wire.recv(65536)
            if not piece:
                return
            *wishes, text = (text + piece).split(b"\n")
            for wish in wishes:
                pid = _fork()
                if pid == 0:
                    for end in (wire, awake, waker):
                        end.close() if isinstance(end, socket.socket) else os.close(end)
                    _become(json.loads(wish))
                    return
                wire.sendall(f"born {pid}\n".encode())


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
