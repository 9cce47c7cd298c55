"""BullMQ for Python on Redis."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from bullmq import Queue, Worker

import bench.noop
from bench.servers import command, url
from bench.system import System

CHUNK = 1_000


async def noop(job: Any, token: str) -> dict[str, int]:
    return await bench.noop.noop(**job.data)


class Bullmq(System):
    """BullMQ's Worker."""

    distributions = ("bullmq",)
    profiles = {"quick": "uvloop, completed jobs kept (its default)"}

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs))

    def finished(self) -> int:
        return int(command("ZCARD", "bull:bench:completed"))

    def serve(self) -> None:
        import uvloop

        uvloop.run(serve(self.slots))


async def fill(jobs: int) -> None:
    queue = Queue("bench", {"connection": url()})
    for start in range(0, jobs, CHUNK):
        some = range(start, min(jobs, start + CHUNK))
        await queue.addBulk([{"name": "noop", "data": bench.noop.arguments(number), "opts": {}} for number in some])
    await queue.close()


async def serve(slots: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    worker = Worker("bench", noop, {"connection": url(), "concurrency": slots})
    await stop.wait()
    await worker.close()


SYSTEM = Bullmq
