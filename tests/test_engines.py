"""Our engines keep the contract, and SQLite lives every life as the memory engine does."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from jobsworth.clock import Clock, ManualClock
from jobsworth.conformance import EngineContract, twin_of
from jobsworth.conformance.door import Run
from jobsworth.engine import Engine
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.sqlite import SqliteEngine


class TestMemoryEngine(EngineContract):
    @pytest.fixture
    def engine(self, clock: ManualClock, run: Run) -> Iterator[Engine]:
        engine = MemoryEngine(clock)
        run(engine.open())
        yield engine
        run(engine.close())


class TestSqliteEngine(EngineContract):
    @pytest.fixture
    def engine(self, clock: ManualClock, run: Run, tmp_path: Path) -> Iterator[Engine]:
        engine = SqliteEngine(tmp_path / "jobs.db", clock=clock)
        run(engine.open())
        yield engine
        run(engine.close())


def _histories(number: int) -> settings:
    return settings(
        max_examples=number,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


# A disk in memory where there is one: what is compared is what the engines say, not how well the disk keeps it.
_DISK = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
_FILES = tempfile.TemporaryDirectory(prefix="jobsworth-twins-", dir=_DISK)
_numbers = itertools.count()


def _sqlite(clock: Clock) -> Engine:
    for left_over in Path(_FILES.name).iterdir():  # the history before this one is over, and its engine closed
        left_over.unlink()
    return SqliteEngine(Path(_FILES.name) / f"twin-{next(_numbers)}.db", clock=clock)


# About half a minute. HISTORIES=10 for a quick look, HISTORIES=5000 for a long night.
_LIVES = int(os.environ.get("HISTORIES", "200"))

TestMemoryBesideItself = twin_of(MemoryEngine, MemoryEngine)
TestMemoryBesideItself.settings = _histories(5)  # type: ignore[attr-defined]

TestSqliteBesideMemory = twin_of(MemoryEngine, _sqlite)
TestSqliteBesideMemory.settings = _histories(_LIVES)  # type: ignore[attr-defined]
# Two hundred lives take a minute or so, and finding the shortest one that differs may take several.
TestSqliteBesideMemory.pytestmark = [pytest.mark.timeout(600)]  # type: ignore[attr-defined]
