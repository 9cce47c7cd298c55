"""The command `jobsworth` as tests use it: run whole as a process, on a terminal of its own, or within this process."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from jobsworth.cli import main
from undertaker import dies_with_us

COMMAND = (sys.executable, "-m", "jobsworth")
APP = """
import threading, time
from jobsworth import Jobsworth, QueueService, Retry, current_job

jobs = Jobsworth()
print("the app is imported")  # to stdout, as people do


@jobs.task
def add(a: int, b: int) -> int:
    return a + b


@jobs.task
def greet(name: str) -> str:
    return f"Hello {name}"


@jobs.task(retry=Retry(max_attempts=2, base=0.01))
def boom(what: str):
    raise ValueError(f"no {what}")


@jobs.task(queue="slow")
def slow(seconds: float = 60.0) -> float:
    job = current_job()
    print("slow begins", flush=True)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job.report_progress(percent=100 * (1 - (until - time.monotonic()) / seconds), message="working")
        job.check_cancelled()
        time.sleep(0.02)
    return seconds


@jobs.task(queue="stuck")
def stuck() -> None:
    time.sleep(600)


class Images(QueueService):
    name = "images"

    def handle_item(self, item):
        return item


images = jobs.add(Images())
"""


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def clean_environment(**more: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("JOBSWORTH_", "NO_COLOR", "TERM"))
    }
    return {**kept, "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(
    folder: Path, *arguments: str, timeout: float = 60, stdin: str = "", program: Sequence[str] = COMMAND,
    **environment: str,
) -> Done:  # fmt: skip
    """The whole command, as a shell would start it: no terminal anywhere. program: of others that hand over to it."""
    done = subprocess.run(
        [*program, *arguments], cwd=folder, env=clean_environment(**environment), input=stdin, capture_output=True,
        text=True, timeout=timeout, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


class Running:
    """A command that goes on. `err` grows as it speaks."""

    def __init__(self, folder: Path, *arguments: str, program: Sequence[str] = COMMAND, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*program, *arguments], cwd=folder, env=clean_environment(**environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        dies_with_us(self.process.pid)
        self.err = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.err += line

    @property
    def pid(self) -> int:
        return self.process.pid

    def ends(self, within: float = 30) -> int:
        code = self.process.wait(within)
        self._reader.join(10)
        if not self._reader.is_alive() and self.process.stderr is not None:
            self.process.stderr.close()
        return code


def run_here(folder: Path, *arguments: str, stdin: str = "", terminal: bool = False) -> Done:
    """The command within this process: much faster, and the app's module is forgotten afterwards."""
    out, err, before = io.StringIO(), io.StringIO(), set(sys.modules)
    typed = io.StringIO(stdin)
    typed.isatty = lambda: terminal  # type: ignore[method-assign]
    path, here = list(sys.path), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.object(sys, "stdin", typed):
            code = main(arguments)
    finally:
        os.chdir(here)
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if not name.startswith(("jobsworth", "cyclopts", "rich")) and getattr(
                sys.modules[name], "__file__", ""
            ) == str(folder / f"{name}.py"):
                del sys.modules[name]
        importlib.invalidate_caches()
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def running(folder: Path, *arguments: str, program: Sequence[str] = COMMAND, **environment: str) -> Iterator[Running]:
    """A command in the background, killed at the end if it still runs."""
    command = Running(folder, *arguments, program=program, **environment)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
        command.ends()


def on_terminal(
    folder: Path, *arguments: str, answers: Sequence[tuple[str, str]] = (), timeout: float = 60
) -> tuple[int, str]:
    """The command on a pseudo-terminal. Each answer (what it waits for, what is then typed) is given once, in order."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            os.execve(COMMAND[0], [*COMMAND, *arguments], clean_environment(TERM="xterm-256color", COLUMNS="120"))
        finally:
            os._exit(127)
    dies_with_us(pid)
    seen, left, deadline = "", list(answers), time.monotonic() + timeout
    while time.monotonic() < deadline:
        readable, _, _ = select.select([terminal], [], [], 0.1)
        if readable:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # Linux: the other side has closed
                break
            if not part:
                break
            seen += part.decode(errors="replace")
        if left and left[0][0] in seen:
            os.write(terminal, left.pop(0)[1].encode())
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), seen
