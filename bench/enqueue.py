"""Measure storing jobs; on SQLite beside bare inserts, in turns, so that the disk's moods hit both alike.

python -m bench.enqueue --single 2000 --many 20 --home DIR
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from bench import sample, servers, slow_disk
from bench.limits import insert
from bench.noop import arguments
from bench.plan import BARE, BARE_MANY, COROUTINES, OURS, OURS_MANY, STORED, THREADS
from bench.sample import Answer, Broken, Surroundings

BLOCK = 25  # singles in a row before the other has its turn
BATCH = 1_000
CALLERS = 50


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Seconds it takes."""
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def enqueue(given: argparse.Namespace) -> Answer:
    """Every way of storing jobs; then all of them must be there."""
    slow = slow_disk.environment(given.slow_disk, given.home)
    if slow and "LD_PRELOAD" not in os.environ:  # it takes effect when a process starts, so this one starts again
        os.execve(sys.executable, [sys.executable, "-m", "bench.enqueue", *sys.argv[1:]], {**os.environ, **slow})

    from bench import ours

    numbers, noop = count(), ours.noop
    bare = insert.connect(given.home / "bare.db") if servers.store() == "sqlite" else None
    if bare is not None:
        insert.insert_singly(bare, insert.rows(1))
    noop.enqueue(**arguments(next(numbers)))  # both are open now
    around, own = Surroundings(given.patience), time.process_time()
    beside = (BARE, BARE_MANY) if bare is not None else ()
    spent = dict.fromkeys((*STORED, *beside), 0.0)

    def calls(many: int) -> list[dict[str, Any]]:
        return [arguments(next(numbers)) for _ in range(many)]

    for _ in range(given.single // BLOCK):
        if bare is not None:
            spent[BARE] += timed(insert.insert_singly, bare, insert.rows(BLOCK))
        spent[OURS] += timed(one_by_one, noop.enqueue, calls(BLOCK))
    for _ in range(given.many):
        if bare is not None:
            spent[BARE_MANY] += timed(insert.insert_many, bare, insert.rows(BATCH))
        spent[OURS_MANY] += timed(noop.enqueue_many, calls(BATCH))
    each = given.single // CALLERS
    spent[THREADS] = timed(from_threads, noop.enqueue, [calls(each) for _ in range(CALLERS)])
    crowd = [calls(each) for _ in range(CALLERS)]
    spent[COROUTINES] = timed(asyncio.run, from_coroutines(noop.aenqueue, crowd))

    seen = around.seen(time.process_time() - own)
    stored, wanted = ours.stored(), next(numbers)
    if stored != wanted:
        raise Broken(f"{stored} of {wanted} jobs were stored")
    ours.jobs.close()
    stored_by = {who: given.many * BATCH if who in (BARE_MANY, OURS_MANY) else given.single for who in spent}
    return {
        "rows": {
            who: {"rate": stored_by[who] / took, "each_us": took / stored_by[who] * 1e6, **seen}
            for who, took in spent.items()
        }
    }


def one_by_one(put: Callable[..., object], calls: list[dict[str, Any]]) -> None:
    """One caller."""
    for call in calls:
        put(**call)


def from_threads(put: Callable[..., object], crowd: list[list[dict[str, Any]]]) -> None:
    """Each thread enqueues its own one by one."""
    with ThreadPoolExecutor(len(crowd)) as pool:
        list(pool.map(one_by_one, [put] * len(crowd), crowd))


async def from_coroutines(put: Callable[..., Awaitable[object]], crowd: list[list[dict[str, Any]]]) -> None:
    """Each coroutine enqueues its own one by one."""

    async def caller(calls: list[dict[str, Any]]) -> None:
        for call in calls:
            await put(**call)

    await asyncio.gather(*(caller(calls) for calls in crowd))


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("--slow-disk", type=float, default=0.0, help="milliseconds that every fsync takes longer")
    options.add_argument("--single", type=int, default=2_000)
    options.add_argument("--many", type=int, default=20)
    sample.answer(options, enqueue)
