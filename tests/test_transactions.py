"""Jobs that share a transaction: enqueued in the user's own, completed in the handler's, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from jobsworth import CurrentJob, Jobsworth, Queue, QueueFull, State, current_job
from jobsworth.errors import BadOption, JobNotFound, LeaseLost, NoTransaction, WrongDatabase
from jobsworth.events import Afterthought, AttemptEnded, Event, LeaseTaken
from waiting import until

LEDGER = "CREATE TABLE IF NOT EXISTS ledger (n integer, job text)"


class Place:
    """A database that holds the jobs and the user's own table."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqlite = url.startswith("sqlite")
        self.jobs = Jobsworth(url)
        self.jobs.open()
        self.events: list[Event] = []
        self.mark = "?" if self.sqlite else "%s"
        with self.connect() as connection:
            connection.execute(LEDGER)
            connection.commit()

    @contextmanager
    def connect(self, **options: Any) -> Iterator[Any]:
        made = sqlite3.connect(self.path, **options) if self.sqlite else psycopg.connect(self.url, **options)
        try:
            yield made
        finally:
            made.close()

    @property
    def path(self) -> str:
        return self.url.removeprefix("sqlite:///")

    def ledger(self) -> list[int]:
        with self.connect() as connection:
            return [row[0] for row in connection.execute("SELECT n FROM ledger ORDER BY n").fetchall()]

    def insert(self, connection: Any, n: int) -> None:
        connection.execute(f"INSERT INTO ledger (n) VALUES ({self.mark})", (n,))

    @property
    def sqlalchemy_url(self) -> str:
        return self.url if self.sqlite else self.url.replace("postgresql:", "postgresql+psycopg:")

    @property
    def async_sqlalchemy_url(self) -> str:
        return self.sqlalchemy_url.replace("sqlite:", "sqlite+aiosqlite:")

    def worker(self, **options: Any) -> Any:
        return self.jobs.worker(listener=self.events.append, **options)

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


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


def ids(place: Place) -> set[str]:
    return {job.id for job in place.jobs.find(limit=None)}


def add_to(place: Place) -> Any:
    return place.jobs.task(name="add")(lambda n: n)


# Enqueueing in the user's transaction.
def test_a_job_exists_if_and_only_if_its_transaction_commits(place: Place) -> None:
    task = add_to(place)
    with place.connect() as connection:
        place.insert(connection, 1)
        kept = task.options(transaction=connection).enqueue(1)
        assert kept.created
        with pytest.raises(JobNotFound):
            kept.status()
        connection.commit()
        assert kept.state is State.QUEUED
        place.insert(connection, 2)
        task.options(transaction=connection).enqueue(2)
        connection.rollback()
    assert ids(place) == {kept.id}
    assert place.ledger() == [1]


def test_a_job_alone_in_its_transaction_waits_for_the_commit_too(place: Place) -> None:
    """sqlite3 begins by itself only at an INSERT: nothing of ours may commit before that."""
    task = add_to(place)
    with place.connect() as connection:
        task.options(transaction=connection).enqueue(1)
        assert ids(place) == set()
        connection.rollback()
        assert ids(place) == set()
        handle = task.options(transaction=connection).enqueue(1)
        connection.commit()
    assert ids(place) == {handle.id}


def test_every_option_and_large_arguments_arrive(place: Place) -> None:
    task = add_to(place)
    with place.connect() as connection:
        handle = task.options(
            transaction=connection, delay=60, priority=5, key="order-7", owner="user:7", tags=["a", "b"],
            meta={"x": 1}, label="Größe", timeout=5, max_attempts=9, expires=600, id="mine",
        ).enqueue("x" * 100_000)  # fmt: skip
        connection.commit()
    job = handle.refresh().job
    assert (job.id, job.state, job.priority, job.key, job.owner) == ("mine", "scheduled", 5, "order-7", "user:7")
    assert (job.tags, job.label, job.timeout, job.max_attempts) == (("a", "b"), "Größe", 5, 9)
    assert len(job.args) > 100_000
    assert 500 < job.expires_at - job.created_at <= 600


def test_many_jobs_are_stored_in_one_transaction(place: Place) -> None:
    task = add_to(place)
    with place.connect() as connection:
        first = task.options(transaction=connection).enqueue_many([(1,), {"n": 2}, (3,)])
        more = place.jobs.enqueue_many([task.new_job(4), task.new_job(5)], transaction=connection)
        assert ids(place) == set()
        connection.commit()
    assert ids(place) == {handle.id for handle in first + more}


def test_a_key_that_is_held_and_an_id_that_is_known_create_nothing(place: Place) -> None:
    task = add_to(place)
    held = task.options(key="k").enqueue(1)
    with place.connect() as connection:
        again = task.options(transaction=connection, key="k").enqueue(2)
        known = task.options(transaction=connection, id=held.id).enqueue(3)
        fresh = task.options(transaction=connection, key="other").enqueue(4)
        twice = task.options(transaction=connection, key="other").enqueue(5)
        connection.commit()
    assert [(each.id, each.created) for each in (again, known)] == [(held.id, False)] * 2
    assert (fresh.created, twice.created, twice.id) == (True, False, fresh.id)
    assert ids(place) == {held.id, fresh.id}


def test_a_full_queue_refuses_the_batch_whole_and_leaves_the_transaction_usable(place: Place) -> None:
    place.jobs.add(Queue("small", max_size=2))
    task = place.jobs.task(name="add", queue="small")(lambda n: n)
    with place.connect() as connection:
        place.insert(connection, 1)
        with pytest.raises(QueueFull):
            task.options(transaction=connection).enqueue_many([(1,), (2,), (3,)])
        stored = task.options(transaction=connection).enqueue_many([(1,), (2,)])
        connection.commit()
    assert ids(place) == {handle.id for handle in stored}
    assert place.ledger() == [1]


def test_a_batch_that_fails_half_way_leaves_nothing_behind(sqlite_place: Place) -> None:
    place, task = sqlite_place, add_to(sqlite_place)
    with place.connect() as connection:
        connection.execute("CREATE TEMP TRIGGER no AFTER INSERT ON main.jobsworth_jobs WHEN new.id = 'third'"
                           " BEGIN SELECT raise(ABORT, 'no third'); END")  # fmt: skip
        jobs = [task.options(id=name).new_job(1) for name in ("first", "second", "third")]
        with pytest.raises(sqlite3.IntegrityError, match="no third"):
            place.jobs.enqueue_many(jobs, transaction=connection)
        place.insert(connection, 1)
        connection.commit()
    assert ids(place) == set()
    assert place.ledger() == [1]


def test_the_users_row_factory_is_his_own_affair(place: Place) -> None:
    task = add_to(place)
    with place.connect() as connection:
        connection.row_factory = sqlite3.Row if place.sqlite else dict_row
        held = task.options(transaction=connection, key="k").enqueue(1)
        assert task.options(transaction=connection, key="k").enqueue(1).id == held.id
        connection.commit()
    assert ids(place) == {held.id}


def test_autocommit_without_a_transaction_is_refused(place: Place) -> None:
    task = add_to(place)
    with place.connect(**({"isolation_level": None} if place.sqlite else {"autocommit": True})) as connection:
        with pytest.raises(NoTransaction, match="autocommit"):
            task.options(transaction=connection).enqueue(1)
        connection.execute("BEGIN")
        task.options(transaction=connection).enqueue(1)
        connection.execute("ROLLBACK")
        assert ids(place) == set()
        connection.execute("BEGIN")
        handle = task.options(transaction=connection).enqueue(1)
        connection.execute("COMMIT")
    assert ids(place) == {handle.id}


def test_another_file_is_refused(sqlite_place: Place, tmp_path: Path) -> None:
    place, task = sqlite_place, add_to(sqlite_place)
    for other in (str(tmp_path / "other.db"), ":memory:"):
        connection = sqlite3.connect(other)
        connection.execute("ATTACH ? AS jobs", (place.path,))  # two files do not commit as one
        with pytest.raises(WrongDatabase, match=r"jobs\.db"):
            task.options(transaction=connection).enqueue(1)
        assert not connection.in_transaction
        connection.close()
    (tmp_path / "same.db").symlink_to(place.path)
    connection = sqlite3.connect(tmp_path / "same.db")
    handle = task.options(transaction=connection).enqueue(1)
    connection.commit()
    connection.close()
    assert ids(place) == {handle.id}


def test_another_database_is_refused(postgres_place: Place, postgres: Any) -> None:
    task = add_to(postgres_place)
    without, with_jobs = postgres.new_database(), postgres.new_database()
    there = Jobsworth(with_jobs)
    there.open()
    for url in (without, with_jobs):
        with psycopg.connect(url) as connection, pytest.raises(WrongDatabase, match="schema 'jobsworth'"):
            task.options(transaction=connection).enqueue(1)
    assert there.find() == []
    there.close()


def test_a_connection_of_another_database_altogether_is_refused(sqlite_place: Place, postgres_place: Place) -> None:
    for place, other in ((sqlite_place, postgres_place), (postgres_place, sqlite_place)):
        with other.connect() as connection, pytest.raises(WrongDatabase):
            add_to(place).options(transaction=connection).enqueue(1)
        assert ids(place) == set()


def test_an_engine_without_transactions_says_so(tmp_path: Path) -> None:
    jobs = Jobsworth("memory://")
    task = jobs.task(name="add")(lambda n: n)
    connection = sqlite3.connect(":memory:")
    with pytest.raises(NoTransaction, match="MemoryEngine"):
        task.options(transaction=connection).enqueue(1)
    connection.close()
    assert jobs.find() == []


def test_what_is_no_connection_is_refused_before_anything_else(sqlite_place: Place) -> None:
    task = add_to(sqlite_place)
    with pytest.raises(BadOption, match=r"builtins\.str"):
        task.options(transaction="postgresql://")
    with sqlite_place.connect() as connection, pytest.raises(BadOption, match="enqueue_many"):
        task.options(transaction=connection).new_job(1)


def test_tables_that_are_not_there_yet_are_made_unless_the_transaction_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    jobs = Jobsworth(f"sqlite:///{path}")
    task = jobs.task(name="add")(lambda n: n)
    connection = sqlite3.connect(path)
    connection.execute(LEDGER)
    connection.execute("INSERT INTO ledger VALUES (1, '')")
    began = time.monotonic()
    with pytest.raises(WrongDatabase, match=r"jobs\.open\(\)"):
        task.options(transaction=connection).enqueue(1)
    assert time.monotonic() - began < 5  # and not only once the lock's patience is over
    connection.rollback()
    handle = task.options(transaction=connection).enqueue(1)
    connection.commit()
    connection.close()
    assert handle.state is State.QUEUED
    jobs.close()


def test_an_unprivileged_role_of_the_database_can_enqueue(postgres_place: Place) -> None:
    place, task = postgres_place, add_to(postgres_place)
    with place.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS clerk")
        connection.execute("CREATE ROLE clerk")
        connection.execute("GRANT USAGE ON SCHEMA jobsworth TO clerk")
        connection.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA jobsworth TO clerk")
        connection.commit()
        connection.execute("SET ROLE clerk")
        handle = task.options(transaction=connection).enqueue(1)
        connection.commit()
        connection.execute("RESET ROLE")
        assert ids(place) == {handle.id}
        connection.execute("DROP OWNED BY clerk")
        connection.execute("DROP ROLE clerk")
        connection.commit()


@pytest.mark.parametrize("doorbell", ["on", "off"])
def test_listeners_hear_of_the_commit_where_the_doorbell_is_on(postgres_place: Place, doorbell: str) -> None:
    place = postgres_place
    jobs = Jobsworth(f"{place.url}?doorbell={doorbell}")
    task = jobs.task(name="add")(lambda n: n)
    with place.connect(autocommit=True) as ear, place.connect() as connection:
        ear.execute("LISTEN jobsworth")
        task.options(transaction=connection).enqueue(1)
        assert list(ear.notifies(timeout=0)) == []
        connection.commit()
        heard = list(ear.notifies(timeout=5 if doorbell == "on" else 0.2, stop_after=1))
    assert [note.payload for note in heard] == ([""] if doorbell == "on" else [])
    jobs.close()


def test_listeners_of_this_process_hear_of_the_commit(place: Place) -> None:
    """Long before they would look by themselves."""
    task = add_to(place)
    rung = threading.Event()
    stop = place.jobs.engine.listen(rung.set)
    with place.connect() as connection:
        task.options(transaction=connection).enqueue(0)
        connection.commit()
        for n in range(5):  # the first ring may be the listener's own beginning
            task.options(transaction=connection).enqueue(n)
            rung.clear()
            connection.commit()
            assert rung.wait(0.9)
    stop()


# SQLAlchemy.
SYNC = {
    "Connection": lambda engine: engine.connect(),
    "Session": lambda engine: Session(engine),
    "scoped_session": lambda engine: scoped_session(sessionmaker(engine)),
}
ASYNC = {
    "AsyncConnection": lambda engine: engine.connect(),
    "AsyncSession": lambda engine: AsyncSession(engine),
    "async_scoped_session": lambda engine: async_scoped_session(async_sessionmaker(engine), asyncio.current_task),
}


@pytest.mark.parametrize("kind", SYNC)
def test_sqlalchemy_decides_over_the_job(place: Place, kind: str) -> None:
    task = add_to(place)
    engine = sa.create_engine(place.sqlalchemy_url)
    session: Any = SYNC[kind](engine)
    if kind == "Connection":
        session = session.__enter__()
    for keep in (False, True):
        session.execute(sa.text("INSERT INTO ledger (n) VALUES (1)"))
        handles = task.options(transaction=session, key="k").enqueue_many([(1,)] * 2)
        assert ids(place) == set()
        _ = session.commit() if keep else session.rollback()
        assert len(place.ledger()) == keep
    assert ids(place) == {handles[0].id}
    assert [handle.created for handle in handles] == [True, False]
    with pytest.raises(BadOption, match="sync"):
        asyncio.run(task.options(transaction=session).aenqueue(1))
    (session.remove if kind == "scoped_session" else session.close)()
    engine.dispose()


@pytest.mark.parametrize("kind", ASYNC)
def test_async_sqlalchemy_decides_over_the_job(place: Place, kind: str) -> None:
    task = add_to(place)

    async def main() -> None:
        engine = create_async_engine(place.async_sqlalchemy_url)
        session: Any = ASYNC[kind](engine)
        if kind == "AsyncConnection":
            await session.start()
        for keep in (False, True):
            await session.execute(sa.text("INSERT INTO ledger (n) VALUES (1)"))
            handles = await task.options(transaction=session, key="k").aenqueue_many([(1,)] * 2)
            assert ids(place) == set()
            await (session.commit() if keep else session.rollback())
            assert len(place.ledger()) == keep
        assert ids(place) == {handles[0].id}
        with pytest.raises(BadOption, match="async"):
            task.options(transaction=session).enqueue(1)
        await (session.remove() if kind == "async_scoped_session" else session.close())
        await engine.dispose()

    asyncio.run(main())


def test_a_session_that_only_enqueues_waits_for_the_commit_too(place: Place) -> None:
    task = add_to(place)
    engine = sa.create_engine(place.sqlalchemy_url)
    with Session(engine) as session:
        task.options(transaction=session).enqueue(1)
        session.rollback()
        assert ids(place) == set()
        handle = task.options(transaction=session).enqueue(1)
        session.commit()
    engine.dispose()
    assert ids(place) == {handle.id}


def test_sqlalchemys_autocommit_is_refused(place: Place) -> None:
    task = add_to(place)
    engine = sa.create_engine(place.sqlalchemy_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(NoTransaction, match="autocommit"):
        task.options(transaction=connection).enqueue(1)
    engine.dispose()
    assert ids(place) == set()


def test_psycopgs_async_connection_decides_over_the_job(postgres_place: Place) -> None:
    place, task = postgres_place, add_to(postgres_place)

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(place.url, row_factory=dict_row) as connection:
            for keep in (False, True):
                await place_insert(connection)
                handles = await task.options(transaction=connection, key="k").aenqueue_many([(1,)] * 2)
                assert ids(place) == set()
                await (connection.commit() if keep else connection.rollback())
            assert ids(place) == {handles[0].id}
            assert place.ledger() == [1]
            with pytest.raises(BadOption, match="aenqueue"):
                task.options(transaction=connection).enqueue(1)
            await connection.set_autocommit(True)
            with pytest.raises(NoTransaction):
                await task.options(transaction=connection).aenqueue(1)
            async with connection.transaction():
                last = await task.options(transaction=connection).aenqueue(1)
            assert last.id in ids(place)

    async def place_insert(connection: Any) -> None:
        await connection.execute("INSERT INTO ledger (n) VALUES (1)")

    asyncio.run(main())


def test_a_sync_connection_would_block_the_loop(place: Place) -> None:
    with place.connect() as connection, pytest.raises(BadOption, match="block"):
        asyncio.run(add_to(place).options(transaction=connection).aenqueue(1))


# Completing in the handler's transaction.
def pay_in(place: Place, work: Callable[[Any, Any, int], Any] | None = None, **options: Any) -> Any:
    """A task that writes its number into the ledger and completes with that; `work` does more inside the block."""

    def pay(job: CurrentJob, n: int) -> Any:
        with job.transaction(result={"paid": n}) as connection:
            place.insert(connection, n)
            return work(job, connection, n) if work is not None else None

    return place.jobs.task(name="pay", **options)(pay)


def test_the_handlers_writes_and_the_completion_commit_together(place: Place) -> None:
    seen: list[Any] = []

    def look(job: CurrentJob, connection: Any, n: int) -> None:
        seen.append((type(connection), place.ledger(), place.jobs.handle(job.id).state))

    task = pay_in(place, look)
    engine, written = place.jobs.engine, []
    turn = engine.turn

    async def note(worker: str, settle: Any, want: Any, *, lease: float) -> Any:
        written.extend(settle)
        return await turn(worker, settle, want, lease=lease)

    engine.turn = note  # type: ignore[method-assign]
    with place.worker():
        handle = task.enqueue(7)
        assert handle.result(timeout=10) == {"paid": 7}
    assert written == []  # there is nothing left to write down
    assert place.ledger() == [7]
    kind, before, state = seen[0]
    assert issubclass(kind, sqlite3.Connection if place.sqlite else psycopg.Connection)
    assert (before, state) == ([], State.RUNNING)
    job = handle.refresh().job
    assert [(each.number, each.outcome) for each in job.attempts] == [(1, "succeeded")]
    assert (job.errors, job.crashes) == (0, 0)
    assert [event.settlement.outcome for event in place.told(AttemptEnded)] == ["succeeded"]
    assert place.told(LeaseTaken) == place.told(Afterthought) == []


def test_slots_are_free_again_afterwards(place: Place) -> None:
    place.jobs.add(Queue("narrow", worker_count=1))
    task = pay_in(place, queue="narrow")
    with place.worker():
        handles = task.enqueue_many([(n,) for n in range(30)])
        assert [handle.result(timeout=20) for handle in handles] == [{"paid": n} for n in range(30)]
    assert place.ledger() == list(range(30))
    assert len(place.told(AttemptEnded)) == 30


def test_an_exception_in_the_block_rolls_everything_back(place: Place) -> None:
    def fail_once(job: CurrentJob, connection: Any, n: int) -> None:
        if job.attempt == 1:
            raise ValueError("not yet")

    task = pay_in(place, fail_once)
    task._retry = task.retry.__class__(max_attempts=3, base=0.01)
    with place.worker():
        handle = task.enqueue(7)
        assert handle.result(timeout=10) == {"paid": 7}
    assert place.ledger() == [7]
    job = handle.refresh().job
    assert [each.outcome for each in job.attempts] == ["failed", "succeeded"]
    assert job.errors == 1


def test_the_drivers_exceptions_leave_the_block_as_they_are(place: Place) -> None:
    caught: list[BaseException] = []

    @place.jobs.task
    def clumsy() -> str:
        try:
            with current_job().transaction() as connection:
                connection.execute("SELECT * FROM no_such_table")
        except Exception as exc:
            caught.append(exc)
        return "went on"

    with place.worker():
        assert clumsy.enqueue().result(timeout=10) == "went on"
    assert isinstance(caught[0], sqlite3.OperationalError if place.sqlite else psycopg.errors.UndefinedTable)


def _take_over(place: Place, job: CurrentJob) -> None:
    """As if the lease had run out and another worker had reclaimed the job."""
    table = "jobsworth_jobs" if place.sqlite else "jobsworth.jobs"
    with place.connect() as connection:
        connection.execute(f"UPDATE {table} SET fence = fence + 1 WHERE id = {place.mark}", (job.id,))
        connection.commit()


def test_a_lost_lease_rolls_the_handlers_writes_back(place: Place) -> None:
    caught: list[BaseException] = []

    @place.jobs.task
    def slept(job: CurrentJob) -> None:
        begin = job.transaction(result="too late")
        _take_over(place, job)
        try:
            with begin as connection:
                place.insert(connection, 1)
        except LeaseLost as exc:
            caught.append(exc)
            raise

    with place.worker():
        handle = slept.enqueue()
        until(lambda: caught and place.told(LeaseTaken))  # either may come first
    assert place.ledger() == []
    assert handle.state is State.RUNNING  # the other attempt's, as far as anybody knows
    assert place.told(AttemptEnded) == []
    assert len(place.told(LeaseTaken)) == 1


def test_a_cancellation_during_the_block_comes_too_late(postgres_place: Place) -> None:
    """The handler has got there first, as one that returns has. (In SQLite nobody can even ask: the file is locked.)"""
    place = postgres_place
    inside, go = threading.Event(), threading.Event()

    def wait(job: CurrentJob, connection: Any, n: int) -> None:
        inside.set()
        assert go.wait(10)

    task = pay_in(place, wait)
    with place.worker():
        handle = task.enqueue(7)
        assert inside.wait(10)
        assert handle.cancel("changed my mind")
        assert handle.state is State.CANCELLING
        go.set()
        assert handle.result(timeout=10) == {"paid": 7}
    assert place.ledger() == [7]


def test_a_cancellation_before_the_block_begins_stops_it(place: Place) -> None:
    started, go = threading.Event(), threading.Event()

    @place.jobs.task
    def late(job: CurrentJob) -> None:
        started.set()
        assert go.wait(10)
        with job.transaction() as connection:
            place.insert(connection, 1)

    def ask() -> None:
        handle.cancel("changed my mind")
        until(lambda: next(iter(worker._shop.runs.values())).context.cancel_requested)
        go.set()

    with place.worker() as worker:
        handle = late.enqueue()
        assert started.wait(10)
        ask()
        until(lambda: handle.state is State.CANCELLED)
    assert place.ledger() == []


def test_a_run_that_timed_out_before_it_commits_writes_nothing(postgres_place: Place) -> None:
    place = postgres_place
    place.jobs.add(Queue("hasty", timeout=0.2, grace=0.1, retry=1))
    go, ended = threading.Event(), threading.Event()

    @place.jobs.task(queue="hasty")
    def slow(job: CurrentJob) -> None:
        begin = job.transaction()
        try:
            with begin as connection:
                assert go.wait(20)
                place.insert(connection, 1)
        finally:
            ended.set()

    with place.worker():
        handle = slow.enqueue()
        until(lambda: handle.state is State.FAILED)
        go.set()
        assert ended.wait(10)
    assert place.ledger() == []
    assert handle.refresh().job.failure.reason in ("timeout", "exhausted")


def test_a_run_that_was_given_up_while_it_committed_counts_as_completed(sqlite_place: Place) -> None:
    """It is timed out inside its block; that holds the file, so it is the block's ending that is written, not ours."""
    place = sqlite_place
    place.jobs.add(Queue("hasty", timeout=0.2, grace=0.1, retry=1))
    go = threading.Event()

    def wait(job: CurrentJob, connection: Any, n: int) -> None:
        assert go.wait(20)

    task = pay_in(place, wait, queue="hasty")
    with place.worker() as worker:
        handle = task.enqueue(7)
        until(lambda: worker._shop.runs)
        until(lambda: not worker._shop.runs)  # ended without its thread
        go.set()
        assert handle.result(timeout=10) == {"paid": 7}
        until(lambda: place.told(AttemptEnded))
    assert place.ledger() == [7]
    assert [event.settlement.outcome for event in place.told(AttemptEnded)] == ["succeeded"]
    assert place.told(LeaseTaken) == []


def test_what_a_handler_says_after_its_block_changes_nothing_and_is_told(place: Place) -> None:
    @place.jobs.task
    def talks_on(how: str) -> str:
        with current_job().transaction(result="first") as connection:
            place.insert(connection, 1)
        current_job().report_progress(1, 2)
        if how == "raises":
            raise ValueError("afterwards")
        return how

    with place.worker():
        handles = [talks_on.enqueue(how) for how in ("first", "second", "raises")]
        assert [handle.result(timeout=10) for handle in handles] == ["first"] * 3
        until(lambda: len(place.told(AttemptEnded)) == 3)
    told = sorted(event.what for event in place.told(Afterthought))
    assert len(told) == 2
    assert "failed (ValueError: afterwards" in told[0]
    assert "returned something else" in told[1]
    assert {job.state for job in place.jobs.find()} == {State.COMPLETED}


def test_an_afterthought_is_logged_in_one_line(sqlite_place: Place, caplog: pytest.LogCaptureFixture) -> None:
    @sqlite_place.jobs.task
    def talks_on() -> str:
        with current_job().transaction(result=1):
            pass
        return "something else"

    with caplog.at_level(logging.WARNING, "jobsworth.worker"), sqlite_place.jobs.worker():
        assert talks_on.enqueue().result(timeout=10) == 1
        until(lambda: "completed in its transaction" in caplog.text)


def test_a_handler_that_stays_after_its_block_is_not_taken_for_lost(place: Place) -> None:
    """Its row holds no lease any more; heartbeats and bells must not take that for a takeover."""
    go = threading.Event()

    @place.jobs.task
    def stays() -> None:
        with current_job().transaction(result="done") as connection:
            place.insert(connection, 1)
        assert go.wait(20)
        current_job().check_cancelled()

    engine, beats = place.jobs.engine, []
    pulse = engine.pulse

    async def count(card: Any, pulses: Any, *, lease: float) -> Any:
        beats.append([each.lease.job_id for each in pulses])
        return await pulse(card, pulses, lease=lease)

    engine.pulse = count  # type: ignore[method-assign]
    with place.worker(lease=1) as worker:
        handle = stays.enqueue()
        assert handle.result(timeout=10) == "done"
        before = len(beats)
        until(lambda: len(beats) > before + 2)
        assert beats[-1] == []
        assert len(worker._shop.runs) == 1
        go.set()
        until(lambda: place.told(AttemptEnded))
    assert place.told(LeaseTaken) == place.told(Afterthought) == []
    assert handle.refresh().job.attempt == 1


def test_progress_reported_before_and_in_the_block_arrives(place: Place) -> None:
    def say(job: CurrentJob, connection: Any, n: int) -> None:
        job.report_progress(3, 3, message="paid")

    task = pay_in(place, say)
    with place.worker():
        handle = task.enqueue(7)
        handle.result(timeout=10)
    assert handle.progress.message == "paid"


def test_a_block_can_enqueue_what_follows(place: Place) -> None:
    follow = place.jobs.task(name="follow")(lambda n: n)

    def and_then(job: CurrentJob, connection: Any, n: int) -> None:
        follow.options(transaction=connection).enqueue(n)
        if job.attempt == 1:
            raise ValueError("not this time")

    task = pay_in(place, and_then)
    task._retry = task.retry.__class__(max_attempts=3, base=0.01)
    with place.worker():
        task.enqueue(7).result(timeout=10)
    assert len(place.jobs.find(task="follow")) == 1


@pytest.mark.parametrize("how", ["method", "statement", "with"])
def test_nobody_commits_inside_the_block(place: Place, how: str) -> None:
    errors: list[BaseException] = []

    def commit(job: CurrentJob, connection: Any, n: int) -> None:
        try:
            if how == "method":
                connection.commit()
            elif how == "statement" and place.sqlite:
                connection.execute("COMMIT")
            elif place.sqlite:
                with connection:
                    place.insert(connection, 8)
            else:
                connection.commit()
        except Exception as exc:
            errors.append(exc)
            raise

    task = pay_in(place, commit, max_attempts=1)
    with place.worker():
        handle = task.enqueue(7)
        until(lambda: handle.state is State.FAILED)
    assert errors
    assert place.ledger() == []
    if place.sqlite:
        assert "leaving the block commits" in (handle.refresh().job.failure.traceback or "")


def test_a_statement_that_rolls_back_by_itself_completes_nothing(sqlite_place: Place) -> None:
    place = sqlite_place
    with place.connect() as connection:
        connection.execute("CREATE UNIQUE INDEX once ON ledger (n)")
        connection.commit()

    def stumble(job: CurrentJob, connection: Any, n: int) -> None:
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT OR ROLLBACK INTO ledger (n) VALUES (7)")
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute("INSERT INTO ledger (n) VALUES (8)")  # which would commit by itself

    task = pay_in(place, stumble, max_attempts=1)
    with place.worker():
        handle = task.enqueue(7)
        until(lambda: handle.state is State.FAILED)
    assert place.ledger() == []


def test_a_role_set_in_one_block_is_not_the_next_ones(postgres_place: Place) -> None:
    place, paths = postgres_place, []

    def look(job: CurrentJob, connection: Any, n: int) -> None:
        paths.append(connection.execute("SHOW search_path").fetchone()[0])
        connection.execute("SET search_path TO pg_catalog, public")
        connection.row_factory = dict_row

    place.jobs.add(Queue("narrow", worker_count=1))
    task = pay_in(place, look, queue="narrow")
    with place.worker():
        for handle in task.enqueue_many([(n,) for n in range(3)]):
            handle.result(timeout=10)
    assert len(paths) == 3
    assert "pg_catalog" not in "".join(paths)


def test_a_fork_waits_for_the_blocks_of_other_threads(sqlite_place: Place) -> None:
    """A child would inherit SQLite's belief in the block's locks."""
    engine: Any = sqlite_place.jobs.engine
    inside, go, forked = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        with contextlib.suppress(ZeroDivisionError), engine.completing(lambda: 1 / 0):
            inside.set()
            go.wait(20)

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        forked.set()
        os.waitpid(pid, 0)

    def frozen() -> bool:
        free = engine._store.lock.acquire(blocking=False)
        if free:
            engine._store.lock.release()
        return not free

    threads = [threading.Thread(target=block), threading.Thread(target=fork)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    until(frozen)  # whoever wants to fork lets nobody begin any more
    assert not forked.wait(0.3)
    go.set()
    for thread in threads:
        thread.join(20)
    assert forked.is_set()


def test_both_work_through_a_pooler_that_keeps_no_session(pgbouncer: Any) -> None:
    place = Place(pgbouncer.new_database())
    task = pay_in(place)
    with place.worker():
        with place.connect() as connection:
            handles = [task.options(transaction=connection).enqueue(n) for n in range(10)]
            connection.commit()
        assert [handle.result(timeout=10) for handle in handles] == [{"paid": n} for n in range(10)]
    assert place.ledger() == list(range(10))
    place.jobs.close()


def test_there_is_one_transaction_per_run(place: Place) -> None:
    errors: list[BaseException] = []

    def again(job: CurrentJob, connection: Any, n: int) -> None:
        try:
            with job.transaction():
                pass
        except NoTransaction as exc:
            errors.append(exc)

    task = pay_in(place, again)
    with place.worker():
        task.enqueue(7).result(timeout=10)
    assert len(errors) == 1


def test_a_result_that_cannot_travel_is_refused_before_the_block_begins(place: Place) -> None:
    @place.jobs.task(max_attempts=1)
    def odd() -> None:
        with current_job().transaction(result=object()) as connection:
            place.insert(connection, 1)

    with place.worker():
        handle = odd.enqueue()
        until(lambda: handle.state is State.FAILED)
    assert "NotSerializable" in handle.refresh().job.failure.type
    assert place.ledger() == []


def test_a_coroutine_is_told_to_use_a_thread(place: Place) -> None:
    @place.jobs.task(max_attempts=1)
    async def blocks() -> None:
        with current_job().transaction():
            pass

    @place.jobs.task
    async def threads(n: int) -> None:
        def write() -> None:
            with current_job().transaction(result="done") as connection:
                place.insert(connection, n)

        await asyncio.to_thread(write)

    with place.worker():
        refused, done = blocks.enqueue(), threads.enqueue(7)
        assert done.result(timeout=10) == "done"
        until(lambda: refused.state is State.FAILED)
    assert "to_thread" in refused.refresh().job.failure.message
    assert place.ledger() == [7]


CHILD_APP = """
import os, time
from pathlib import Path
from jobsworth import Jobsworth, Queue, Retry, current_job

jobs = Jobsworth({url!r})
children = jobs.add(Queue("children", isolation="process", grace=0.1, retry=Retry(max_attempts=3, base=0.01)))

@jobs.task(queue=children)
def pay(n: int, then: str) -> str:
    with current_job().transaction(result="paid") as connection:
        connection.execute(f"INSERT INTO ledger (n) VALUES ({{n:d}})")
        if then == "dies inside" and current_job().attempt == 1:
            os._exit(3)
    if then == "dies after":
        os._exit(3)
    if then == "stays":
        while not Path({go!r}).exists():
            current_job().check_cancelled()
            time.sleep(0.005)
    return "paid"
"""


@pytest.fixture
def child_app(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    text = CHILD_APP.format(url=place.url, go=str(tmp_path / "go"))
    (tmp_path / "transaction_children.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    app: Any = importlib.import_module("transaction_children")
    yield app
    app.jobs.close()
    del sys.modules["transaction_children"]


@pytest.mark.parametrize("then", ["returns", "dies inside", "dies after", "stays"])
def test_a_child_process_completes_its_job_in_its_own_transaction(
    place: Place, child_app: Any, tmp_path: Path, then: str
) -> None:
    with child_app.jobs.worker({"children": 1}, lease=1, listener=place.events.append) as worker:
        handle = child_app.pay.enqueue(7, then)
        assert handle.result(timeout=20) == "paid"
        if then == "stays":
            run = next(iter(worker._shop.runs.values()))
            until(lambda: run.context.settled)
            assert worker._shop.lose([handle.id]) == []  # what a heartbeat says of it is no news
            (tmp_path / "go").touch()
        until(lambda: [each for each in place.told(AttemptEnded) if each.settlement.outcome == "succeeded"])
    assert place.ledger() == [7]
    job = handle.refresh().job
    assert [each.outcome for each in job.attempts] == (["lost"] if then == "dies inside" else []) + ["succeeded"]
    assert place.told(LeaseTaken) == []
    told = [event.what for event in place.told(Afterthought)]
    assert told == (["ended as lost"] if then == "dies after" else [])


def test_other_engines_and_direct_calls_say_that_they_have_none() -> None:
    jobs = Jobsworth("memory://")

    @jobs.task(max_attempts=1)
    def pay() -> None:
        with current_job().transaction():
            pass

    with pytest.raises(NoTransaction, match="worker"):
        pay()
    with jobs.worker():
        handle = pay.enqueue()
        until(lambda: handle.state is State.FAILED)
    assert "NoTransaction" in handle.refresh().job.failure.type
    jobs.close()
