"""Huey on Redis: its own consumer with threads. Pickle; a result is kept until read, a status is not; a job is
taken off the list when it starts, so a crash loses it.
"""

from __future__ import annotations

import sys
from typing import Any

from huey import RedisHuey

import bench.noop
from bench.servers import command, url
from bench.system import System

huey = RedisHuey("bench", url=url())


@huey.task()  # type: ignore[untyped-decorator]
def noop(**arguments: Any) -> dict[str, int]:
    return bench.noop.noop_sync(**arguments)


class Huey(System):
    """huey_consumer -k thread."""

    distributions = ("huey",)
    records = "result"
    profiles = {"quick": "BRPOP (a crash loses the job), threads, quiet"}

    def fill(self, jobs: int) -> None:
        for number in range(jobs):
            noop(**bench.noop.arguments(number))

    def finished(self) -> int:
        return int(command("HLEN", "huey.results.bench"))

    def command(self) -> list[str]:
        argv = [sys.executable, "-m", "huey.bin.huey_consumer", "bench.peers.huey_redis.huey"]
        return [*argv, "-k", "thread", "-w", str(self.slots), "-q"]


SYSTEM = Huey
