"""Real servers for whoever asks for one, and one loud line for each that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jobsworth import Jobsworth
from jobsworth.events import Event
from places import Place
from private_server import Given, Missing
from servers import PgBouncer, Postgres, Redis, Servers, required

S = TypeVar("S")
SERVERS = Servers()
LOUD = "NOT TESTED: "


def _hire(ask: Callable[..., S], **wishes: Any) -> S:
    try:
        return ask(**wishes)
    except Missing as missing:
        if required():
            pytest.fail(f"{missing}, and must be here", pytrace=False)
        pytest.skip(f"{LOUD}{missing}")


@pytest.fixture(scope="session")
def postgres() -> Postgres | Given:
    """PostgreSQL, not waiting for the disk. Ask it for a `new_database()`."""
    return _hire(SERVERS.postgres)


@pytest.fixture(scope="session")
def durable_postgres() -> Postgres | Given:
    """PostgreSQL of which nothing may be lost that it has acknowledged."""
    return _hire(SERVERS.postgres, durable=True)


@pytest.fixture(scope="session")
def redis() -> Redis | Given:
    """Redis, keeping nothing on the disk."""
    return _hire(SERVERS.redis)


@pytest.fixture(scope="session")
def durable_redis() -> Redis | Given:
    """Redis of which nothing may be lost that it has acknowledged."""
    return _hire(SERVERS.redis, durable=True)


@pytest.fixture(scope="session")
def pgbouncer() -> PgBouncer:
    """A pooler in front of `postgres`, in transaction mode."""
    return _hire(SERVERS.pgbouncer)


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if LOUD in reason:
            reason = reason.removeprefix("Skipped: ")
            told[reason] = told.get(reason, 0) + 1
    for reason, number in sorted(told.items()):
        terminalreporter.write_line(f"{reason} [{number} tests skipped]", red=True, bold=True)
