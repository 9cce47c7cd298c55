"""Measure what many browsers that watch jobs cost the jobs, and the server that they are connected to.

    python -m bench.browsers --browsers 1000 --deaf 100 --watched 200 --jobs 150000 --home DIR

The watched jobs run all the time and say once a second how far they are. Beside them a queue is drained, first with
nobody looking on, then with all the browsers; the server's memory is looked at before and after.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from bench import noop, process, sample
from bench.plan import ALONE, WATCHED
from bench.process import Running, environment
from bench.sample import Answer, Broken, Surroundings

SLOTS = 50


def drain(jobs: int, worker: Running, limit: float) -> float:
    """Put so many jobs while their queue is paused, let them go, and say how many went a second."""
    from bench import ours

    before = noop.ticked()
    ours.jobs.pause("bench")
    ours.put(range(before, before + jobs))
    ours.jobs.resume("bench")
    until = time.monotonic() + limit
    while noop.ticked() < before + jobs:
        if worker.poll() is not None or time.monotonic() > until:
            raise Broken(f"only {noop.ticked() - before} of {jobs} jobs ran; {worker.last_words()}")
        time.sleep(0.01)
    moments = [moment for _, moment in noop.ticks()[before:]]
    return (jobs - 1) / (max(moments) - min(moments))


def _port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as trial:
        return int(trial.getsockname()[1])


def wait_for(port: int, server: Running) -> None:
    """Until the server answers."""
    until = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if server.poll() is not None or time.monotonic() > until:
            raise Broken(f"the server does not answer; {server.last_words()}")
        time.sleep(0.05)


@contextlib.contextmanager
def onlookers(port: int, given: argparse.Namespace, ids: list[str]) -> Iterator[dict[str, Any]]:
    """All browsers, connected; afterwards what they saw."""
    words = [sys.executable, "-m", "bench.onlookers", *map(str, (port, given.browsers, given.deaf)), *ids]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=environment({}), text=True) as crowd:
        assert crowd.stdin is not None
        assert crowd.stdout is not None
        if crowd.stdout.readline() != "ready\n":
            raise Broken("the browsers could not connect")
        seen: dict[str, Any] = {"pid": crowd.pid}
        yield seen
        crowd.stdin.close()
        seen |= json.loads(crowd.stdout.readline())


def browsers(given: argparse.Namespace) -> Answer:
    """The drain rates without and with them, and the server's memory."""
    from bench import ours

    around, own = Surroundings(given.patience), time.process_time()
    extra = {"BENCH_HOME": str(given.home)}
    ids = [job.id for job in ours.walk.enqueue_many([{"seconds": 3_600} for _ in range(given.watched)])]
    port = _port()
    site = [sys.executable, "-m", "bench.site", str(port)]
    command = [*ours.worker(SLOTS)[:-1], f"bench:{SLOTS},walks:{given.watched}"]
    with (
        process.running(command, extra, given.home / "worker.log") as worker,
        process.running(site, extra, given.home / "site.log") as server,
    ):
        wait_for(port, server)
        drain(given.jobs // 4, worker, given.limit)  # warm
        pairs, memory = [], [process.resident_mib(server.pid)]
        for _ in range(given.pairs):
            alone = drain(given.jobs, worker, given.limit)
            with onlookers(port, given, ids) as seen:
                pairs.append((alone, drain(given.jobs, worker, given.limit)))
                memory.append(process.resident_mib(server.pid))
        mine = sum(process.cpu_seconds(each.pid) for each in (worker, server))
    found = around.seen(mine + time.process_time() - own)
    middle = sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]
    about = f"{seen['events']:,} events read in the last drain; server {memory[0]:.0f} MiB before"
    return {
        "rows": {
            ALONE: {"rate": middle[0], "resident_mib": memory[0], **found},
            WATCHED: {"rate": middle[1], "resident_mib": max(memory), "about": about, **found},
        }
    }


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("--browsers", type=int, required=True)
    options.add_argument("--deaf", type=int, required=True, help="of them, that never read")
    options.add_argument("--watched", type=int, required=True, help="jobs that run and tell their progress")
    options.add_argument("--jobs", type=int, required=True, help="drained beside them, each time")
    options.add_argument("--pairs", type=int, default=3, help="of drains, without and with browsers")
    sample.answer(options, browsers)
