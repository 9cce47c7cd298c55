"""Huey on SQLite: its own consumer with threads. Pickle; a result is kept until read; a status is not kept.

Both profiles that sync commit durably like SQLite's default (WAL, synchronous=FULL) at every step of a job.
"""

from __future__ import annotations

import sys
from typing import Any

from huey import SqliteHuey

import bench.noop
from bench.system import System, count, home_from_environment, profile_from_environment

DATABASE = home_from_environment() / "huey.db"
huey = SqliteHuey("bench", filename=str(DATABASE), fsync=profile_from_environment() != "nofsync")


@huey.task()  # type: ignore[untyped-decorator]
def noop(**arguments: Any) -> dict[str, int]:
    return bench.noop.noop_sync(**arguments)


class Huey(System):
    """huey_consumer -k thread."""

    distributions = ("huey",)
    records = "result"
    profiles = {
        "fsync": "every commit synced (synchronous=FULL), consumer as documented",
        "quick": "every commit synced, polling every 5 to 10 ms, no periodic tasks, quiet",
        "nofsync": "synchronous=OFF: a power cut may lose jobs; polling every 5 to 10 ms, quiet",
    }

    def fill(self, jobs: int) -> None:
        for number in range(jobs):
            noop(**bench.noop.arguments(number))
        huey.storage.close()

    def finished(self) -> int:
        return count(DATABASE, "select count(*) from kv")

    def command(self) -> list[str]:
        argv = [sys.executable, "-m", "huey.bin.huey_consumer", "bench.peers.huey.huey"]
        argv += ["-k", "thread", "-w", str(self.slots)]
        return argv if self.profile == "fsync" else [*argv, "-q", "-d", "0.005", "-m", "0.01", "--no-periodic"]


SYSTEM = Huey
