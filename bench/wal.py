"""Measure how large SQLite's write-ahead log grows under load, and how large it is ten seconds after.

    python -m bench.wal --seconds 10 --home DIR

The load: this process enqueues singly and in thousands as fast as it can, a worker with 50 slots drains meanwhile.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

from bench import noop, process, sample
from bench.drain import moments_of, wait_until_finished, wait_until_ran
from bench.sample import Answer, Surroundings
from bench.system import load

MIB = 2**20


class Watcher:
    """Looks at the size of a file every few milliseconds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.peak = 0

    def size(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, self.size())

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def put_for(seconds: float) -> int:
    """Enqueue for so long; how many jobs that made."""
    from bench import ours

    made, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        ours.put(range(made, made + 1_000))
        for number in range(made + 1_000, made + 1_100):
            ours.noop.enqueue(**noop.arguments(number))
        made += 1_100
    return made


def wal(given: argparse.Namespace) -> Answer:
    """Peak and rest size in MiB."""
    from bench import ours

    system, own = load("jobsworth", given.home, "default", 50), time.process_time()
    ours.put(range(0))
    around = Surroundings(given.patience)
    log = Path(f"{ours.DATABASE}-wal")
    with (
        process.running(system.command(), {"BENCH_HOME": str(given.home)}, given.home / "worker.log") as worker,
        Watcher(log) as watcher,
    ):
        made = put_for(given.seconds)
        wait_until_ran(made, worker, given.limit)
        wait_until_finished(system, made)
        seen = around.seen(process.cpu_seconds(worker.pid) + time.process_time() - own)
        time.sleep(given.rest)
        rest = watcher.size()
    moments_of(made)
    return {"peak_mib": watcher.peak / MIB, "rest_mib": rest / MIB, "jobs": made, **seen}


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("--seconds", type=float, default=10.0, help="how long jobs are enqueued")
    options.add_argument("--rest", type=float, default=10.0, help="seconds before the log is measured again")
    sample.answer(options, wal)
