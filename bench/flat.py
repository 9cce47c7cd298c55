"""Measure whether the drain rate depends on how many jobs wait behind, or have finished before.

    python -m bench.flat --waiting 1000000 --finished 0 --jobs 20000 --home DIR

The backlog waits in the same queue: half of it older but of lower priority, half of it younger. The store is made once
per run and copied for each round.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import time
from pathlib import Path

from bench import process, sample
from bench.drain import moments_of, rate_of, wait_until_ran
from bench.sample import Answer, Broken, Surroundings

SLOTS = 50


def build(waiting: int, finished: int, jobs: int) -> None:
    """Jobs 0 to `jobs` - 1 are the ones to be measured; the others have higher numbers."""
    from bench import ours

    ours.put(range(jobs, jobs + finished))
    asyncio.run(finish(finished))
    middle = jobs + finished + waiting // 2
    ours.put(range(jobs + finished, middle), priority=-1)
    ours.put(range(jobs))
    ours.put(range(middle, jobs + finished + waiting))
    ours.jobs.close()


async def finish(jobs: int) -> None:
    """Claim and complete so many jobs by the engine's own door, which is quicker than running them."""
    from bench import ours
    from jobsworth.engine import Want
    from jobsworth.lifecycle import settle
    from jobsworth.outcome import Succeeded
    from jobsworth.retry import Retry

    engine, want, retry = ours.jobs.engine, [Want("bench", 1_000, ("noop",))], Retry()
    done = Succeeded(b'{"ok":1}')
    claims = (await engine.turn("filler", [], want, lease=600)).claims if jobs else []
    while claims:
        endings = [settle(claim, done, retry) for claim in claims]
        claims = (await engine.turn("filler", endings, want, lease=600)).claims


def template(given: argparse.Namespace) -> Path:
    """The folder with the store as it is before the measurement."""
    parent = Path(os.environ.get("BENCH_TEMPLATES", given.home))
    made = parent / f"{given.waiting}-{given.finished}-{given.jobs}"
    if not made.exists():
        build(given.waiting, given.finished, given.jobs)
        made.mkdir(parents=True)
        for part in given.home.glob("jobsworth.db*"):
            shutil.move(part, made)
    return made


def flat(given: argparse.Namespace) -> Answer:
    """The rate at which the measured jobs go, with the rest behind them."""
    from bench import ours

    for part in template(given).iterdir():
        shutil.copy(part, given.home)
    os.sync()  # the copy's own writing must not fall into the measurement
    before = ours.finished(ours.DATABASE)
    if before != given.finished:
        raise Broken(f"{before} instead of {given.finished} jobs were finished beforehand")
    around, own = Surroundings(given.patience), time.process_time()
    extra = {"BENCH_HOME": str(given.home)}
    with process.running(ours.worker(SLOTS), extra, given.home / "worker.log") as worker:
        # A few more, so that the last of the measured ones, which run beside them, are certain to be among them.
        wait_until_ran(given.jobs + min(given.waiting, 4 * SLOTS), worker, given.limit)
        seen = around.seen(process.cpu_seconds(worker.pid) + time.process_time() - own)
    moments = moments_of(given.jobs)
    if ours.finished(ours.DATABASE) - before < given.jobs:
        raise Broken("some of the jobs that ran are not stored as finished")
    return {"rate": rate_of(moments), **seen}


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("--waiting", type=int, default=0)
    options.add_argument("--finished", type=int, default=0)
    options.add_argument("--jobs", type=int, required=True)
    sample.answer(options, flat)
