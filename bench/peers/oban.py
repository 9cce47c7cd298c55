"""Oban for Python (at least 3.12) on PostgreSQL. It keeps a job's status and no result."""

from __future__ import annotations

import asyncio
import logging
import signal

from oban import Oban, job
from oban.schema import install

import bench.noop
from bench.servers import execute, url
from bench.system import System

CHUNK = 1_000


@job(queue="default")
async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


class ObanPy(System):
    """Oban with one queue."""

    distributions = ("oban",)
    records = "status"
    profiles = {"quick": "its defaults, uvloop"}

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs))

    def finished(self) -> int:
        return execute("select count(*) from oban_jobs where state = 'completed'")

    def serve(self) -> None:
        import uvloop

        logging.basicConfig(level=logging.WARNING)
        uvloop.run(serve(self.slots))


async def fill(jobs: int) -> None:
    pool = await Oban.create_pool(dsn=url())
    await install(pool)
    oban = Oban(pool=pool, name="Oban")
    for start in range(0, jobs, CHUNK):
        some = range(start, min(jobs, start + CHUNK))
        await oban.enqueue_many([noop.new(*bench.noop.arguments(number).values()) for number in some])
    await pool.close()


async def serve(slots: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = await Oban.create_pool(dsn=url())
    async with Oban(pool=pool, queues={"default": slots}):
        await stop.wait()
    await pool.close()


SYSTEM = ObanPy
