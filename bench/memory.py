"""Measure how much memory of Redis a waiting and a finished job take.

python -m bench.memory --store redis --jobs 20000 --home DIR
"""

from __future__ import annotations

import argparse
import asyncio
import time

from bench import sample
from bench.flat import finish
from bench.sample import Answer, Broken, Surroundings
from bench.servers import command


def used() -> int:
    """Bytes of data: without what Redis has yet to write to its file."""
    told = dict(line.split(":", 1) for line in command("INFO", "memory").splitlines() if ":" in line)
    return int(told["used_memory"]) - int(told["mem_aof_buffer"]) - int(told["mem_clients_normal"])


def memory(given: argparse.Namespace) -> Answer:
    """Bytes per job, everything that belongs to it included: indexes, ids, the keys themselves."""
    from bench import ours

    ours.put(range(0))
    around, own = Surroundings(given.patience), time.process_time()
    before = used()
    ours.put(range(given.jobs))
    waiting = used() - before
    asyncio.run(finish(given.jobs))
    ended = used() - before
    seen = around.seen(time.process_time() - own)
    if ours.finished() != given.jobs:
        raise Broken("some of the jobs are not stored as finished")
    return {"waiting_bytes": waiting / given.jobs, "finished_bytes": ended / given.jobs, **seen}


if __name__ == "__main__":
    options = sample.parser(__doc__)
    options.add_argument("--jobs", type=int, required=True)
    sample.answer(options, memory)
