"""Real servers for whoever asks for one, and one loud line for each that is not there.

And the two passes of `make test`: tests that bear others beside them, in several processes, each with servers of its
own; then those marked `alone`. `pytest` alone runs them all, one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import undertaker
from jobsworth import Jobsworth
from jobsworth.events import Event
from places import Place
from private_server import Given
from servers import LOUD, GivenPostgres, GivenRedis, PgBouncer, Postgres, Redis, Servers, hire

SERVERS = Servers()
collect_ignore = ["celery_upload"]  # a program of its own, tested as one: test_testing_docs.py


def pytest_addoption(parser: pytest.Parser) -> None:
    passes = ("beside", "alone")
    parser.addoption("--pass", choices=passes, help="only the tests that bear others beside them, or only the others")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """To import a file takes its time: the second pass leaves out those without a test for it."""
    if config.getoption("--pass") != "alone" or not collection_path.match("test_*.py"):
        return None
    return None if collection_path.parent.name == "fire" or "mark.alone" in collection_path.read_text() else True


@pytest.hookimpl(trylast=True)  # when all marks are there
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--pass")
    if wanted:
        passes: dict[str, list[pytest.Item]] = {"beside": [], "alone": []}
        for item in items:
            passes["alone" if item.get_closest_marker("alone") else "beside"].append(item)
        items[:] = passes.pop(wanted)
        config.hook.pytest_deselected(items=[item for left_out in passes.values() for item in left_out])


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Iterator[None]:
    """What another process tells of must be text. Some tests log what is none."""
    return _as_text((yield))  # type: ignore[return-value]


def _as_text(told: Any) -> Any:
    if isinstance(told, str):
        return told.encode("utf-8", "backslashreplace").decode()
    if isinstance(told, dict):
        return {_as_text(name): _as_text(value) for name, value in told.items()}
    return type(told)(map(_as_text, told)) if type(told) in (list, tuple) else told


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One more than there are processors, for many tests wait. Given servers are not shared: there is one run then."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    given = any(os.environ.get(kind.variable) for kind in (GivenPostgres, GivenRedis))
    return 0 if given else min((os.cpu_count() or 1) + 1, 6)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What shares a module's fixtures stays together, as do browser and fire tests; what takes long begins early."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            for folder in ("tests/browser/", "tests/fire/"):
                if nodeid.startswith(folder):
                    return folder
            return nodeid if nodeid.startswith("tests/test_bench.py") else nodeid.rsplit("::", 1)[0]

    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def postgres() -> Postgres | Given:
    """PostgreSQL, not waiting for the disk. Ask it for a `new_database()`."""
    return hire(SERVERS.postgres)


@pytest.fixture(scope="session")
def durable_postgres() -> Postgres | Given:
    """PostgreSQL of which nothing may be lost that it has acknowledged."""
    return hire(SERVERS.postgres, durable=True)


@pytest.fixture(scope="session")
def redis() -> Redis | Given:
    """Redis, keeping nothing on the disk."""
    return hire(SERVERS.redis)


@pytest.fixture(scope="session")
def durable_redis() -> Redis | Given:
    """Redis of which nothing may be lost that it has acknowledged."""
    return hire(SERVERS.redis, durable=True)


@pytest.fixture(scope="session")
def pgbouncer() -> PgBouncer:
    """A pooler in front of `postgres`, in transaction mode."""
    return hire(SERVERS.pgbouncer)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'jobs.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    place = Place(url)
    yield place
    place.jobs.close()


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Iterator[Place]:
    place = Place(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield place
    place.jobs.close()


@pytest.fixture
def postgres_place(postgres: Any) -> Iterator[Place]:
    place = Place(postgres.new_database())
    yield place
    place.jobs.close()


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    jobs = Jobsworth("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'jobs.db'}")
    yield jobs
    jobs.close()


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A test that killed a server and failed before it was back harms no other one."""
    SERVERS.revive()


def pytest_sessionfinish() -> None:
    SERVERS.close()
    undertaker.dismiss()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if LOUD in reason:
            reason = reason.removeprefix("Skipped: ")
            told[reason] = told.get(reason, 0) + 1
    for reason, number in sorted(told.items()):
        terminalreporter.write_line(f"{reason} [{number} tests skipped]", red=True, bold=True)
