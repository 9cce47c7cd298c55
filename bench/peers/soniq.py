"""soniq on its SQLite backend, which its documentation offers for development; its own worker command.

With --concurrency above 1 that backend hands one job to several of its coroutines (0.1.0), so it is measured at 1.
"""

from __future__ import annotations

import asyncio
import sys

from soniq import Soniq

import bench.noop
from bench.system import System, count, home_from_environment

DATABASE = home_from_environment() / "soniq.db"
soniq = Soniq(backend="sqlite", database_url=str(DATABASE))


@soniq.job(name="noop")  # type: ignore[untyped-decorator]
async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


class SoniqSqlite(System):
    """soniq worker."""

    distributions = ("soniq", "aiosqlite")
    profiles = {"default": "every commit synced (WAL, SQLite's default synchronous=FULL), worker as documented"}

    def fill(self, jobs: int) -> None:
        async def put() -> None:
            for number in range(jobs):
                await soniq.enqueue(noop, **bench.noop.arguments(number))
            await soniq.close()

        asyncio.run(put())

    def finished(self) -> int:
        return count(DATABASE, "select count(*) from soniq_jobs where status = 'done' and result is not null")

    def command(self) -> list[str]:
        argv = [sys.executable, "-m", "soniq.cli.main", "worker", "bench.peers.soniq:soniq"]
        return [*argv, "--concurrency", str(self.slots), "--log-level", "WARNING"]


SYSTEM = SoniqSqlite
