"""A program as a process of its own: what it says is kept, and it does not outlive the test run."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

from undertaker import dies_with_us
from waiting import until

P = TypeVar("P", bound="Program")


class Program:
    """A process. `said` grows as it speaks, on whichever of its outputs."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=folder, env={**environment, "PYTHONUNBUFFERED": "1"}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        dies_with_us(self.process.pid)
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def says(self, words: str, within: float = 30) -> None:
        until(lambda: words in self.said or self.process.poll() is not None, within, words)
        assert words in self.said, self.said

    def answers(self, url: str, within: float = 40) -> None:
        """Return when there is an answer at this address, whichever."""

        def answered() -> bool:
            assert self.process.poll() is None, self.said
            try:
                return httpx.get(url, timeout=5).status_code > 0
            except httpx.TransportError:
                return False

        until(answered, within, url, every=0.05)

    def ends(self, number: signal.Signals | None = None, within: float = 30) -> int:
        """Its exit code, after this signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(within)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def ending(program: P) -> Iterator[P]:
    """The program, ended whatever happens."""
    try:
        yield program
    finally:
        program.ends(None if program.process.poll() is not None else signal.SIGKILL)


@contextmanager
def running(command: Sequence[str], folder: Path, environment: Mapping[str, str] = os.environ) -> Iterator[Program]:
    """A program, ended whatever happens."""
    with ending(Program(command, folder, environment)) as program:
        yield program
