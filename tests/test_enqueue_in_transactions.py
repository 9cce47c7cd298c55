"""Jobs enqueued in the user's own transaction, on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from jobsworth import Jobsworth, Queue, QueueFull, State
from jobsworth.errors import BadOption, JobNotFound, NoTransaction, WrongDatabase
from places import LEDGER, Place, add_to, ids


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
