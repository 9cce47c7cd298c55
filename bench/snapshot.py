"""Measure what an old snapshot costs: somebody's transaction stays open, so no dead row can be tidied up meanwhile.

    python -m bench.snapshot --seconds 900 --jobs 10000 --store postgres --home DIR

Two databases of one server take turns at draining the same number of jobs, each with a worker process of its own that
runs all the time: in one of them a transaction was opened before the first job and stays open to the end. A snapshot
holds back only its own database, so the other one is the comparison, under the same noise.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import noop, process, sample, servers
from bench.plan import FREE, HELD
from bench.process import Running
from bench.sample import Answer, Broken, Surroundings

SLOTS = 50
COMPARED = 7  # drains of each database that count: the last ones, when the snapshot is oldest
CHUNK = 5_000


@dataclass
class Side:
    """One database with its worker."""

    url: str
    home: Path
    put: Callable[[int], None]
    hold: Callable[[bool], None]
    worker: Running
    ran: int = 0

    @property
    def ticks(self) -> Path:
        return self.home / "ticks"

    def drain(self, jobs: int, limit: float) -> float:
        """Put so many jobs while the queue is paused, let them go, and say how many went a second."""
        self.hold(True)
        self.put(jobs)
        self.hold(False)
        until = time.monotonic() + limit
        while (ran := noop.ticked(self.ticks)) < self.ran + jobs:
            if self.worker.poll() is not None or time.monotonic() > until:
                raise Broken(f"only {ran - self.ran} of {jobs} jobs ran; {self.worker.last_words()}")
            time.sleep(0.01)
        moments = [moment for _, moment in noop.ticks(self.ticks)[self.ran :]]
        self.ran += jobs
        return (jobs - 1) / (max(moments) - min(moments))


@contextlib.contextmanager
def side(name: str, given: argparse.Namespace) -> Iterator[Side]:
    """A database of that name, made if need be, and a worker on it."""
    from jobsworth import Jobsworth

    url = servers.url().rsplit("/", 1)[0] + f"/{name}"
    if name != "postgres":
        servers.execute(f"create database {name}")
    home = given.home / name
    home.mkdir()
    jobs = Jobsworth(url)
    task = jobs.task(queue="bench", name="noop")(noop.noop)

    def put(number: int) -> None:
        for start in range(0, number, CHUNK):
            task.enqueue_many([noop.arguments(start + place) for place in range(min(CHUNK, number - start))])

    def hold(paused: bool) -> None:
        (jobs.pause if paused else jobs.resume)("bench")

    from bench import ours

    extra = {"BENCH_URL": url, "BENCH_HOME": str(home), "BENCH_TICKS": str(home / "ticks")}
    with process.running(ours.worker(SLOTS), extra, home / "worker.log") as worker:
        yield Side(url, home, put, hold, worker)
    jobs.close()


@contextlib.contextmanager
def old_snapshot(url: str) -> Iterator[None]:
    """A transaction that has looked once and stays open."""
    import psycopg

    with contextlib.closing(psycopg.connect(url)) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select count(*) from jobsworth.jobs")
        yield


def compare(held: Side, free: Side, given: argparse.Namespace) -> list[tuple[float, float]]:
    """Drain in turns until the time is over; the rates of each pair."""
    pairs: list[tuple[float, float]] = []
    until = time.monotonic() + given.seconds
    while not pairs or time.monotonic() < until:
        pairs.append((held.drain(given.jobs, given.limit), free.drain(given.jobs, given.limit)))
    return pairs


def snapshot(given: argparse.Namespace) -> Answer:
    """The rates at the end, with the snapshot as old as it gets, and without one."""
    around, own = Surroundings(given.patience), time.process_time()
    with side("postgres", given) as held, side("free", given) as free:
        for each in (held, free):
            each.drain(given.jobs, given.limit)  # the plans are made, the pages are there
        with old_snapshot(held.url):
            began = time.monotonic()
            pairs = compare(held, free, given)
            age = time.monotonic() - began
        mine = sum(process.cpu_seconds(each.worker.pid) for each in (held, free))
    last = pairs[-COMPARED:]
    seen: dict[str, Any] = around.seen(mine + time.process_time() - own)
    about = f"{len(pairs) * given.jobs:,} jobs had gone through each in {age:.0f} s; the last {len(last)} drains"
    return {
        "rows": {
            HELD: {"rate": median(pair[0] for pair in last), "about": about, **seen},
            FREE: {"rate": median(pair[1] for pair in last), "about": "the same, in turns with it", **seen},
        }
    }


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("--seconds", type=float, required=True, help="how long the snapshot stays open")
    options.add_argument("--jobs", type=int, required=True, help="per drain")
    sample.answer(options, snapshot)
