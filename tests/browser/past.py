"""A past for the shop floor: runs that ended before anybody looked, written down where its store counts them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from floor import Floor

from jobsworth.engines.sqlite.tallies import KEEP
from jobsworth.statistics import ENDS, MINUTE, QUEUE, Sum, bucket, look


@dataclass
class Was:
    """How runs of a task ended `ago` minutes before now. run, wait: seconds that each took, and was due before."""

    ago: int
    queue: str = "mail"
    task: str = "send"
    completed: int = 0
    retried: int = 0
    failed: int = 0
    run: float = 0.3
    wait: float = 0.03

    def sum(self) -> Sum:
        total = Sum()
        for name in ("completed", "retried", "failed"):
            runs = int(getattr(self, name))
            took = bucket(self.run) if name == "completed" else -1
            total.count(ENDS.index(name), took, bucket(self.wait), runs, runs * self.run)
        return total


@dataclass
class Stood:
    """How full a queue stood `ago` minutes before now, as upkeep saw it."""

    ago: int
    queue: str = "mail"
    came: int = 0
    waiting: int = 0
    oldest: float = 0.0


def remember(floor: Floor, runs: Iterable[Was] = (), levels: Iterable[Stood] = ()) -> None:
    """Write all of it down, each minute whole."""
    now = int(time.time() // 60)
    rows = [(now - each.ago, MINUTE, each.queue, each.task, each.sum().packed()) for each in runs]
    rows += [
        (now - each.ago, MINUTE, each.queue, QUEUE, look(int(each.came), each.waiting, each.oldest).packed())
        for each in levels
    ]
    with closing(sqlite3.connect(floor.folder / "jobs.db", timeout=10)) as connection, connection:
        connection.executemany(KEEP, rows)
