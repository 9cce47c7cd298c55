"""PgQueuer on PostgreSQL: batches, asyncpg. It keeps a row with the status in its log, and no result."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from typing import Any

import asyncpg
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver

import bench.noop
from bench.servers import execute, url
from bench.system import System

CHUNK = 1_000


class Pgqueuer(System):
    """PgQueuer.run."""

    distributions = ("pgqueuer",)
    records = "status"
    profiles = {
        "quick": "durable tables, one asyncpg connection, batches as large as its slots, no cap on what runs, uvloop"
    }

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs))

    def finished(self) -> int:
        return execute("select count(*) from pgqueuer_log where status = 'successful'")

    def serve(self) -> None:
        import uvloop

        logging.basicConfig(level=logging.WARNING)
        uvloop.run(serve(self.slots))


async def fill(jobs: int) -> None:
    connection = await asyncpg.connect(url())
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for start in range(0, jobs, CHUNK):
        payloads = [json.dumps(bench.noop.arguments(n)).encode() for n in range(start, min(jobs, start + CHUNK))]
        await queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))
    await connection.close()


async def serve(slots: int) -> None:
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(url())))

    @queuer.entrypoint("noop")
    async def noop(job: Any) -> None:
        await bench.noop.noop(**json.loads(job.payload))

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queuer.shutdown.set)
    await queuer.run(batch_size=slots)


SYSTEM = Pgqueuer
