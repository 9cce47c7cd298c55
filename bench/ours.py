"""Jobsworth, as its user would run it: `jobsworth worker bench.ours:jobs --queues bench:50`."""

from __future__ import annotations

import asyncio
import os
import sys

import bench.noop
from bench.servers import command, execute, store
from bench.system import System, count, home_from_environment
from jobsworth import Jobsworth, State, current_job

DATABASE = home_from_environment() / "jobsworth.db"
URL = os.environ.get("BENCH_URL") or f"sqlite:///{DATABASE}"
jobs = Jobsworth(URL)
CHUNK = 5_000


@jobs.task(queue="bench")
async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


@jobs.task(queue="walks")
async def walk(seconds: int) -> None:
    """Say once a second how far it is, for so long."""
    for step in range(seconds):
        current_job().report_progress(step, seconds)
        await asyncio.sleep(1)


class Ours(System):
    """jobsworth worker."""

    distributions = ("jobsworth",)
    profiles = {
        "default": {
            "sqlite": "accepted jobs synced (synchronous=FULL), claims and endings not (NORMAL); uvloop",
            "postgres": "psycopg, uvloop", "redis": "redis-py with hiredis, uvloop",
        }[store()]
    }  # fmt: skip

    def fill(self, jobs: int) -> None:
        put(range(jobs))

    def finished(self) -> int:
        return finished()

    def command(self) -> list[str]:
        return worker(self.slots)


def put(numbers: range, priority: int = 0) -> None:
    """Store jobs of these numbers."""
    for start in range(numbers.start, numbers.stop, CHUNK):
        some = range(start, min(start + CHUNK, numbers.stop))
        noop.options(priority=priority).enqueue_many([bench.noop.arguments(number) for number in some])


def finished() -> int:
    """Completed jobs that have a result, as the store itself says; state 4 is completed."""
    done = "state = 4 and result is not null"
    if store() == "postgres":
        return execute(f"select count(*) from jobsworth.jobs where {done}")
    if store() == "redis":
        return int(command("ZCARD", "{jobsworth}:done:4:bench")) if have_results() else 0
    return count(DATABASE, f"select count(*) from jobsworth_jobs where {done}")


def have_results() -> bool:
    """Whether the newest completed jobs have theirs; records on Redis are nothing a stranger could read."""
    reader = Jobsworth(URL)
    try:
        return all(job.result is not None for job in reader.find(queue="bench", states=(State.COMPLETED,), limit=100))
    finally:
        reader.close()


def stored() -> int:
    """All jobs there are, each once."""
    if store() == "postgres":
        return execute("select count(distinct id) from jobsworth.jobs")
    if store() == "redis":
        return int(command("GET", "{jobsworth}:seq"))
    return count(DATABASE, "select count(distinct id) from jobsworth_jobs")


def worker(slots: int) -> list[str]:
    """The command of a worker process with so many slots."""
    return [sys.executable, "-m", "jobsworth", "worker", "bench.ours:jobs", "--queues", f"bench:{slots}"]


SYSTEM = Ours
