"""arq on Redis."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

import bench.noop
from bench.servers import command, url
from bench.system import System


async def noop(context: Any, **arguments: Any) -> dict[str, int]:
    return await bench.noop.noop(**arguments)


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


class Arq(System):
    """arq's Worker."""

    distributions = ("arq",)
    profiles = {"quick": "polling every 10 ms, reading 500 at a time, JSON, uvloop, no line per job"}

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs))

    def finished(self) -> int:
        """A job leaves the queue when its result is stored, both in one transaction."""
        return int(command("GET", "bench:jobs") or 0) - int(command("ZCARD", "arq:queue"))

    def serve(self) -> None:
        import uvloop

        logging.basicConfig(level=logging.WARNING)
        uvloop.install()
        worker = Worker(
            [func(noop, name="noop")], redis_settings=RedisSettings.from_dsn(url()), max_jobs=self.slots,
            poll_delay=0.01, queue_read_limit=500, log_results=False, job_serializer=encode,
            job_deserializer=json.loads,
        )  # fmt: skip
        worker.run()


async def fill(jobs: int) -> None:
    pool = await create_pool(RedisSettings.from_dsn(url()), job_serializer=encode, job_deserializer=json.loads)
    await pool.set("bench:jobs", jobs)
    for number in range(jobs):
        await pool.enqueue_job("noop", **bench.noop.arguments(number))
    await pool.aclose()


SYSTEM = Arq
