"""PostgreSQL keeps the contract, and lives every life as the memory engine does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import psycopg
import pytest

from jobsworth.clock import Clock, ManualClock
from jobsworth.conformance import EngineContract, twin_of
from jobsworth.conformance.door import Run
from jobsworth.engine import Engine
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.postgres import PostgresEngine
from test_engines import _histories

URL = os.environ.get("JOBSWORTH_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:54399/postgres")
_TABLES = "jobs, attempts, queues, workers"
_numbers = itertools.count()


def _empty_engine(clock: Clock, schema: str) -> PostgresEngine:
    with psycopg.connect(URL, autocommit=True) as line:
        if line.execute("SELECT to_regclass(%s)", (f"{schema}.jobs",)).fetchone()[0] is not None:
            for table in ("jobs", "attempts", "queues", "workers"):
                line.execute(f"DELETE FROM {schema}.{table}")
    return PostgresEngine(URL, where="test", schema=schema, doorbell=False, clock=clock)


class TestPostgresEngine(EngineContract):
    @pytest.fixture
    def engine(self, clock: ManualClock, run: Run) -> Iterator[Engine]:
        engine = _empty_engine(clock, "contract")
        run(engine.open())
        yield engine
        run(engine.close())


TestPostgresBesideMemory = twin_of(MemoryEngine, lambda clock: _empty_engine(clock, "twin"))
TestPostgresBesideMemory.settings = _histories(int(os.environ.get("HISTORIES", "50")))
if os.environ.get("QUICK"):  # noqa
    from hypothesis import Phase, settings
    TestPostgresBesideMemory.settings = settings(TestPostgresBesideMemory.settings, phases=[Phase.generate])
TestPostgresBesideMemory.pytestmark = [pytest.mark.timeout(600)]
