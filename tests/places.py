"""A database that holds jobs and a ledger of the user's own, for tests of what the two share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import psycopg

from jobsworth import CurrentJob, Jobsworth, State
from jobsworth.errors import LeaseLost
from jobsworth.events import AttemptEnded, Event, LeaseTaken
from jobsworth.worker import office
from runs import SOON, words
from waiting import until

LEDGER = "CREATE TABLE IF NOT EXISTS ledger (n integer, job text)"

Work = Callable[[CurrentJob, Any, int], Coroutine[Any, Any, Any]]


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


def ids(place: Place) -> set[str]:
    return {job.id for job in place.jobs.find(limit=None)}


def add_to(place: Place) -> Any:
    return place.jobs.task(name="add")(lambda n: n)


def pay_in(place: Place, work: Callable[[Any, Any, int], Any] | None = None, **options: Any) -> Any:
    """A task that writes its number into the ledger and completes with that; `work` does more inside the block."""

    def pay(job: CurrentJob, n: int) -> Any:
        with job.transaction(result={"paid": n}) as connection:
            place.insert(connection, n)
            return work(job, connection, n) if work is not None else None

    return place.jobs.task(name="pay", **options)(pay)


def pays_in_its_second_attempt(place: Place, task: Any) -> None:
    """And of the first, which fails inside its block, nothing is left."""
    task._retry = SOON
    with place.worker():
        handle = task.enqueue(7)
        assert handle.result(timeout=10) == {"paid": 7}
    assert place.ledger() == [7]
    assert words(handle) == ["failed", "succeeded"]
    assert handle.job.errors == 1


def writes_nothing_after_its_lease(place: Place, task: Any, caught: list[BaseException]) -> None:
    """What the task caught must be that its lease is lost: its worker has not heard of that, or it would be stopped."""
    with mock.patch.object(office, "HEAR_EVERY", 60), place.worker():
        handle = task.enqueue()
        until(lambda: caught and place.told(LeaseTaken))  # either may come first
    assert [type(exc) for exc in caught] == [LeaseLost]
    assert place.ledger() == []
    assert handle.state is State.RUNNING  # the other attempt's, as far as anybody knows
    assert place.told(AttemptEnded) == []
    assert len(place.told(LeaseTaken)) == 1


def take_over(place: Place, job: CurrentJob) -> None:
    """As if the lease had run out and another worker had reclaimed the job."""
    table = "jobsworth_jobs" if place.sqlite else "jobsworth.jobs"
    with place.connect() as connection:
        connection.execute(f"UPDATE {table} SET fence = fence + 1 WHERE id = {place.mark}", (job.id,))
        connection.commit()


def apay_in(place: Place, work: Work | None = None, **options: Any) -> Any:
    """A task that writes its number into the ledger and completes with that; `work` does more inside the block."""

    async def pay(job: CurrentJob, n: int) -> Any:
        async with job.transaction(result={"paid": n}) as connection:
            await ainsert(place, connection, n)
            return await work(job, connection, n) if work is not None else None

    return place.jobs.task(name="pay", **options)(pay)


async def ainsert(place: Place, connection: Any, n: int) -> None:
    if place.sqlite:
        place.insert(connection, n)
    else:
        await connection.execute("INSERT INTO ledger (n) VALUES (%s)", (n,))
