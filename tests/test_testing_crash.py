"""Handlers killed wherever it matters: what is found out about those that may not be, and about those that may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobsworth import CurrentJob, Jobsworth, Retry
from jobsworth.errors import BadOption
from jobsworth.testing import crash

jobs = Jobsworth("sqlite:////nowhere/at/all.db")
charged: set[str] = set()


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
def follow(amount: int) -> None: ...


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
