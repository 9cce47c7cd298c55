"""Dramatiq on Redis: its command, one process with threads, results stored by its middleware."""

from __future__ import annotations

import sys
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from redis import Redis

import bench.noop
from bench.servers import url
from bench.system import System

broker = RedisBroker(url=url())  # type: ignore[no-untyped-call]
broker.add_middleware(Results(backend=RedisBackend(url=url()), store_results=True))  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(**arguments: Any) -> dict[str, int]:
    return bench.noop.noop_sync(**arguments)


class Dramatiq(System):
    """dramatiq -p 1."""

    distributions = ("dramatiq",)
    profiles = {"default": "one process with threads", "quick": "one process with threads, prefetch 1,000"}

    def fill(self, jobs: int) -> None:
        for number in range(jobs):
            noop.send(**bench.noop.arguments(number))

    def finished(self) -> int:
        """Each result is a list of its own; of the queues' own keys only the waiting ones are a list."""
        with Redis.from_url(url()) as client:
            lists = client.scan_iter(_type="list", count=5_000)
            return sum(1 for name in lists if not name.startswith(b"dramatiq:"))

    def environment(self) -> dict[str, str]:
        return {"dramatiq_queue_prefetch": "1000"} if self.profile == "quick" else {}

    def command(self) -> list[str]:
        return [sys.executable, "-m", "dramatiq", "bench.peers.dramatiq", "-p", "1", "-t", str(self.slots)]


SYSTEM = Dramatiq
