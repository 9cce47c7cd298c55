"""Silence on one connection: a dead network is told from a server that is slow or at long work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from crew import Crew, later
from fire_app import App
from weather import Network, call, stopped

from jobsworth.engines.postgres import lines
from jobsworth.errors import EngineUnavailable
from jobsworth.events import EngineLost, Event
from servers import Postgres
from waiting import until

SLOW = 8  # seconds for which a server may say nothing and has lost nobody
BACK = 5
EVERYWHERE = pytest.mark.parametrize("server", ["postgres", "pgbouncer", "redis"], indirect=True)
SQL = pytest.mark.parametrize("server", ["postgres", "pgbouncer"], indirect=True)


@pytest.fixture
def far(far: App) -> App:
    """With a connection that is open."""
    far.quick.enqueue(0)
    return far


def _database(url: str, postgres: Postgres) -> str:
    """The same one, not by way of the pooler."""
    return f"{postgres.url.rpartition('/')[0]}/{url.rpartition('/')[2]}"


@contextmanager
def locked(url: str, postgres: Postgres) -> Iterator[None]:
    """Nobody can write to the jobs."""
    with psycopg.connect(_database(url, postgres)) as other:
        other.execute("LOCK TABLE jobsworth.jobs IN EXCLUSIVE MODE")
        yield


def asked(network: Network, what: Any) -> Future[tuple[object, float]]:
    """Call it; returns when its question has come in."""
    before = network.seen["to_server"]
    answer = call(what)
    until(lambda: network.seen["to_server"] > before)
    return answer


@EVERYWHERE
@pytest.mark.parametrize("direction", ["to_server", "to_client"])
def test_a_dead_connection_is_given_up_once_new_ones_are_answered(
    network: Network, far: App, crew: Crew, direction: Any
) -> None:
    network.black_hole(direction)
    answer = asked(network, lambda: far.quick.enqueue(1))
    later(0.5)
    network.strand()
    network.heal()
    found, seconds = answer.result(15)
    assert isinstance(found, EngineUnavailable)
    assert seconds < BACK
    assert call(lambda: far.quick.enqueue(1)).result(15)[1] < 1


@EVERYWHERE
def test_a_long_message_that_was_swallowed_half_way_is_given_up_too(network: Network, far: App) -> None:
    wishes = [("x" * 1000,)] * 2_000
    network.black_hole("to_server")
    answer = asked(network, lambda: far.held.enqueue_many(wishes))
    later(1)
    network.strand()
    network.heal()
    found, seconds = answer.result(20)
    assert isinstance(found, EngineUnavailable)
    assert seconds < 1 + BACK


@pytest.mark.parametrize("server", ["postgres", "redis"], indirect=True)
def test_a_server_that_is_slow_for_eight_seconds_breaks_nothing(server: Any, far: App, crew: Crew) -> None:
    heard: list[Event] = []
    with crew.jobs.worker({"default": 2}, lease=60, listener=heard.append):
        until(lambda: crew.jobs.find(state="completed"))
        later(1)  # whoever looked and listened has gone
        with stopped(server):
            answers = [call(lambda: far.quick.enqueue_many([(n,) for n in range(500)]))]
            later(SLOW)
        assert all(isinstance(found, list) and seconds >= SLOW for found, seconds in [a.result(20) for a in answers])
        assert len(crew.finish()) == 501
    assert [event for event in heard if isinstance(event, EngineLost)] == []


@SQL
def test_who_waits_for_a_lock_is_not_taken_for_dead(far: App, url: str, postgres: Postgres) -> None:
    with locked(url, postgres):
        answer = call(lambda: far.quick.enqueue(1))
        later(SLOW)
        assert not answer.done()
    found, _ = answer.result(5)
    assert not isinstance(found, Exception), found


@SQL
def test_a_lock_that_stays_is_given_up_in_bounded_time(far: App, url: str, postgres: Postgres) -> None:
    """Also of an operator's change, which is waited for while the server works on it: now it only waits."""
    handle = far.quick.enqueue(1)
    with locked(url, postgres):
        for answer in [call(lambda: far.quick.enqueue(1)), call(handle.cancel)]:
            found, seconds = answer.result(20)
            assert isinstance(found, EngineUnavailable)
            assert seconds < 15


@SQL
def test_a_long_change_is_waited_for_while_the_server_is_at_work_on_it(
    far: App, url: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a million jobs are moved. An enqueue has no such patience."""
    handle = far.quick.enqueue(1)
    with psycopg.connect(_database(url, postgres), autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE till timestamptz ="
            " clock_timestamp() + '3 s'; BEGIN WHILE clock_timestamp() < till LOOP END LOOP; RETURN NULL; END $$"
        )
        other.execute("CREATE TRIGGER dawdle AFTER INSERT OR UPDATE ON jobsworth.jobs EXECUTE FUNCTION public.dawdle()")
    monkeypatch.setattr(lines.Line, "answer_within", 1.8)
    assert isinstance(call(lambda: far.quick.enqueue(1)).result(20)[0], EngineUnavailable)
    found, seconds = call(handle.cancel).result(20)
    assert not isinstance(found, Exception), found
    assert seconds >= 3


@EVERYWHERE
def test_a_long_message_on_a_slow_way_arrives(network: Network, far: App, crew: Crew) -> None:
    wishes = [("x" * 1000,)] * 5_000
    network.delay(0.3)  # each piece
    found, _ = call(lambda: far.held.enqueue_many(wishes)).result(60)
    network.heal()
    assert not isinstance(found, Exception), found
    assert len(crew.all_jobs()) == 5001
