"""Jobs that are completed in their handler's own transaction, where the handler is a coroutine."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg.rows import dict_row

from jobsworth import CurrentJob, Jobsworth, Queue, State, current_job
from jobsworth.engines.sqlite import completing as sqlite_completing
from jobsworth.errors import LeaseLost, NoTransaction
from jobsworth.events import Afterthought, AttemptEnded, LeaseTaken
from places import (
    Place,
    add_to,
    ainsert,
    apay_in,
    ids,
    pays_in_its_second_attempt,
    take_over,
    writes_nothing_after_its_lease,
)
from runs import SOON
from waiting import until


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_coroutines_writes_and_the_completion_commit_together(place: Place, loop: Any) -> None:
    seen: list[Any] = []

    async def look(job: CurrentJob, connection: Any, n: int) -> None:
        seen.append((type(connection), place.ledger(), place.jobs.handle(job.id).state))

    task = apay_in(place, look)
    engine, written = place.jobs.engine, []
    turn = engine.turn

    async def note(worker: str, settle: Any, want: Any, *, lease: float) -> Any:
        written.extend(settle)
        return await turn(worker, settle, want, lease=lease)

    engine.turn = note  # type: ignore[method-assign]

    async def main() -> None:
        async with place.worker():
            handles = await task.aenqueue_many([(n,) for n in range(20)])
            assert [await handle.aresult(timeout=20) for handle in handles] == [{"paid": n} for n in range(20)]

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    assert written == []  # there is nothing left to write down
    assert place.ledger() == list(range(20))
    kind, before, state = seen[0]
    assert issubclass(kind, sqlite3.Connection if place.sqlite else psycopg.AsyncConnection)
    assert (before, state) == ([], State.RUNNING)
    assert [event.settlement.outcome for event in place.told(AttemptEnded)] == ["succeeded"] * 20
    assert place.told(LeaseTaken) == place.told(Afterthought) == []


def test_an_exception_in_a_coroutines_block_rolls_everything_back(place: Place) -> None:
    async def fail_once(job: CurrentJob, connection: Any, n: int) -> None:
        if job.attempt == 1:
            raise ValueError("not yet")

    pays_in_its_second_attempt(place, apay_in(place, fail_once))


def test_the_drivers_exceptions_leave_a_coroutines_block_as_they_are(place: Place) -> None:
    caught: list[BaseException] = []

    @place.jobs.task
    async def clumsy() -> str:
        try:
            async with current_job().transaction() as connection:
                cursor = connection.execute("SELECT * FROM no_such_table")
                if not place.sqlite:
                    await cursor
        except Exception as exc:
            caught.append(exc)
        async with current_job().transaction(result="second try") as connection:
            await ainsert(place, connection, 1)
        return "second try"

    with place.worker():
        assert clumsy.enqueue().result(timeout=10) == "second try"
    assert isinstance(caught[0], sqlite3.OperationalError if place.sqlite else psycopg.errors.UndefinedTable)
    assert place.ledger() == [1]


def test_a_lost_lease_rolls_a_coroutines_writes_back(place: Place) -> None:
    caught: list[BaseException] = []

    @place.jobs.task
    async def slept(job: CurrentJob) -> None:
        block = job.transaction(result="too late")
        take_over(place, job)
        try:
            async with block as connection:
                await ainsert(place, connection, 1)
        except LeaseLost as exc:
            caught.append(exc)
            raise

    writes_nothing_after_its_lease(place, slept, caught)


def test_a_coroutine_whose_time_runs_out_in_its_block_rolls_back(place: Place) -> None:
    """And what it was lent is free again: the next one gets through at once."""
    place.jobs.add(Queue("hasty", worker_count=1, timeout=0.2, grace=0.1, retry=1))
    caught: list[BaseException] = []

    async def dawdle(job: CurrentJob, connection: Any, n: int) -> None:
        try:
            await asyncio.sleep(60 if n == 7 else 0)
        except asyncio.CancelledError as exc:
            caught.append(exc)
            raise

    task = apay_in(place, dawdle, queue="hasty")
    with place.worker():
        late, prompt = task.enqueue(7), task.enqueue(8)
        assert prompt.result(timeout=10) == {"paid": 8}
        assert late.state is State.FAILED
    assert len(caught) == 1
    assert late.refresh().job.failure.reason in ("timeout", "exhausted")
    assert place.ledger() == [8]
    assert place.told(LeaseTaken) == place.told(Afterthought) == []


def test_a_cancelled_coroutine_has_the_server_stop_its_statement(postgres_place: Place) -> None:
    place = postgres_place
    inside = threading.Event()

    async def work(job: CurrentJob, connection: Any, n: int) -> None:
        if n == 7:
            inside.set()
            await connection.execute("SELECT pg_sleep(60)")

    def sleeping() -> list[Any]:
        with place.connect(autocommit=True) as connection:
            return connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE state <> 'idle' AND query LIKE '%pg_sleep(60)'"
                " AND pid <> pg_backend_pid() AND datname = current_database()"
            ).fetchall()

    task = apay_in(place, work)
    with place.worker():
        handle = task.enqueue(7)
        assert inside.wait(10)
        until(sleeping)
        assert handle.cancel("changed my mind")
        until(lambda: handle.state is State.CANCELLED)
        until(lambda: not sleeping())
        assert task.enqueue(8).result(timeout=10) == {"paid": 8}
    assert place.ledger() == [8]
    assert handle.refresh().job.cancel_reason == "changed my mind"


@pytest.fixture
def slow_commit(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Callable[[], Any], Callable[[], Any]]]:
    """Endings take until the second is called; the first is true once one is on its way."""
    if place.sqlite:
        reached, go, complete = threading.Event(), threading.Event(), sqlite_completing._complete

        def wait(*args: Any) -> None:
            reached.set()
            assert go.wait(20)
            complete(*args)

        monkeypatch.setattr(sqlite_completing, "_complete", wait)
        yield reached.is_set, go.set
        return
    with place.connect(autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END'"
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION wait()"
        )
        connection.execute("SELECT pg_advisory_lock(1)")

        def waits() -> bool:
            sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return bool(connection.execute(sql).fetchone()[0])

        yield waits, lambda: connection.execute("SELECT pg_advisory_unlock(1)")


def test_a_cancellation_while_it_commits_is_heeded_once_that_is_done(
    place: Place, slow_commit: tuple[Callable[[], Any], Callable[[], Any]]
) -> None:
    """Or nobody would know whether the payment was made."""
    reached, go = slow_commit
    place.jobs.add(Queue("hasty", timeout=1, grace=0.1, retry=1))  # it has to get as far as its commit
    ended: list[Any] = []

    @place.jobs.task(queue="hasty")
    async def pay(job: CurrentJob) -> None:
        try:
            async with job.transaction(result="paid") as connection:
                await ainsert(place, connection, 7)
        except BaseException as exc:
            ended.append((exc, job.settled))
            raise

    with place.worker() as worker:
        handle = pay.enqueue()
        until(reached)
        run = next(iter(worker._shop.runs.values()))
        until(lambda: run.context.cancel_requested)
        assert not ended
        go()
        assert handle.result(timeout=10) == "paid"
        until(lambda: place.told(AttemptEnded))
    ((exc, settled),) = ended
    assert isinstance(exc, asyncio.CancelledError)
    assert settled is not None
    assert place.ledger() == [7]
    assert [event.settlement.outcome for event in place.told(AttemptEnded)] == ["succeeded"]
    assert place.told(LeaseTaken) == []


def test_each_colour_has_its_own_with(place: Place) -> None:
    told: list[NoTransaction] = []

    @place.jobs.task
    async def blocks() -> str:
        try:
            with current_job().transaction():
                pass
        except NoTransaction as exc:
            told.append(exc)
        return "done"

    @place.jobs.task
    def has_no_loop() -> str:
        try:
            current_job().transaction().__aenter__().send(None)
        except NoTransaction as exc:
            told.append(exc)
        return "done"

    @place.jobs.task
    async def threads(n: int) -> str:
        def write() -> None:
            with current_job().transaction(result="done") as connection:
                place.insert(connection, n)

        await asyncio.to_thread(write)
        return "done"

    @place.jobs.task
    def brings_a_loop(n: int) -> str:
        async def write() -> None:
            async with current_job().transaction(result="done") as connection:
                await ainsert(place, connection, n)

        asyncio.run(write())
        return "done"

    with place.worker():
        assert blocks.enqueue().result(timeout=10) == "done"
        assert has_no_loop.enqueue().result(timeout=10) == "done"
        assert threads.enqueue(7).result(timeout=10) == "done"
        assert [brings_a_loop.enqueue(n).result(timeout=10) for n in (8, 9)] == ["done"] * 2
    assert [exc.code for exc in told] == ["E113"] * 2
    assert "async with" in str(told[0])
    assert "to_thread" in str(told[0])
    assert "event loop" in str(told[1])
    assert place.ledger() == [7, 8, 9]


def test_there_is_one_block_per_run_however_many_coroutines_it_has(place: Place) -> None:
    @place.jobs.task
    async def twice() -> None:
        async def write(n: int) -> None:
            async with current_job().transaction() as connection:
                await ainsert(place, connection, n)

        outcomes = await asyncio.gather(write(1), write(2), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None), NoTransaction], outcomes

    with place.worker():
        twice.enqueue().result(timeout=10)
    assert place.ledger() == [1]
    assert place.told(Afterthought) == []


def test_engines_without_transactions_say_so_to_coroutines_too() -> None:
    jobs = Jobsworth("memory://")

    @jobs.task(max_attempts=1)
    async def pay() -> None:
        async with current_job().transaction():
            pass

    with pytest.raises(NoTransaction, match="worker"):
        asyncio.run(pay())
    with jobs.worker():
        handle = pay.enqueue()
        until(lambda: handle.state is State.FAILED)
    assert "NoTransaction" in handle.refresh().job.failure.type
    jobs.close()


def test_a_coroutines_block_can_enqueue_what_follows(place: Place) -> None:
    follow = add_to(place)

    async def and_then(job: CurrentJob, connection: Any, n: int) -> None:
        within = follow.options(transaction=connection)
        _ = within.enqueue(n) if place.sqlite else await within.aenqueue(n)
        if job.attempt == 1:
            raise ValueError("not this time")

    task = apay_in(place, and_then, max_attempts=3)
    task._retry = SOON
    with place.worker():
        task.enqueue(7).result(timeout=10)
    assert len(ids(place)) == 2
    assert len(place.jobs.find(task="add")) == 1


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_what_a_block_that_failed_has_set_is_not_the_next_ones(postgres_place: Place, colour: str) -> None:
    place, seen = postgres_place, []
    settings = "SELECT pg_backend_pid(), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    place.jobs.add(Queue("narrow", worker_count=1, retry=1))

    def change(connection: Any) -> None:
        connection.row_factory = dict_row
        raise ValueError("now it is yours")

    def work(job: CurrentJob, n: int) -> None:
        with job.transaction() as connection:
            seen.append(connection.execute(settings).fetchone())
            connection.execute("SELECT pg_advisory_lock(1)")
            change(connection)

    async def awork(job: CurrentJob, n: int) -> None:
        async with job.transaction() as connection:
            cursor = await connection.execute(settings)
            seen.append(await cursor.fetchone())
            await connection.execute("SELECT pg_advisory_lock(1)")
            change(connection)

    task = place.jobs.task(queue="narrow", name="work")(work if colour == "def" else awork)
    with place.worker():
        handles = task.enqueue_many([(n,) for n in range(3)])
        until(lambda: all(handle.state is State.FAILED for handle in handles))
    assert [type(row) for row in seen] == [tuple] * 3, seen
    assert len({row[0] for row in seen}) == 1  # one connection, used again and again
    assert [row[1] for row in seen] == [0] * 3


def test_a_broken_connection_is_not_lent_to_the_next_coroutine(postgres_place: Place) -> None:
    place = postgres_place

    async def cut(job: CurrentJob, connection: Any, n: int) -> None:
        if n == 7:
            with place.connect(autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))

    task = apay_in(place, cut, queue="narrow", max_attempts=1)
    place.jobs.add(Queue("narrow", worker_count=1))
    with place.worker():
        cut_off, next_one = task.enqueue(7), task.enqueue(8)
        assert next_one.result(timeout=10) == {"paid": 8}
        assert cut_off.state is State.FAILED
    assert "EngineUnavailable" in cut_off.refresh().job.failure.type
    assert place.ledger() == [8]


def test_coroutines_complete_through_a_pooler_that_keeps_no_session(pgbouncer: Any) -> None:
    place = Place(pgbouncer.new_database())
    task = apay_in(place)
    with place.worker():
        handles = task.enqueue_many([(n,) for n in range(10)])
        assert [handle.result(timeout=10) for handle in handles] == [{"paid": n} for n in range(10)]
    assert place.ledger() == list(range(10))
    place.jobs.close()
