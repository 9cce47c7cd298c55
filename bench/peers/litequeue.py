"""litequeue: a queue in a SQLite file, without a job system. Take, run, mark done, in one thread; no results."""

from __future__ import annotations

import json
import time
from pathlib import Path

from litequeue import LiteQueue

from bench.noop import arguments, noop_sync
from bench.system import System, count


class Lite(System):
    """LiteQueue, each step committed by itself."""

    distributions = ("litequeue",)
    records = "status"
    profiles = {"default": "its defaults: WAL, synchronous=NORMAL for puts too: a power cut may lose accepted jobs"}

    @property
    def database(self) -> Path:
        return self.home / "litequeue.db"

    def fill(self, jobs: int) -> None:
        queue = LiteQueue(str(self.database))
        for number in range(jobs):
            queue.put(json.dumps(arguments(number)))
        queue.close()

    def finished(self) -> int:
        return count(self.database, "select count(*) from Queue where status = 2")

    def serve(self) -> None:
        queue = LiteQueue(str(self.database))
        while True:
            message = queue.pop()
            if message is None:
                time.sleep(0.01)
                continue
            noop_sync(**json.loads(message.data))
            queue.done(message.message_id)


SYSTEM = Lite
