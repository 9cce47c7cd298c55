"""persist-queue: a queue in a SQLite file, without a job system. Take, run, acknowledge, in one thread; no results."""

from __future__ import annotations

from persistqueue import SQLiteAckQueue

from bench.noop import arguments, noop_sync
from bench.system import System, count


class PersistQueue(System):
    """SQLiteAckQueue, each step committed by itself."""

    distributions = ("persist-queue",)
    records = "status"
    profiles = {"default": "SQLiteAckQueue(auto_commit=True), WAL with SQLite's default synchronous=FULL, pickle"}

    def fill(self, jobs: int) -> None:
        queue = self._open()
        for number in range(jobs):
            queue.put(arguments(number))
        queue.close()

    def finished(self) -> int:
        return count(self.home / "data.db", "select count(*) from ack_queue_default where status = 5")

    def serve(self) -> None:
        queue = self._open()
        while True:
            item = queue.get()
            noop_sync(**item)
            queue.ack(item)

    def _open(self) -> SQLiteAckQueue:
        return SQLiteAckQueue(str(self.home), auto_commit=True)


SYSTEM = PersistQueue
