"""A handler's own transaction against lost leases, cancellations, time limits, and what the handler does afterwards."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from jobsworth import CurrentJob, Queue, State, current_job
from jobsworth.errors import LeaseLost
from jobsworth.events import Afterthought, AttemptEnded, LeaseTaken
from places import Place, pay_in, take_over, writes_nothing_after_its_lease
from waiting import until


def test_a_lost_lease_rolls_the_handlers_writes_back(place: Place) -> None:
    caught: list[BaseException] = []

    @place.jobs.task
    def slept(job: CurrentJob) -> None:
        begin = job.transaction(result="too late")
        take_over(place, job)
        try:
            with begin as connection:
                place.insert(connection, 1)
        except LeaseLost as exc:
            caught.append(exc)
            raise

    writes_nothing_after_its_lease(place, slept, caught)


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
