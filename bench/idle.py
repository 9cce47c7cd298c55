"""Measure what an idle worker costs, and how long `import jobsworth` takes.

python -m bench.idle --seconds 30 --home DIR
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from bench import noop, process, sample, servers
from bench.drain import wait_until_ran
from bench.sample import Answer, Surroundings

WARM_UP = 20  # jobs before the rest, so that everything lazy is loaded
IMPORT = "import time; began = time.perf_counter(); import jobsworth; print(time.perf_counter() - began)"


def import_ms(times: int) -> float:
    """The quickest of several imports, each in a fresh interpreter."""
    command, env = [sys.executable, "-c", IMPORT], process.environment({})
    runs = [subprocess.run(command, env=env, capture_output=True, check=True) for _ in range(times)]
    return min(float(run.stdout) for run in runs) * 1000


def idle(given: argparse.Namespace) -> Answer:
    """CPU in percent of one core, resident memory of the whole family of processes, import time."""
    from bench import ours

    importing = import_ms(given.imports)
    ours.put(range(WARM_UP))
    with process.running(ours.worker(4), {"BENCH_HOME": str(given.home)}, given.home / "worker.log") as worker:
        wait_until_ran(WARM_UP, worker, given.limit)
        time.sleep(given.rest)
        asked = asked_per_second(given.seconds) if servers.store() != "sqlite" else {}
        around, own = Surroundings(given.patience), time.process_time()
        began, used, served = time.monotonic(), process.cpu_seconds(worker.pid), servers.cpu_seconds()
        time.sleep(given.seconds)
        used, took = process.cpu_seconds(worker.pid) - used, time.monotonic() - began
        served = servers.cpu_seconds() - served
        seen = around.seen(used + time.process_time() - own)
        resident = process.resident_mib(worker.pid)
    assert noop.ticked() == WARM_UP
    shares = {"cpu_percent": used / took * 100, "server_percent": served / took * 100}
    return {**shares, **asked, "resident_mib": resident, "import_ms": importing, **seen}


def asked_per_second(seconds: float) -> Answer:
    """What the idle worker asks its server. Counting makes the server slower, so it has a time of its own."""
    with servers.current().questions() as asked:
        time.sleep(seconds)
        return {"queries": asked() / seconds}


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--rest", type=float, default=5.0, help="seconds after its last job until it counts as idle")
    options.add_argument("--imports", type=int, default=9)
    sample.answer(options, idle)
