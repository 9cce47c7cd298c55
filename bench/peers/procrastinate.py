"""Procrastinate on PostgreSQL. It keeps a job's status and no result."""

from __future__ import annotations

import asyncio
import logging

import procrastinate

import bench.noop
from bench.servers import execute, url
from bench.system import System

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url(), min_size=10, max_size=10))
CHUNK = 1_000


@app.task(name="noop")
async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


class Procrastinate(System):
    """app.run_worker_async."""

    distributions = ("procrastinate",)
    records = "status"
    profiles = {"quick": "LISTEN/NOTIFY on, ten connections, uvloop, jobs kept"}

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs))

    def finished(self) -> int:
        return execute("select count(*) from procrastinate_jobs where status = 'succeeded'")

    def serve(self) -> None:
        import uvloop

        logging.basicConfig(level=logging.WARNING)
        uvloop.run(serve(self.slots))


async def fill(jobs: int) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, jobs, CHUNK):
            some = range(start, min(jobs, start + CHUNK))
            await noop.batch_defer_async(*[bench.noop.arguments(number) for number in some])


async def serve(slots: int) -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=slots)


SYSTEM = Procrastinate
