"""RQ on Redis. One job at a time in each process."""

from __future__ import annotations

import sys

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

import bench.noop
from bench.servers import command, url
from bench.system import System


def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return bench.noop.noop_sync(number, path, size)


CHUNK = 500


class Rq(System):
    """rq worker."""

    distributions = ("rq",)
    profiles = {
        "default": "rq worker as documented: a fork for each job, pickle",
        "quick": "SimpleWorker: no fork, JSON, warnings only",
    }

    def fill(self, jobs: int) -> None:
        serializer = JSONSerializer if self.profile == "quick" else None
        with Redis.from_url(url()) as client:
            queue = Queue("default", connection=client, serializer=serializer)
            for start in range(0, jobs, CHUNK):
                some = range(start, min(jobs, start + CHUNK))
                queue.enqueue_many(
                    [Queue.prepare_data("bench.peers.rq.noop", kwargs=bench.noop.arguments(n)) for n in some]
                )

    def finished(self) -> int:
        return int(command("ZCARD", "rq:finished:default"))

    def command(self) -> list[str]:
        argv = [sys.executable, "-m", "rq.cli", "worker", "--url", url()]
        if self.profile == "quick":
            argv += ["-w", "rq.worker.SimpleWorker", "-S", "rq.serializers.JSONSerializer"]
        return [*argv, "--logging_level", "WARNING", "default"]


SYSTEM = Rq
