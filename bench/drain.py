"""Measure one system draining a full queue with one worker process; prints one JSON object.

    python -m bench.drain huey --profile fsync --slots 1 --jobs 1000 --home DIR

The queue is filled first, then the worker starts. The rate is taken from the first job's tick to the last one's, so
start-up does not count. Afterwards every job must have run exactly once and be stored as finished.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import machine, noop, process, slow_disk
from bench.system import System, load, worker_environment


class Broken(Exception):
    """The system did not do what was measured, so there is no figure."""


def wait_until_ran(jobs: int, worker_pid: int, limit: float, stall: float = 30.0) -> None:
    """Wait for `jobs` ticks; Broken when the worker is gone, makes no headway for `stall` s, or `limit` s are over."""
    until = time.monotonic() + limit
    last, changed = -1, time.monotonic()
    while (now_ran := noop.ticked()) < jobs:
        now = time.monotonic()
        if now_ran != last:
            last, changed = now_ran, now
        if not os.path.exists(f"/proc/{worker_pid}/exe"):
            raise Broken(f"the worker ended after {now_ran} of {jobs} jobs")
        if now > until or now - changed > stall:
            raise Broken(f"only {now_ran} of {jobs} jobs ran in time")
        time.sleep(0.01)


def wait_until_finished(system: System, jobs: int, limit: float = 20.0) -> int:
    """Wait until the store says that `jobs` are finished; return what it says then."""
    until = time.monotonic() + limit
    while (stored := system.finished()) < jobs and time.monotonic() < until:
        time.sleep(0.05)
    return stored


def check_each_ran_once(jobs: int) -> list[float]:
    """The moments of all runs, sorted; Broken unless jobs 0 to `jobs` - 1 each ran exactly once."""
    ran = noop.ticks()
    numbers = [number for number, _ in ran]
    if len(numbers) != len(set(numbers)):
        raise Broken(f"{len(numbers) - len(set(numbers))} jobs ran twice")
    if set(numbers) != set(range(jobs)):
        raise Broken(f"{jobs - len(set(numbers) & set(range(jobs)))} jobs never ran")
    return sorted(moment for _, moment in ran)


def drain(
    name: str, system: System, jobs: int, *, limit: float, patience: float, extra: Mapping[str, str]
) -> dict[str, Any]:
    """Fill, run, verify, and say how fast it went and who else used the machine meanwhile."""
    filling = time.perf_counter()
    system.fill(jobs)
    filling = time.perf_counter() - filling
    quiet = machine.wait_for_quiet(patience)
    busy, stolen, began = machine.busy_seconds(), machine.stolen_seconds(), time.monotonic()
    surroundings = {**worker_environment(name, system), **extra}
    with process.running(system.command(), surroundings, system.home / "worker.log") as worker:
        wait_until_ran(jobs, worker.pid, limit)
        ended = time.monotonic()
        used = process.cpu_seconds(worker.pid) + time.process_time()
        busy, stolen = machine.busy_seconds() - busy, machine.stolen_seconds() - stolen
        stored = wait_until_finished(system, jobs)
        resident = process.resident_mib(worker.pid)
    moments = check_each_ran_once(jobs)
    if stored != jobs:
        raise Broken(f"{stored} of {jobs} jobs are stored as finished")
    return {
        "about": f"stores {system.records}; {system.profiles[system.profile]}",
        "rate": (jobs - 1) / (moments[-1] - moments[0]),
        "jobs": jobs,
        "seconds": moments[-1] - moments[0],
        "boot_seconds": moments[0] - began,
        "fill_rate": jobs / filling,
        "resident_mib": resident,
        "quiet": quiet,
        "others": max(0.0, busy - used) / (ended - began),
        "stolen": stolen / (ended - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("system")
    parser.add_argument("--profile", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument(
        "--slow-disk", type=float, default=0.0, help="milliseconds every fsync of the worker takes longer"
    )
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which the run is given up")
    parser.add_argument("--patience", type=float, default=0.0, help="seconds to wait for a quiet machine")
    given = parser.parse_args()
    os.environ.update(BENCH_HOME=str(given.home), BENCH_PROFILE=given.profile, BENCH_SLOTS=str(given.slots))
    try:
        system = load(given.system, given.home, given.profile, given.slots)
        extra = slow_disk.environment(given.slow_disk, given.home)
        found = drain(given.system, system, given.jobs, limit=given.limit, patience=given.patience, extra=extra)
    except ModuleNotFoundError as missing:
        found = {"absent": f"{missing.name} is not installed"}
    except Broken as why:
        found = {"broken": str(why)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
