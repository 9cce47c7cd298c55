"""Jobsworth, as its user would run it: `jobsworth worker bench.ours:jobs --queues bench:50`."""

from __future__ import annotations

import sys
from pathlib import Path

import bench.noop
from bench.system import System, count, home_from_environment
from jobsworth import Jobsworth

DATABASE = home_from_environment() / "jobsworth.db"
jobs = Jobsworth(f"sqlite:///{DATABASE}")
CHUNK = 5_000


@jobs.task(queue="bench")
async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


class Ours(System):
    """jobsworth worker."""

    distributions = ("jobsworth",)
    profiles = {"default": "accepted jobs synced (synchronous=FULL), claims and endings not (NORMAL); uvloop"}

    def fill(self, jobs: int) -> None:
        put(range(jobs))

    def finished(self) -> int:
        return finished(DATABASE)

    def command(self) -> list[str]:
        return worker(self.slots)


def put(numbers: range, priority: int = 0) -> None:
    """Store jobs of these numbers."""
    for start in range(numbers.start, numbers.stop, CHUNK):
        some = range(start, min(start + CHUNK, numbers.stop))
        noop.options(priority=priority).enqueue_many([bench.noop.arguments(number) for number in some])


def finished(database: Path) -> int:
    """Completed jobs that have a result; state 4 is completed."""
    return count(database, "select count(*) from jobsworth_jobs where state = 4 and result is not null")


def worker(slots: int) -> list[str]:
    """The command of a worker process with so many slots."""
    return [sys.executable, "-m", "jobsworth", "worker", "bench.ours:jobs", "--queues", f"bench:{slots}"]


SYSTEM = Ours
