"""streaQ on Redis streams."""

from __future__ import annotations

import asyncio
import logging
import os

import orjson
from streaq import Worker

import bench.noop
from bench.servers import command, url
from bench.system import System

SLOTS = int(os.environ["BENCH_SLOTS"])
worker = Worker(
    redis_url=url(), concurrency=SLOTS, serializer=orjson.dumps, deserializer=orjson.loads,
    anyio_kwargs={"use_uvloop": True}, prefetch=max(64, SLOTS),
)  # fmt: skip
CHUNK = 1_000


@worker.task(silent=True)
async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


class Streaq(System):
    """streaQ's Worker."""

    distributions = ("streaq",)
    profiles = {"quick": "orjson, uvloop, prefetch at least 64, no line per job, results kept 300 s (its default)"}

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs))

    def finished(self) -> int:
        return int(command("ZCARD", "streaq:default:index:results") or 0)

    def serve(self) -> None:
        logging.basicConfig(level=logging.WARNING)
        worker.run_sync()


async def fill(jobs: int) -> None:
    async with worker:
        for start in range(0, jobs, CHUNK):
            some = range(start, min(jobs, start + CHUNK))
            await worker.enqueue_many([noop.enqueue(**bench.noop.arguments(number)) for number in some])


SYSTEM = Streaq
