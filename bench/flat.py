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

from bench import process, sample, servers
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
    made = parent / f"{given.store}-{given.waiting}-{given.finished}-{given.jobs}"
    if not made.exists():
        build(given.waiting, given.finished, given.jobs)
        made.parent.mkdir(parents=True, exist_ok=True)
        if servers.store() == "sqlite":
            made.mkdir()
            for part in given.home.glob("jobsworth.db*"):
                shutil.move(part, made)
        else:
            servers.current().keep(made)
    return made


def restore(made: Path, home: Path) -> None:
    """Put the store in place."""
    if servers.store() != "sqlite":
        servers.current().restore(made)
        return
    for part in made.iterdir():
        shutil.copy(part, home)
    servers.synced()


def flat(given: argparse.Namespace) -> Answer:
    """The rate at which the measured jobs go, with the rest behind them."""
    from bench import ours

    restore(template(given), given.home)
    before = ours.finished()
    if before != given.finished:
        raise Broken(f"{before} instead of {given.finished} jobs were finished beforehand")
    around, own = Surroundings(given.patience), time.process_time()
    extra = {"BENCH_HOME": str(given.home)}
    with process.running(ours.worker(SLOTS), extra, given.home / "worker.log") as worker:
        # A few more, so that the last of the measured ones, which run beside them, are certain to be among them.
        wait_until_ran(given.jobs + min(given.waiting, 4 * SLOTS), worker, given.limit)
        seen = around.seen(process.cpu_seconds(worker.pid) + time.process_time() - own)
    moments = moments_of(given.jobs)
    if ours.finished() - before < given.jobs:
        raise Broken("some of the jobs that ran are not stored as finished")
    return {"rate": rate_of(moments), **seen}


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("--waiting", type=int, default=0)
    options.add_argument("--finished", type=int, default=0)
    options.add_argument("--jobs", type=int, required=True)
    sample.answer(options, flat)
