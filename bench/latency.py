"""Measure how soon a handler starts on an idle system, counted from the moment enqueue returned.

    python -m bench.latency same|across|bare --jobs 100 --home DIR

same: the worker is embedded in this process. across: it is a process of its own. bare: neither is ours; two processes
and their server pass on a number, with nothing of a job about it. Between two jobs everything rests for
20 to 400 ms, at random. A handler may start before enqueue has returned; that counts as a wait below zero.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import noop, process, sample
from bench.sample import Answer, Broken, Surroundings

REST = (0.02, 0.4)  # seconds
SLOTS = 4


async def returned(jobs: int, warm_up: int, put: Callable[[int], Awaitable[object]]) -> dict[int, float]:
    """Enqueue one job after the other, each when the one before has run; when each enqueue returned."""
    moments: dict[int, float] = {}
    rest = random.Random(7)
    for number in range(-warm_up, jobs):
        await put(number)
        moments[number] = time.monotonic()
        while noop.ticked() < len(moments):
            if time.monotonic() - moments[number] > 30:
                raise Broken(f"job {number} was not started within 30 s")
            await asyncio.sleep(0.005)
        await asyncio.sleep(rest.uniform(*REST))
    return moments


async def same(jobs: int, warm_up: int) -> dict[int, float]:
    """The worker in this process, on this loop."""
    from bench import ours

    async with ours.jobs.worker():
        return await returned(jobs, warm_up, lambda number: ours.noop.aenqueue(**noop.arguments(number)))


async def across(jobs: int, warm_up: int, log: Path) -> dict[int, float]:
    """The worker in a process of its own; enqueue called from sync code."""
    from bench import ours

    async def put(number: int) -> None:
        ours.noop.enqueue(**noop.arguments(number))

    with process.running(ours.worker(SLOTS), {"BENCH_HOME": str(log.parent)}, log):
        return await returned(jobs, warm_up, put)


async def bare(jobs: int, warm_up: int, log: Path) -> dict[int, float]:
    """The same way with nothing of ours on it."""
    from bench.limits import knock

    knock.prepare()
    putter = knock.Putter()

    async def put(number: int) -> None:
        putter.put(number)

    with process.running([sys.executable, "-m", "bench.limits.knock"], {}, log):
        return await returned(jobs, warm_up, put)


def latency(given: argparse.Namespace) -> Answer:
    """Percentiles in milliseconds."""
    around, own = Surroundings(given.patience), time.process_time()
    log = given.home / "worker.log"
    ways = {"same": same, "across": functools.partial(across, log=log), "bare": functools.partial(bare, log=log)}
    moments = asyncio.run(ways[given.where](given.jobs, given.warm_up))
    seen = around.seen(time.process_time() - own)
    started = dict(noop.ticks())
    if len(noop.ticks()) != len(moments):
        raise Broken(f"{len(noop.ticks())} runs of {len(moments)} jobs")
    waits = sorted((started[number] - moment) * 1000 for number, moment in moments.items() if number >= 0)
    last = len(waits) - 1
    return {f"p{share}": waits[round(last * share / 100)] for share in (50, 95, 99)} | seen


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("where", choices=["same", "across", "bare"])
    options.add_argument("--jobs", type=int, required=True)
    options.add_argument("--warm-up", type=int, default=5, help="jobs before those that count")
    sample.answer(options, latency)
