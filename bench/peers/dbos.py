"""DBOS Transact on SQLite: durable workflows taken from a registered queue, threads. Inputs and results stored."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from dbos import DBOS, DBOSClient

import bench.noop
from bench.process import environment
from bench.system import System, count, home_from_environment

DATABASE = home_from_environment() / "dbos.sqlite"
URL = f"sqlite:///{DATABASE}"
POLLING = {"default": 1.0, "quick": 0.01}


@DBOS.workflow()  # type: ignore[untyped-decorator]
def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return bench.noop.noop_sync(number, path, size)


class Dbos(System):
    """One process with DBOS launched, taking from one queue."""

    distributions = ("dbos",)
    profiles = {
        "default": "SQLite's default durability, the queue polled every second",
        "quick": "SQLite's default durability, the queue polled every 10 ms",
    }

    def fill(self, jobs: int) -> None:
        # Schema and queue are made by a process of their own: a DBOS launched here would go on taking jobs.
        launching = f"from bench.peers.dbos import launch; launch({self.slots}, {POLLING[self.profile]})"
        make = f"{launching}; import os; os._exit(0)"
        subprocess.run([sys.executable, "-c", make], env=environment({}), check=True, stdout=sys.stderr)
        client = DBOSClient(system_database_url=URL)
        for number in range(jobs):
            values: dict[str, Any] = bench.noop.arguments(number)
            client.enqueue({"queue_name": "bench", "workflow_name": "noop"}, *values.values())
        client.destroy()

    def finished(self) -> int:
        return count(DATABASE, "select count(*) from workflow_status where status = 'SUCCESS'")

    def serve(self) -> None:
        launch(self.slots, POLLING[self.profile])
        while True:
            time.sleep(60)


def launch(slots: int, polling: float) -> None:
    """Start DBOS in this process and declare the queue."""
    settings: dict[str, Any] = {"name": "bench", "system_database_url": URL, "run_admin_server": False}
    DBOS(config={**settings, "log_level": "WARNING"})
    DBOS.launch()
    DBOS.register_queue("bench", worker_concurrency=slots, polling_interval_sec=polling, on_conflict="always_update")


SYSTEM = Dbos
