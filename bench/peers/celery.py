"""Celery on Redis: its worker, JSON, results in Redis; the broker in database 0, the results in database 1."""

from __future__ import annotations

import sys
from typing import Any

from celery import Celery

import bench.noop
from bench.servers import command, url
from bench.system import System

RESULTS = url().removesuffix("0") + "1"
app = Celery("bench", broker=url(), backend=RESULTS)
app.conf.update(
    broker_connection_retry_on_startup=True, worker_prefetch_multiplier=128, task_send_sent_event=False,
    worker_send_task_events=False, worker_disable_rate_limits=True,
)  # fmt: skip


@app.task(name="noop")  # type: ignore[untyped-decorator]
def noop(**arguments: Any) -> dict[str, int]:
    return bench.noop.noop_sync(**arguments)


class Celery_(System):  # noqa: N801 (the name is taken)
    """celery worker without what it can do without: gossip, mingling, heartbeats, events, rate limits."""

    distributions = ("celery",)
    profiles = {
        name: f"{how}, acknowledged early (its default), prefetch 128, no gossip, events or rate limits"
        for name, how in {"prefork": "processes", "threads": "threads", "solo": "in its one process"}.items()
    }

    def fill(self, jobs: int) -> None:
        with app.producer_pool.acquire(block=True) as producer:
            for number in range(jobs):
                noop.apply_async(kwargs=bench.noop.arguments(number), producer=producer)

    def finished(self) -> int:
        """Database 1 holds the results, one key each."""
        for word in command("INFO", "keyspace").split():
            if word.startswith("db1:keys="):
                return int(word.removeprefix("db1:keys=").split(",")[0])
        return 0

    def command(self) -> list[str]:
        argv = [sys.executable, "-m", "celery", "-A", "bench.peers.celery:app", "worker", "-l", "WARNING"]
        argv += ["-P", self.profile, "-c", str(self.slots)]
        return [*argv, "--without-gossip", "--without-mingle", "--without-heartbeat"]


SYSTEM = Celery_
