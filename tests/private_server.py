"""How a server private to one test run is found, started, stopped, killed and cleared away, whichever server it is.

It has a folder of its own and a port of its own on 127.0.0.1, and is gone when the run is over, however the run ended.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest

from undertaker import Undertaker, kill_family
from waiting import until

# Beside PATH. Of several PostgreSQLs the newest is taken.
PLACES = [
    "/usr/lib/postgresql/*/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin", "/usr/local/opt/postgresql*/bin",
    "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/pgbouncer/bin", "/opt/homebrew/opt/pgbouncer/bin",
]  # fmt: skip
_dice = random.SystemRandom()  # tests seed the other one


class Missing(Exception):
    """A server's program is not on this machine."""


class Fell(Exception):
    """A server ended as soon as it was started."""


def find(*names: str) -> Path | None:
    """The first of these programs that is in PATH, else in one of PLACES."""
    for name in names:
        found = shutil.which(name)
        if found:
            return Path(found)
    for place in PLACES:
        folders = sorted(Path("/").glob(place.lstrip("/")), key=lambda path: [*map(int, re.findall(r"\d+", str(path)))])
        for folder in reversed(folders):
            for name in names:
                if os.access(folder / name, os.X_OK):
                    return folder / name
    return None


def free_port() -> int:
    """A port nobody listens on, below those that the system gives to clients.

    Among those a client that knocks at a dead server's port again and again would sooner or later be given that very
    port to knock from, meet itself there, and keep the server from coming back.
    """
    while True:
        port = _dice.randrange(15_000, 32_000)
        with contextlib.closing(socket.socket()) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                trial.bind(("127.0.0.1", port))
                return port


class Server:
    """One private server. `start`, `stop` and `kill` may follow each other in any order: port and folder stay."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    package: ClassVar[str]  # Debian's, Ubuntu's
    formula: ClassVar[str]  # Homebrew's
    politely: ClassVar[signal.Signals] = signal.SIGTERM  # the signal that means: tidy up and end
    refuses_root: ClassVar[bool] = False

    def __init__(self, undertaker: Undertaker, *, durable: bool = False) -> None:
        program = find(*self.programs)
        if program is None:
            raise Missing(
                f"{self.name} is not on this machine (Debian: apt-get install {self.package}; "
                f"macOS: brew install {self.formula})"
            )
        self.program, self.durable = program, durable
        self._undertaker = undertaker
        self._process: subprocess.Popen[bytes] | None = None
        self._user = self._somebody() if self.refuses_root and os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix=f"jobsworth-{self.name.lower()}-"))
        undertaker.folder(self.folder)
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.port = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that `kill` kills; the last one's when none runs."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What it said so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, if it does not run, and return when it answers. The first time a port is chosen."""
        if self.running:
            return
        if not self.port:
            self._prepare()
            for _ in range(4):
                self.port = free_port()
                with contextlib.suppress(Fell):  # somebody was quicker and has the port
                    self._launch()
                    return
        self._launch()

    def stop(self) -> None:
        """End it in good order, if it runs."""
        if self._process is None or not self.running:
            return
        os.kill(self.pid, self.politely)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._undertaker.forget(self.pid)

    def kill(self) -> None:
        """kill -9 of all its processes, if it runs; returns when they are dead."""
        if self._process is None or not self.running:
            return
        kill_family(self.pid)
        self._process.wait(10)
        self._undertaker.forget(self.pid)

    def close(self) -> None:
        """End it for good: nothing of it is left."""
        self.stop()
        shutil.rmtree(self.folder)
        self._undertaker.forget(self.folder)

    def _prepare(self) -> None:
        """What is done once, before the first start."""

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        """True when it takes work; OSError and False both mean: not yet."""
        raise NotImplementedError

    def _launch(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, start_new_session=True, **self._surroundings()
            )
        self._undertaker.process(process.pid, self.politely)

        def ready() -> bool:
            if process.poll() is not None:
                return True
            with contextlib.suppress(OSError):
                return self._answers()
            return False

        try:
            until(ready, 60, f"{self.name} answers", every=0.01)
        except AssertionError as late:
            self.kill()
            raise AssertionError(f"{late}; it said:\n{self.log()[-3000:]}") from None
        if process.poll() is not None:
            self._undertaker.forget(process.pid)
            raise Fell(f"{self.name} ended at once; it said:\n{self.log()[-3000:]}")

    def _surroundings(self) -> dict[str, Any]:
        """The folder, user and environment its programs run with."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        who = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        return {"cwd": self.folder, "env": environment | {"LC_ALL": "C"}, "stdin": subprocess.DEVNULL, **who}

    @staticmethod
    def _somebody() -> pwd.struct_passwd:
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name)
        raise Missing('PostgreSQL and PgBouncer refuse root, and there is no user "postgres" or "nobody"')


class Given:
    """A server somebody else runs: used, never disturbed."""

    variable: ClassVar[str]

    def __init__(self, url: str) -> None:
        self.url = url
        self.running = True

    def start(self) -> None:
        """It runs."""

    def stop(self) -> None:
        self._leave_alone("stopped")

    def kill(self) -> None:
        self._leave_alone("killed")

    @property
    def _hidden(self) -> Any:
        self._leave_alone("looked into")

    pid = port = folder = unix_url = _hidden

    def close(self) -> None:
        """It stays."""

    def _leave_alone(self, what: str) -> NoReturn:
        pytest.skip(f"NOT TESTED: the server of {self.variable} is not ours to be {what}")
