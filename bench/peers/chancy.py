"""Chancy on PostgreSQL. It keeps a job's status and no result; endings are written together, once a second."""

from __future__ import annotations

import asyncio
import logging

from chancy import Chancy as App
from chancy import Queue, Worker, job

import bench.noop
from bench.servers import execute, url
from bench.system import System

QUIET = logging.getLogger("bench.chancy")
QUIET.setLevel(logging.WARNING)
CHUNK = 1_000


@job(queue="default")
async def noop(*, number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


class Chancy(System):
    """Chancy's Worker."""

    distributions = ("chancy",)
    records = "status"
    profiles = {"quick": "its async executor, eager polling, LISTEN/NOTIFY, uvloop, no line per job"}

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs, self.slots))

    def finished(self) -> int:
        return execute("select count(*) from chancy_jobs where state = 'succeeded'")

    def serve(self) -> None:
        import uvloop

        uvloop.run(serve())


async def fill(jobs: int, slots: int) -> None:
    async with App(url(), log=QUIET) as app:
        await app.migrate()
        await app.declare(
            Queue("default", concurrency=slots, executor=App.Executor.Async, eager_polling=True), upsert=True
        )
        for start in range(0, jobs, CHUNK):
            some = range(start, min(jobs, start + CHUNK))
            async for _ in app.push_many([noop.job.with_kwargs(**bench.noop.arguments(number)) for number in some]):
                pass


async def serve() -> None:
    async with App(url(), log=QUIET) as app, Worker(app) as worker:
        await worker.wait_for_shutdown()


SYSTEM = Chancy
