"""`jobsworth dev`: a worker that starts again whenever a .py file in this folder changes.

This process only watches; the worker is a child, so an app that does not import cannot end it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jobsworth.errors import AppNotFound, BadOption
from jobsworth.locate import CANDIDATES
from jobsworth.log import clean
from jobsworth.version import VERSION
from jobsworth.web.server import PORT
from jobsworth.worker.supervisor import PARENT_FD, how_it_ended, worker_command

from . import text
from .options import HERE, Place, spec_of
from .terminal import say
from .work import DEV

EVERY = 0.5  # seconds between two looks at the files
STOP_WITHIN = 5.0  # seconds for the worker to hand its jobs back, before it is killed
MOST = 20_000  # files looked at: a folder with more is not one somebody edits
_SKIPPED = {"node_modules", "__pycache__", "site-packages", "build", "dist"}


def dev(
    spec: Annotated[str | None, Parameter(name="spec")] = None,
    /,
    *,
    queues: str | None = None,
    port: int = PORT,
    place: Place = HERE,
) -> int:
    """Run jobs, show the dashboard, and start again when a .py file in this folder changes.

    For example:
      jobsworth dev
      jobsworth dev app.py

    Every job that is done is logged. At a reload running jobs go back to their queue at once, at no cost. For
    production use `jobsworth worker`.

    Parameters
    ----------
    spec
        The app, as module:name or file.py; the same as --app.
    queues
        Queues to serve, with how many jobs at once: images:4,mailers. All, with their worker_count, if not given.
    port
        The port of the dashboard, which only this machine reaches; 0 for no dashboard.
    """
    if not 0 <= port < 65_536:
        raise BadOption(f"--port must be between 0 and 65535, not {port}")
    named = spec_of(place, spec)
    if named is None:
        raise AppNotFound(
            f"no app is named, and none of {', '.join(CANDIDATES)} here holds one",
            hint="name it: jobsworth dev app.py",
        )
    pairs = {"--app": named, "--url": place.url, "--queues": queues}
    options = [f"{option}={value}" for option, value in pairs.items() if value is not None]
    with _quiet_signals() as ears:
        Reloader(worker_command(*options, "--grace=0"), Path.cwd(), ears, port).run()
    return 0


class Reloader:
    """Runs a command again and again: after a change, never because it ended by itself."""

    def __init__(self, command: list[str], folder: Path, ears: int, port: int = 0) -> None:
        self._port = port  # of the dashboard; 0 for none
        self._command = command
        self._folder = folder
        self._ears = ears
        self._pipe = os.pipe()

    def run(self) -> None:
        """Until a signal comes."""
        say(f"jobsworth {VERSION} · dev: starts again when a .py file in {self._folder} changes · Ctrl-C to stop")
        seen = changes = fingerprints(self._folder)
        process = self._start()
        told = False
        try:
            while not self._heard(EVERY):
                code = process.poll()
                if code is not None and not told:
                    told = True
                    ended = "could not start" if code == 2 else how_it_ended(code)
                    say(f"the worker {ended}; waiting for a change")
                changes, seen = seen, fingerprints(self._folder)
                if changes != seen:
                    say(f"{clean(_what_changed(changes, seen))} changed: starting again")
                    self._stop(process)
                    process, told = self._start(), False
        finally:
            self._stop(process)
            for end in self._pipe:
                os.close(end)

    def _heard(self, seconds: float) -> bool:
        readable, _, _ = select.select([self._ears], [], [], seconds)
        return bool(readable)

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own, so that Ctrl-C reaches us alone; the pipe, so that it does not outlive us.
        environment = {**os.environ, PARENT_FD: str(self._pipe[0]), DEV: str(self._port)}
        return subprocess.Popen(  # noqa: S603 (our own command)
            self._command, stdin=subprocess.DEVNULL, env=environment, pass_fds=(self._pipe[0],), start_new_session=True
        )

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def fingerprints(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and size of every .py file under a folder, leaving out environments, caches and hidden folders."""
    found: dict[str, tuple[int, int]] = {}
    waiting = [str(folder)]
    while waiting and len(found) < MOST:
        try:
            with os.scandir(waiting.pop()) as entries:
                inside = list(entries)
        except OSError:  # it went away, or is not ours to read
            continue
        if any(entry.name == "pyvenv.cfg" for entry in inside):
            continue
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _SKIPPED:
                    waiting.append(entry.path)
            elif entry.name.endswith(".py"):
                with contextlib.suppress(OSError):
                    stat = entry.stat()
                    found[entry.path] = (stat.st_mtime_ns, stat.st_size)
    return found


def _what_changed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> str:
    names = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    first = os.path.relpath(names[0])
    return first if len(names) == 1 else f"{first} and {text.count(len(names) - 1, 'other file')}"


@contextlib.contextmanager
def _quiet_signals() -> Iterator[int]:
    """Turn SIGTERM and SIGINT into something to read, so that stopping is the same wherever we are."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def heard(_number: int, _frame: object) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(writing, b"!")

    before = {number: signal.signal(number, heard) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for end in (reading, writing):
            os.close(end)
