"""Handlers killed wherever it matters: what is found out about those that may not be, and about those that may."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from jobsworth import CurrentJob, Jobsworth, Retry
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.errors import BadOption
from jobsworth.testing import HandClock, crash

jobs = Jobsworth("sqlite:////nowhere/at/all.db")
charged: set[str] = set()
followed = threading.Event()
in_between: list[bool] = []  # whether what a handler had enqueued ran before it had ended


class Gateway:
    """Stands for what money moves through."""

    def charge(self, amount: int, key: str | None = None) -> None: ...

    async def acharge(self, amount: int) -> None: ...


gateway = Gateway()


def mark(order: str) -> None:
    charged.add(order)


@jobs.task
def careless(amount: int) -> None:
    gateway.charge(amount)
    follow.enqueue(amount)


@jobs.task
def careful(job: CurrentJob, amount: int) -> None:
    gateway.charge(amount, key=job.idempotency_key)
    follow.options(id=f"follow-{amount}").enqueue(amount)


@jobs.task
def checks(order: str) -> None:
    if order not in charged:
        gateway.charge(1)
        mark(order)


@jobs.task
async def careless_coroutine(amount: int) -> None:
    await gateway.acharge(amount)
    await follow.aenqueue(amount)


@jobs.task
def follow(amount: int) -> None:
    followed.set()


@jobs.task(retry=Retry(max_attempts=1))
def only_once(order: str) -> None:
    assert order not in charged
    mark(order)


@jobs.task(isolation="process")
def apart() -> None: ...


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    charged.clear()
    yield
    assert not jobs.away
    assert jobs.around == []
    assert "charge" not in vars(gateway)


@jobs.task
def reports(job: CurrentJob) -> None:
    job.report_progress(1, 2)
    gateway.charge(1)
    job.report_progress(2, 2)


@jobs.task
def keyed(amount: int) -> None:
    followed.clear()
    follow.options(key=f"follow-{amount}").enqueue(amount)
    in_between.append(followed.wait(0.05))


class Bank:
    """Keeps its books beside the jobs."""

    def debit(self, connection: sqlite3.Connection, amount: int, to: str = "shop") -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS debits (amount INTEGER)")
        connection.execute("INSERT INTO debits VALUES (?)", (amount,))


bank = Bank()


@jobs.task(max_attempts=1)
def pays(job: CurrentJob, amount: int) -> None:
    with job.transaction() as connection:
        bank.debit(connection, amount)
        follow.options(transaction=connection).enqueue(amount)
        gateway.charge(amount)


@jobs.task
async def pays_later(job: CurrentJob, amount: int) -> None:
    async with job.transaction(result=amount) as connection:
        bank.debit(connection, amount)
        await gateway.acharge(amount)


HERE = __name__
DONE, WRITTEN = "done, and that not written down", "done, and that written down"
TWICE = "Gateway.charge(5) happened 2 times"
FOLLOWED = 'follow.enqueue({"amount":5}) happened 2 times'


def test_what_a_careless_handler_does_twice_is_found_at_each_place() -> None:
    report = crash(jobs, careless, 5, effects=[(gateway, "charge")])
    assert [each.where for each in report.crashes] == [
        "claimed, and not begun", "before enqueueing follow", "after enqueueing follow", DONE, WRITTEN,
    ]  # fmt: skip
    assert report.twice == {
        "before enqueueing follow": (TWICE,),
        "after enqueueing follow": (TWICE, FOLLOWED),
        DONE: (TWICE, FOLLOWED),
    }
    assert report.unfinished == {}
    with pytest.raises(AssertionError, match=r"(?s)killed at 5 places.*claimed, and not begun: fine") as said:
        report.assert_once()
    assert FOLLOWED in str(said.value)


def test_a_coroutine_is_killed_as_well() -> None:
    report = crash(jobs, careless_coroutine, 5, effects=[f"{HERE}.gateway.acharge"], lines="every")
    name = f"{HERE}.gateway.acharge(5) happened 2 times"
    assert report.twice["before enqueueing follow"] == (name,)
    assert report.twice["before `await follow.aenqueue(amount)`"] == (name,)
    assert "before `await gateway.acharge(amount)`" not in report.twice


def test_ids_and_keys_make_a_handler_that_may_be_killed_anywhere() -> None:
    report = crash(jobs, careful, 5, effects=[(gateway, "charge")], lines="every")
    assert len(report.crashes) == 7
    report.assert_once()


def test_a_gap_between_two_lines_is_found_by_killing_there() -> None:
    crash(jobs, checks, "a", effects=[(gateway, "charge")], before=charged.clear).assert_once()
    report = crash(jobs, checks, "a", effects=[(gateway, "charge")], lines=["mark("], before=charged.clear)
    assert list(report.twice) == ["before `mark(order)`"]


def test_a_job_that_does_not_end_as_it_should_is_told() -> None:
    report = crash(jobs, only_once, "a", before=charged.clear)
    assert report.twice == {}
    assert report.unfinished == {DONE: "failed"}
    with pytest.raises(AssertionError, match="ended as failed"):
        report.assert_once()


def test_a_handler_that_fails_by_itself_is_not_taken_for_a_safe_one() -> None:
    charged.add("a")
    report = crash(jobs, only_once, "a")
    assert report.undisturbed.startswith("ended as failed: AssertionError")
    with pytest.raises(AssertionError, match="killed by nobody, and ended as failed"):
        report.assert_once()
    with pytest.raises(AssertionError, match=r"ended as failed: .*NoTransaction: E113: <jobsworth\.engines\.memory"):
        crash(jobs, pays, 5).assert_once()  # in memory, where there is none


def test_a_place_that_comes_again_is_told_apart() -> None:
    @jobs.task(name="loops")
    def loops() -> None:
        for _ in range(2):
            mark("a")

    try:
        report = crash(jobs, loops, lines=["mark("])
    finally:
        del jobs.tasks["loops"]
    assert [each.where for each in report.crashes][1:3] == ['before `mark("a")`', 'before `mark("a")`, time 2']


def in_a_file(folder: Path) -> Callable[[HandClock], SqliteEngine]:
    """Makes engines, each with a file of its own."""
    numbers = count()
    return lambda clock: SqliteEngine(folder / f"{next(numbers)}.db", clock=clock)


def test_what_is_in_the_jobs_own_transaction_happens_once(tmp_path: Path) -> None:
    report = crash(jobs, pays, 5, effects=[(bank, "debit"), (gateway, "charge")], engine=in_a_file(tmp_path))
    begun = ["claimed, and not begun", "before its transaction", "before asking the store", "after asking the store"]
    assert [each.where for each in report.crashes] == [
        *begun, "in its transaction, at the end", "after its transaction",
    ]  # fmt: skip
    assert report.twice == {"in its transaction, at the end": (TWICE,)}  # what no rollback undoes
    assert report.unfinished == {}
    books = sqlite3.connect(tmp_path / "5.db")  # of the run that was killed at the end of its transaction
    assert books.execute("SELECT amount FROM debits").fetchall() == [(5,)]
    books.close()


def test_a_coroutine_is_killed_in_its_transaction_as_well(tmp_path: Path) -> None:
    effects: list[Any] = [(bank, "debit"), (gateway, "acharge")]
    report = crash(jobs, pays_later, 5, effects=effects, engine=in_a_file(tmp_path))
    assert report.twice == {"in its transaction, at the end": ("Gateway.acharge(5) happened 2 times",)}
    assert report.crashes[-1].where == "after its transaction"


def test_a_transaction_that_is_no_ones_effect_would_be_told(tmp_path: Path) -> None:
    """A debit outside of it, over a connection of its own, is not undone."""

    @jobs.task(name="debits")
    def debits(amount: int) -> None:
        connection = sqlite3.connect(tmp_path / "books.db")
        bank.debit(connection, amount, to="me")
        connection.commit()
        connection.close()

    try:
        report = crash(jobs, debits, 5, effects=[(bank, "debit")], engine=in_a_file(tmp_path))
    finally:
        del jobs.tasks["debits"]
    assert report.twice == {DONE: ("Bank.debit(<sqlite3.Connection>, 5, to='me') happened 2 times",)}


def test_each_report_of_progress_is_a_place() -> None:
    report = crash(jobs, reports, effects=[(gateway, "charge")])
    assert [each.where for each in report.crashes][1:3] == ["reporting progress", "reporting progress, time 2"]
    assert list(report.twice) == ["reporting progress, time 2", DONE]


def test_what_a_handler_enqueues_waits_for_its_end_so_that_keys_hold() -> None:
    in_between.clear()
    crash(jobs, keyed, 5).assert_once()
    assert len(in_between) > 5
    assert not any(in_between)
    assert followed.is_set()


def test_an_engine_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="another run already"):
        crash(jobs, keyed, 5, engine=lambda clock: SqliteEngine(tmp_path / "one.db", clock=clock))


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        (apart, {}, "child process"),
        (follow, {"lines": ["nothing like it"]}, "has no line"),
        (follow, {"effects": ["nowhere.at_all"]}, "there is no 'nowhere.at_all'"),
        (follow, {"effects": [(gateway, "refund")]}, "nothing called 'refund'"),
    ],
)
def test_what_cannot_be_done_is_refused(task: Any, options: dict[str, Any], said: str) -> None:
    arguments = () if task is apart else (1,)
    with pytest.raises(BadOption, match=said):
        crash(jobs, task, *arguments, **options)
