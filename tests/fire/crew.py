"""Processes to kill, stop and starve. Everything started here is ended here, by its own pid and session."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from checker import violations
from fire_app import App
from fire_history import History, read_ledger
from nursery import Born, Nursery
from recorder import read_calls

from jobsworth import Job, State
from jobsworth.job import FINAL
from waiting import until

LONG = os.environ.get("JOBSWORTH_FIRE") == "long"
PLACES = ["sqlite", "postgres", "redis"]  # one word more for each engine that processes can share
EVERYWHERE = pytest.mark.parametrize("url", PLACES, indirect=True)
Figures = Callable[..., None]  # the fixture: what went how, and seconds of which the median and the worst are told
PROGRAM = Path(__file__).with_name("fire_app.py")


@cache
def nursery() -> Nursery:
    """The one of this test run."""
    return Nursery()


class Crew:
    """The app, as this process uses it, and the processes that work for it."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder / 'jobs.db'}"
        self.app = App(self.url, folder)
        self.jobs = self.app.jobs
        self.disturbed: set[int] = set()
        self.processes: list[Born] = []

    def start(self, what: str, url: str | None = None, **options: Any) -> Born:
        """A process of its own session, whose output goes to files. `url`: its own way to the engine."""
        number = len(self.processes)
        environment = {**os.environ, "FIRE_URL": url or self.url, "FIRE_FOLDER": str(self.folder),
                       "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip
        out, log = self.folder / f"{number}.out", self.folder / f"{number}.log"
        process = nursery().bear(PROGRAM, [what, json.dumps(options)], environment, out, log)
        self.processes.append(process)
        return process

    def worker(self, *, ready: bool = True, lease: float = 1, **options: Any) -> Born:
        """A worker; when this returns it has signed on."""
        process = self.start("worker", lease=lease, **options)
        if ready:
            until(
                lambda: process.poll() is not None or any(card.pid == process.pid for card in self.jobs.workers()),
                what="a worker signs on",
            )
            assert process.poll() is None, self.log(process)
        return process

    def kill(self, process: Born) -> None:
        """kill -9, of the process alone: what it leaves behind is part of the test."""
        self.disturbed.add(process.pid)
        process.kill()
        process.wait()

    def stop(self, process: Born) -> None:
        """SIGSTOP: it is as if its machine slept."""
        self.disturbed.add(process.pid)
        process.send_signal(signal.SIGSTOP)

    def terminate(self, process: Born, within: float = 20) -> int:
        """SIGTERM; its exit code."""
        process.terminate()
        return process.wait(within)

    def log(self, process: Born) -> str:
        """What it logged so far."""
        return (self.folder / f"{self.processes.index(process)}.log").read_text(errors="replace")

    def said(self, process: Born) -> list[str]:
        """The whole lines it wrote to its standard output."""
        lines = (self.folder / f"{self.processes.index(process)}.out").read_text().split("\n")
        return lines[:-1]  # after the last newline: nothing, or a line cut short

    def all_jobs(self) -> list[Job]:
        return self.jobs.find(limit=None)

    def finish(self, within: float = 60) -> list[Job]:
        """Wait until every job has ended."""
        pending = tuple(state for state in State if state not in FINAL)
        until(lambda: not self.jobs.find(states=pending, limit=1), within, "every job has ended", every=0.05)
        return self.all_jobs()

    def check(self, acked: set[str], **known: Any) -> History:
        """The history of everything that was recorded so far; fails with what is wrong with it."""
        calls = read_calls(self.folder)
        counts = {status.queue: status.counts for status in self.jobs.queue_statuses()}
        history = History(
            acked,
            read_ledger(self.folder),
            self.all_jobs(),
            disturbed=self.disturbed,
            calls=calls,
            counts=counts,
            **known,
        )
        assert calls, "nothing was recorded at the engine's door"
        found = violations(history)
        assert not found, "\n".join(found)
        return history

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.jobs.close()
        for number, _ in enumerate(self.processes):  # shown by pytest when the test failed
            text = (self.folder / f"{number}.log").read_text(errors="replace")
            print(f"--- process {number}\n{text[-3000:]}")


def name_of(worker: str | None) -> str:
    """What a worker was called, of its id."""
    return (worker or "").rpartition(".")[0]


def later(seconds: float) -> None:
    """Let a nemesis wait between two strikes; no assertion depends on it."""
    time.sleep(seconds)
