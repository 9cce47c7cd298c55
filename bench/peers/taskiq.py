"""Taskiq on Redis streams (taskiq-redis), results stored."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from redis import Redis
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

import bench.noop
from bench.servers import url
from bench.system import System

# Consumer "0": the group begins with what was queued before its first worker came.
results: Any = RedisAsyncResultBackend(url(), result_ex_time=3_600, prefix_str="result")
broker = RedisStreamBroker(url(), consumer_id="0").with_result_backend(results).with_serializer(ORJSONSerializer())


@broker.task(task_name="noop")
async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return await bench.noop.noop(number, path, size)


class Taskiq(System):
    """taskiq worker --workers 1."""

    distributions = ("taskiq", "taskiq-redis")
    profiles = {"quick": "streams, acknowledged when saved, ORJSON, uvloop, no parsing of arguments, prefetch 100"}

    def fill(self, jobs: int) -> None:
        asyncio.run(fill(jobs))

    def finished(self) -> int:
        with Redis.from_url(url()) as client:
            return sum(1 for _ in client.scan_iter("result:*", count=5_000))

    def command(self) -> list[str]:
        argv = [sys.executable, "-m", "taskiq", "worker", "bench.peers.taskiq:broker", "--workers", "1"]
        argv += ["--max-async-tasks", str(self.slots), "--max-prefetch", "100"]
        return [*argv, "--no-parse", "--log-level", "WARNING"]


async def fill(jobs: int) -> None:
    await broker.startup()
    for number in range(jobs):
        await noop.kiq(**bench.noop.arguments(number))
    await broker.shutdown()


SYSTEM = Taskiq
