"""Jobs completed in their handler's own transaction, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from jobsworth import CurrentJob, Jobsworth, Queue, State, current_job
from jobsworth.errors import NoTransaction
from jobsworth.events import Afterthought, AttemptEnded, LeaseTaken
from places import Place, pay_in, pays_in_its_second_attempt
from runs import SOON
from waiting import until


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

    pays_in_its_second_attempt(place, pay_in(place, fail_once))


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
    task._retry = SOON
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
