"""What runs of Oban in a process with a Python of its own: python -m bench.peers.oban_app fill JOBS | serve SLOTS."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from oban import Oban, job
from oban.schema import install

import bench.noop
from bench.servers import url

CHUNK = 1_000


@job(queue="default")
async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


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


if __name__ == "__main__":
    import uvloop

    logging.basicConfig(level=logging.WARNING)
    uvloop.run({"fill": fill, "serve": serve}[sys.argv[1]](int(sys.argv[2])))
