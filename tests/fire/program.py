"""What the programs of the fire tests have in common: patience, a ledger, and how one becomes a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from jobsworth import CurrentJob, Jobsworth, Retry

A = TypeVar("A")
PATIENT = Retry(max_attempts=3, max_crashes=100, base=0.02)  # for jobs that are killed again and again, innocently


def here(make: Callable[[str, Path], A]) -> A | None:
    """The app that the environment names, in a process that is to work for one."""
    url = os.environ.get("FIRE_URL")
    return None if url is None else make(url, Path(os.environ["FIRE_FOLDER"]))


def run(jobs: Jobsworth, **others: Callable[..., None]) -> None:
    """A worker, or what one of the others does: `python PROGRAM worker '{"lease": 1}'`."""
    what, options = sys.argv[1], json.loads(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if what == "worker":
        asyncio.run(jobs.worker(**options).run(signals=True))
    else:
        others[what](**options)
        jobs.close()


class Ledger:
    """One line per event, appended whole: what really happened, whatever the engine says."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger"

    def write(self, kind: str, job: CurrentJob, **more: Any) -> None:
        line = {"kind": kind, "id": job.id, "fence": job.fence, "attempt": job.attempt, "pid": os.getpid(),
                "queue": job.queue, "at": time.monotonic(), **more}  # fmt: skip
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, json.dumps(line).encode() + b"\n")
        os.close(handle)

    @contextlib.contextmanager
    def run(self, job: CurrentJob, n: int) -> Iterator[None]:
        """Start and end of a handler that was given `n` and returns twice that, however it ends."""
        self.write("start", job, args={"n": n})
        try:
            yield
        finally:
            self.write("end", job, value=n * 2)

    def tries(self, id_: str) -> int:
        """How often a job has been started."""
        return sum(f'"start", "id": "{id_}"' in line for line in self._path.read_text().splitlines())
