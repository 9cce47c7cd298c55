"""The test project's programs as processes of their own: its servers, its workers, its commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from django_here import HERE

from undertaker import dies_with_us
from waiting import until

MANAGE = "manage.py"
JOBSWORTH = (sys.executable, "-m", "jobsworth")


class Running:
    """A process. `said` grows as it speaks, on whichever of its outputs."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
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
def running(folder: Path, *words: str, **environment: str) -> Iterator[Running]:
    """A program of the project, in a folder that holds its manage.py; ended whatever happens."""
    if not (folder / MANAGE).exists():
        shutil.copy(HERE / "django_site" / MANAGE, folder)
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    command = [sys.executable, *words] if words[0] in (MANAGE, "-m") else [*JOBSWORTH, *words]
    process = Running(command, folder, {**inherited, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environment})
    try:
        yield process
    finally:
        process.ends(None if process.process.poll() is not None else signal.SIGKILL)


@contextmanager
def serving(folder: Path, port: int, *words: str, **environment: str) -> Iterator[tuple[Running, str]]:
    """A server of the project that answers, and its address."""
    with running(folder, *words, **environment) as process:
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert process.process.poll() is None, process.said
            try:
                return httpx.get(f"{url}/background/livez", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        until(answers, 40, "it answers", every=0.05)
        yield process, url
