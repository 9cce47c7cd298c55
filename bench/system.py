"""What the harness needs from a system to measure it draining a full queue. One file per system, this one interface.

A system is made twice: by the harness, which fills it and counts what was stored, and in the worker process. Both get
the same `home` folder (on a real disk), profile and number of slots; the worker gets them from its environment.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.servers import store

# By store (bench/servers.py).
PLACES = {
    "sqlite": {
        "jobsworth": "bench.ours", "turn": "bench.limits.turn", "lean": "bench.limits.lean",
        "huey": "bench.peers.huey", "quebec": "bench.peers.quebec", "django": "bench.peers.django",
        "dbos": "bench.peers.dbos", "soniq": "bench.peers.soniq", "localqueue": "bench.peers.localqueue",
        "persistqueue": "bench.peers.persistqueue", "litequeue": "bench.peers.litequeue",
    },
    "postgres": {
        "jobsworth": "bench.ours", "turn": "bench.limits.turn_postgres", "lean": "bench.limits.lean_postgres",
        "procrastinate": "bench.peers.procrastinate", "pgqueuer": "bench.peers.pgqueuer",
        "chancy": "bench.peers.chancy", "saq": "bench.peers.saq", "oban": "bench.peers.oban",
    },
    "redis": {
        "jobsworth": "bench.ours", "turn": "bench.limits.turn_redis", "lean": "bench.limits.lean_redis",
        "celery": "bench.peers.celery", "dramatiq": "bench.peers.dramatiq", "rq": "bench.peers.rq",
        "arq": "bench.peers.arq", "saq": "bench.peers.saq", "taskiq": "bench.peers.taskiq",
        "streaq": "bench.peers.streaq", "huey": "bench.peers.huey_redis", "bullmq": "bench.peers.bullmq",
        "bullmq-node": "bench.peers.bullmq_node",
    },
}  # fmt: skip
# Where bench/install_apart.sh puts the packages that cannot share one environment: a folder for each list in apart/.
APART = Path(sys.prefix) / "apart"


class System(ABC):
    """One system in one profile.

    profiles: name -> what it sets, in words, durability included.
    records:  what its store says of a finished job.
    """

    distributions: ClassVar[tuple[str, ...]]
    profiles: ClassVar[Mapping[str, str]]
    records: ClassVar[str] = "status and result"

    def __init__(self, home: Path, profile: str, slots: int) -> None:
        if profile not in self.profiles:
            raise SystemExit(f"unknown profile {profile!r}; one of {', '.join(self.profiles)}")
        self.home = home
        self.profile = profile
        self.slots = slots

    @abstractmethod
    def fill(self, jobs: int) -> None:
        """Create the store and put in jobs 0 to `jobs` - 1."""

    @abstractmethod
    def finished(self) -> int:
        """How many jobs the store holds as finished, with their result where it keeps one."""

    def command(self) -> list[str]:
        """The worker process, started as its documentation says; by default serve() in a process of its own."""
        return [sys.executable, "-m", "bench.system"]

    def environment(self) -> dict[str, str]:
        """What the worker needs besides."""
        return {}

    def serve(self) -> None:
        """Run jobs until the process is told to stop."""
        raise NotImplementedError


def load(name: str, home: Path, profile: str, slots: int) -> System:
    """The system of that name on this sample's store. ModuleNotFoundError when its package is not installed."""
    if (APART / name).is_dir():
        sys.path.insert(0, str(APART / name))
        os.environ["PYTHONPATH"] = os.pathsep.join([str(APART / name), os.environ.get("PYTHONPATH", "")])
    made = importlib.import_module(PLACES[store()][name]).SYSTEM(home, profile, slots)
    assert isinstance(made, System)
    return made


def worker_environment(name: str, system: System) -> dict[str, str]:
    """What tells the worker process who it is; read back by from_environment()."""
    who = {"BENCH_SYSTEM": name, "BENCH_HOME": str(system.home), "BENCH_PROFILE": system.profile}
    return {**who, "BENCH_SLOTS": str(system.slots), **system.environment()}


def home_from_environment() -> Path:
    """The folder this process works in, for modules that declare their application at import."""
    return Path(os.environ["BENCH_HOME"])


def profile_from_environment() -> str:
    """The profile this process works in, likewise."""
    return os.environ["BENCH_PROFILE"]


def from_environment() -> System:
    """The system this worker process belongs to."""
    env = os.environ
    return load(env["BENCH_SYSTEM"], Path(env["BENCH_HOME"]), env["BENCH_PROFILE"], int(env["BENCH_SLOTS"]))


def count(database: Path, query: str) -> int:
    """One number from a SQLite file, read with a connection of its own."""
    connection = sqlite3.connect(database, timeout=10)
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


if __name__ == "__main__":
    # Under `-m` this file is __main__; the systems know it as bench.system, so the call goes there.
    importlib.import_module("bench.system").from_environment().serve()
