"""The server one is connected to is not, or not now, the one that takes writes: said once, borne, left for another."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from crew import Crew
from fire_app import App
from weather import call, new_place

from jobsworth import State
from jobsworth.errors import EngineUnavailable
from jobsworth.events import EngineBack, EngineLost, Event
from private_server import free_port
from servers import Postgres, Redis, Servers
from waiting import until

NOTICED, BACK = 15, 5
Turn = Callable[[bool], None]


@pytest.fixture
def private() -> Iterator[Servers]:
    """Servers that these tests may configure and leave in any state."""
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture(params=["PostgreSQL that only reads", "Redis that follows somebody dead"])
def place(request: pytest.FixtureRequest, private: Servers) -> tuple[str, Turn]:
    """A URL, and how to have its server take no writes, and take them again."""
    server: Any = private.postgres() if "PostgreSQL" in request.param else private.redis()
    if not isinstance(server, (Postgres, Redis)):
        pytest.skip("NOT TESTED: the server is not ours to be configured")
    url = new_place(server)
    return url, lambda reads: (_postgres if isinstance(server, Postgres) else _redis)(server, url, reads)


def _postgres(server: Postgres, url: str, reads: bool) -> None:
    with psycopg.connect(server.url, autocommit=True) as line:
        line.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if reads else 'off'}")
        line.execute("SELECT pg_reload_conf()")
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        line.execute(others, (urlsplit(url).path.strip("/"),))


def _redis(server: Redis, url: str, reads: bool) -> None:
    import redis

    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.execute_command("REPLICAOF", *(("127.0.0.1", free_port()) if reads else ("NO", "ONE")))


@pytest.fixture
def url(place: tuple[str, Turn]) -> str:
    return place[0]


def number(kind: type[Event], heard: list[Event]) -> int:
    return sum(isinstance(event, kind) for event in heard)


def test_a_server_that_only_reads_is_an_outage_like_any_other(place: tuple[str, Turn], crew: Crew) -> None:
    """The worker says so once, and once that it is over; a running job goes on and its result is kept."""
    url, only_reads = place
    heard: list[Event] = []
    far = App(url, crew.folder)
    with far.jobs.worker({"default": 2}, lease=30, listener=heard.append):
        held = crew.app.held.enqueue("through")
        until(lambda: held.progress)
        only_reads(True)
        (crew.folder / "through.1").touch()
        until(lambda: number(EngineLost, heard), NOTICED)
        for app in (crew.app, far):
            found, seconds = call(lambda app=app: app.quick.enqueue(1)).result(NOTICED)  # type: ignore[misc]
            assert isinstance(found, EngineUnavailable)
            assert "read" in str(found)
            assert seconds < 5
        assert number(EngineBack, heard) == 0
        only_reads(False)
        began = time.monotonic()
        until(lambda: number(EngineBack, heard), BACK)
        assert crew.app.quick.enqueue(3).result(BACK) == 6
        assert time.monotonic() - began < BACK
        assert held.result(10) == 1
    far.jobs.close()
    assert (number(EngineLost, heard), number(EngineBack, heard)) == (1, 1)
    assert {(job.state, job.attempt, job.errors) for job in crew.finish()} == {(State.COMPLETED, 1, 0)}


@pytest.mark.parametrize("place", ["PostgreSQL that only reads"], indirect=True)
def test_of_several_hosts_the_one_that_takes_writes_is_found(
    place: tuple[str, Turn], private: Servers, crew: Crew
) -> None:
    """The old primary is still there, and only reads now; the URL names both."""
    url, only_reads = place
    other = Servers()
    try:
        second = other.postgres()
        parts = urlsplit(url)
        with psycopg.connect(second.url, autocommit=True) as line:
            line.execute(f"CREATE DATABASE {parts.path.strip('/')}")
        heard: list[Event] = []
        hosts = f"jobsworth@127.0.0.1:{parts.port},127.0.0.1:{urlsplit(second.url).port}"
        far = App(parts._replace(netloc=hosts).geturl(), crew.folder)
        here, there = (
            App(url, crew.folder),
            App(parts._replace(netloc=urlsplit(second.url).netloc).geturl(), crew.folder),
        )
        with far.jobs.worker({"default": 2}, lease=30, listener=heard.append):
            assert here.quick.enqueue(1).result(BACK) == 2
            there.quick.enqueue(0)  # makes its schema, as the failover would have brought it along
            only_reads(True)
            began = time.monotonic()
            handle = there.quick.enqueue(2)
            assert handle.result(BACK + 5) == 4
            assert time.monotonic() - began < BACK + 5
        assert number(EngineLost, heard) == number(EngineBack, heard) <= 1
        for app in (far, here, there):
            app.jobs.close()
    finally:
        other.close()
