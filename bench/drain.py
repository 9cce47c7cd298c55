"""Measure one system draining a full queue with one worker process.

    python -m bench.drain huey --profile fsync --slots 1 --jobs 1000 --home DIR

The queue is filled first, then the worker starts. The rate is taken from the first job's tick to the last one's, so
start-up does not count. Afterwards every job must have run exactly once and be stored as finished.
"""

from __future__ import annotations

import argparse
import os
import time

from bench import noop, process, sample, servers, slow_disk
from bench.process import Running
from bench.sample import Answer, Broken, Surroundings
from bench.system import System, load, worker_environment


def wait_until_ran(jobs: int, worker: Running, limit: float, stall: float = 20.0) -> None:
    """Wait for `jobs` ticks; Broken when the worker is gone, makes no headway for `stall` s, or `limit` s are over."""
    until = time.monotonic() + limit
    last, changed = -1, time.monotonic()
    while (ran := noop.ticked()) < jobs:
        now = time.monotonic()
        if ran != last:
            last, changed = ran, now
        if worker.poll() is not None:
            raise Broken(f"the worker ended after {ran} of {jobs} jobs; {worker.last_words()}")
        if now > until or now - changed > stall:
            raise Broken(f"only {ran} of {jobs} jobs ran in time; {worker.last_words()}")
        time.sleep(0.01)


def wait_until_finished(system: System, jobs: int, limit: float = 20.0) -> None:
    """Wait until the store says that `jobs` are finished; Broken if it does not say so in time."""
    until = time.monotonic() + limit
    while (stored := system.finished()) < jobs:
        if time.monotonic() > until:
            raise Broken(f"{stored} of {jobs} jobs are stored as finished")
        time.sleep(0.05)


def moments_of(jobs: int) -> list[float]:
    """When jobs 0 to `jobs` - 1 ran, sorted; Broken unless each did exactly once and no job ran twice."""
    ran = noop.ticks()
    numbers = [number for number, _ in ran]
    if len(numbers) != len(set(numbers)):
        raise Broken(f"{len(numbers) - len(set(numbers))} jobs ran twice")
    moments = sorted(moment for number, moment in ran if number < jobs)
    if len(moments) != jobs:
        raise Broken(f"{jobs - len(moments)} jobs never ran")
    return moments


def rate_of(moments: list[float]) -> float:
    """Jobs per second from the first to the last."""
    return (len(moments) - 1) / (moments[-1] - moments[0])


def drain(given: argparse.Namespace) -> Answer:
    """Fill, run, verify, and say how fast it went."""
    os.environ.update(BENCH_PROFILE=given.profile, BENCH_SLOTS=str(given.slots))
    system = load(given.system, given.home, given.profile, given.slots)
    extra = {**worker_environment(given.system, system), **slow_disk.environment(given.slow_disk, given.home)}
    filling = time.perf_counter()
    system.fill(given.jobs)
    filling = time.perf_counter() - filling
    servers.settle()
    around, began, own = Surroundings(given.patience), time.monotonic(), time.process_time()
    with process.running(system.command(), extra, given.home / "worker.log") as worker:
        wait_until_ran(given.jobs, worker, given.limit)
        seen = around.seen(process.cpu_seconds(worker.pid) + time.process_time() - own)
        wait_until_finished(system, given.jobs)
        resident = process.resident_mib(worker.pid)
    moments = moments_of(given.jobs)
    return {
        "about": f"stores {system.records}; {system.profiles[system.profile]}",
        "rate": rate_of(moments), "jobs": given.jobs, "boot_seconds": moments[0] - began,
        "fill_rate": given.jobs / filling, "resident_mib": resident, **seen,
    }  # fmt: skip


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("system")
    options.add_argument("--profile", required=True)
    options.add_argument("--slots", type=int, required=True)
    options.add_argument("--jobs", type=int, required=True)
    options.add_argument("--slow-disk", type=float, default=0.0, help="ms that every fsync of the worker takes longer")
    sample.answer(options, drain)
