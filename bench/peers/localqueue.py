"""localqueue: leases and acknowledgements in a SQLite file, its core in Rust, with its own Worker; no results."""

from __future__ import annotations

from typing import Any

from localqueue import DurabilityMode, Job, SimpleQueue, Worker

from bench.noop import arguments, noop_sync
from bench.system import System

DURABILITY = {"durable": DurabilityMode.DURABLE, "relaxed": DurabilityMode.RELAXED}


class Local(System):
    """Its Worker over its SimpleQueue, one thread."""

    distributions = ("localqueue",)
    records = "status"
    profiles = {
        "durable": "DurabilityMode.DURABLE: synchronous=FULL",
        "relaxed": "its default: synchronous=NORMAL for puts too: a power cut may lose accepted jobs",
    }

    def fill(self, jobs: int) -> None:
        with self._open() as queue:
            for number in range(jobs):
                queue.put(arguments(number))

    def finished(self) -> int:
        with self._open() as queue:
            return int(queue.stats()["acked"])

    def serve(self) -> None:
        def handle(job: Job[dict[str, Any]]) -> None:
            noop_sync(**job.data)

        with self._open() as queue:
            Worker(queue, handle).run()

    def _open(self) -> SimpleQueue[dict[str, Any]]:
        return SimpleQueue(str(self.home), durability=DURABILITY[self.profile])


SYSTEM = Local
