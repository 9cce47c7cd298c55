"""Runs that are told to stop: because their time is up, or because somebody asked."""

from __future__ import annotations

import asyncio
import threading

import pytest

import jobsworth
from jobsworth import CurrentJob, JobCancelled, Jobsworth, State, TimedOut
from jobsworth.errors import WaitTimeout
from jobsworth.events import AttemptEnded, Event, LeaseTaken, Stuck
from runs import words
from waiting import until


def test_a_coroutine_that_takes_too_long_is_cancelled(jobs: Jobsworth) -> None:
    cleaned = threading.Event()

    @jobs.task(timeout=0.05, max_attempts=1)
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    with jobs.worker(lease=5):
        job = slow.enqueue().wait(10)
    assert job.failure is not None
    assert job.failure.type == "TimedOut"
    assert "0.05 s" in job.failure.message
    assert [attempt.outcome for attempt in job.attempts] == ["timed_out"]
    assert cleaned.is_set()


def test_a_thread_is_told_of_its_timeout_by_check_cancelled(jobs: Jobsworth) -> None:
    seen: list[type] = []

    @jobs.task(timeout=0.05, max_attempts=1)
    def slow(job: CurrentJob) -> None:
        try:
            until(job.check_cancelled)
        except Exception as exc:
            seen.append(type(exc))
            raise

    with jobs.worker(lease=5):
        job = slow.enqueue().wait(10)
    assert seen == [TimedOut]
    assert [attempt.outcome for attempt in job.attempts] == ["timed_out"]


def test_a_thread_stuck_in_a_call_loses_its_job_and_its_slot_is_replaced(jobs: Jobsworth, heard: list[Event]) -> None:
    free = threading.Event()
    queue = jobs.add(jobsworth.Queue("stuck", worker_count=1, grace=0.05, retry=1))

    @jobs.task(queue=queue, timeout=0.05)
    def stuck() -> None:
        free.wait(30)

    @jobs.task(queue=queue)
    def quick() -> str:
        return "ran"

    with jobs.worker(lease=5, listener=heard.append) as worker:
        first = stuck.enqueue()
        assert first.wait(10).state is State.FAILED
        assert words(first) == ["timed_out"]
        assert quick.enqueue().result(10) == "ran"
        # The replacement is stuck too: one more thread than slots is the cap, so now the queue waits.
        second = stuck.enqueue()
        assert second.wait(10).state is State.FAILED
        third = quick.enqueue()
        with pytest.raises(WaitTimeout):
            third.result(0.3)
        free.set()
        assert third.result(10) == "ran"
        until(lambda: not +worker._shop._left_behind)  # both have come back
    assert sum(isinstance(event, Stuck) for event in heard) == 2
    # What they came back with counted for nothing: their jobs had ended before.
    assert sum(isinstance(event, AttemptEnded) for event in heard) == 4
    assert not any(isinstance(event, LeaseTaken) for event in heard)


def test_a_stuck_thread_that_comes_back_after_the_worker_ended_disturbs_nobody(jobs: Jobsworth) -> None:
    free, back = threading.Event(), threading.Event()
    queue = jobs.add(jobsworth.Queue("stuck", worker_count=1, grace=0.02, retry=1))

    @jobs.task(queue=queue, timeout=0.02)
    def stuck() -> None:
        free.wait(30)
        back.set()

    with jobs.worker(lease=5):
        assert stuck.enqueue().wait(10).state is State.FAILED
    slots = [thread for thread in threading.enumerate() if thread.name.startswith("jobsworth-slot")]
    free.set()  # an exception in its thread would be an error of this test
    assert back.wait(10)
    for thread in slots:
        thread.join(10)


def test_a_cancelled_waiting_job_never_starts(jobs: Jobsworth) -> None:
    ran: list[int] = []

    @jobs.task
    def task(n: int) -> None:
        ran.append(n)

    handle = task.enqueue(1)
    assert handle.cancel(reason="changed my mind")
    assert not handle.cancel()  # nothing changes any more
    with jobs.worker(lease=5):
        assert task.enqueue(2).wait(10).state is State.COMPLETED
    assert ran == [2]
    with pytest.raises(JobCancelled, match="changed my mind"):
        handle.result(1)


def test_a_running_thread_hears_of_a_cancellation(jobs: Jobsworth) -> None:
    @jobs.task
    def patient(job: CurrentJob) -> None:
        until(job.check_cancelled)

    with jobs.worker(lease=5):
        handle = patient.enqueue()
        until(lambda: handle.state is State.RUNNING)
        assert handle.cancel("enough")
        assert handle.wait(10).state is State.CANCELLED
    assert handle.job.failure is not None
    assert handle.job.failure.message == "enough"
    assert handle.job.cancel_requested


def test_a_swallowed_cancellation_is_sent_again(jobs: Jobsworth) -> None:
    swallowed: list[int] = []

    @jobs.task
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(1)
                if len(swallowed) == 3:
                    raise

    with jobs.worker(lease=5):
        handle = stubborn.enqueue()
        until(lambda: handle.state is State.RUNNING)
        handle.cancel()
        assert handle.wait(10).state is State.CANCELLED
    assert len(swallowed) == 3


def test_a_handler_that_finishes_although_asked_to_stop_is_completed(jobs: Jobsworth) -> None:
    go = threading.Event()

    @jobs.task
    def deaf() -> str:
        go.wait(20)
        return "finished anyway"

    with jobs.worker(lease=5):
        handle = deaf.enqueue()
        until(lambda: handle.state is State.RUNNING)
        handle.cancel()
        assert handle.state is State.CANCELLING
        go.set()
        assert handle.result(10) == "finished anyway"
    assert handle.refresh().job.cancel_requested
