"""SAQ, on Redis or on PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
from saq import Queue, Worker

import bench.noop
from bench.servers import command, execute, store, url
from bench.system import System

POSTGRES = store() == "postgres"


async def noop(context: Any, **arguments: Any) -> dict[str, int]:
    return await bench.noop.noop(**arguments)


def encode(value: Any) -> Any:
    made = orjson.dumps(value)
    return made.decode() if POSTGRES else made


def queue() -> Queue:
    """A queue with its own connections."""
    pool = {"min_size": 4, "max_size": 20} if POSTGRES else {}
    return Queue.from_url(url(), dump=encode, load=orjson.loads, **pool)


class Saq(System):
    """SAQ's Worker."""

    distributions = ("saq",)
    profiles = {"quick": "orjson, uvloop, no line per job, results kept 600 s (its default)"}

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs))

    def finished(self) -> int:
        if POSTGRES:
            return execute("select count(*) from saq_jobs where status = 'complete'")
        return int(command("GET", "bench:jobs") or 0) - int(command("ZCARD", "saq:default:incomplete"))

    def serve(self) -> None:
        import uvloop

        logging.basicConfig(level=logging.WARNING)
        uvloop.run(serve(self.slots))


async def fill(jobs: int) -> None:
    """Eight at a time, for where each waits for a commit."""
    here = queue()
    await here.connect()
    if not POSTGRES:
        command("SET", "bench:jobs", jobs)

    async def some(first: int) -> None:
        for number in range(first, jobs, 8):
            await here.enqueue("noop", **bench.noop.arguments(number))

    await asyncio.gather(*(some(first) for first in range(8)))
    await here.disconnect()


async def serve(slots: int) -> None:
    here = queue()
    await here.connect()
    if not POSTGRES:
        # Its sweep may catch a job between leaving the queue and being called active, and run it twice. One that finds
        # nothing keeps the next away for a minute.
        await here.sweep(60)
    await Worker(here, [noop], concurrency=slots).start()


SYSTEM = Saq
