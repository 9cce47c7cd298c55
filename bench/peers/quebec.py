"""Quebec on SQLite: Solid Queue's tables with a core in Rust, its module runner; keeps no results."""

from __future__ import annotations

import sys

import quebec

import bench.noop
from bench.system import System, count, home_from_environment

DATABASE = home_from_environment() / "quebec.db"
URL = f"sqlite:///{DATABASE}?mode=rwc"  # four slashes: an absolute path


class Noop(quebec.BaseClass):  # type: ignore[misc]
    queue_as = "default"

    def perform(self, number: int, path: str, size: list[int]) -> dict[str, int]:
        return bench.noop.noop_sync(number, path, size)


class Quebec(System):
    """python -m quebec."""

    distributions = ("quebec",)
    records = "status"
    profiles = {"default": "its defaults for SQLite, all its components in one process"}

    def fill(self, jobs: int) -> None:
        app = quebec.Quebec(URL)
        app.create_tables()
        app.register_job_class(Noop)
        app.perform_all_later([Noop.build(**bench.noop.arguments(number)) for number in range(jobs)])

    def finished(self) -> int:
        return count(DATABASE, "select count(*) from solid_queue_jobs where finished_at is not null")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "quebec", "bench.peers.quebec"]

    def environment(self) -> dict[str, str]:
        return {
            "QUEBEC_DATABASE_URL": URL, "QUEBEC_WORKER_THREADS": str(self.slots), "QUEBEC_LOG_LEVEL": "WARNING",
        }  # fmt: skip


SYSTEM = Quebec
