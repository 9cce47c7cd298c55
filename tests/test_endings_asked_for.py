"""What a run may ask of its ending, tasks that run in any queue, and who hears of a worker's events."""

from __future__ import annotations

import msgspec
import pytest

from jobsworth import Jobsworth, Queue, Retry
from jobsworth.errors import RetryAfter, TimedOut
from jobsworth.events import AttemptEnded, Event, WorkerStarted, WorkerStarting, WorkerStopped
from jobsworth.job import Claim, Failure, Lease, State
from jobsworth.lifecycle import settle
from jobsworth.outcome import Failed

CLAIM = Claim(lease=Lease("j", 1), queue="q", task="t", args=b"", attempt=2, errors=1, crashes=0, max_attempts=3)
ERROR, TIMEOUT = Failure("E", "e"), Failure("TimedOut", "t", "timeout")


@pytest.mark.parametrize(("allowed", "target"), [(None, State.SCHEDULED), (2, State.FAILED), (9, State.SCHEDULED)])
def test_an_outcome_may_bring_its_own_number_of_attempts(allowed: int | None, target: State) -> None:
    assert settle(CLAIM, Failed(ERROR, max_attempts=allowed), Retry()).target is target


def test_more_attempts_than_the_job_has_are_granted_to_who_asks() -> None:
    last = msgspec.structs.replace(CLAIM, errors=2)
    assert settle(last, Failed(ERROR), Retry()).target is State.FAILED
    assert settle(last, Failed(ERROR, max_attempts=4), Retry()).target is State.SCHEDULED


def test_a_policy_may_give_up_on_runs_whose_time_ran_out() -> None:
    assert settle(CLAIM, Failed(TIMEOUT), Retry()).target is State.SCHEDULED
    given_up = settle(CLAIM, Failed(TIMEOUT), Retry(give_up_on=(TimedOut,)))
    assert given_up.target is State.FAILED
    assert given_up.failure is not None
    assert given_up.failure.reason == "timeout"


def test_a_handler_asks_for_more_attempts(jobs: Jobsworth) -> None:
    runs: list[int] = []

    @jobs.task(max_attempts=1)
    def stubborn() -> int:
        runs.append(1)
        if len(runs) < 3:
            raise RetryAfter(0, max_attempts=3)
        return len(runs)

    with jobs.worker():
        assert stubborn.enqueue().result(timeout=10) == 3


def test_a_task_that_runs_anywhere_runs_in_whichever_queue_its_job_is(jobs: Jobsworth) -> None:
    jobs.add(Queue("other"))

    @jobs.task
    def roams() -> str:
        return "ran"

    roams.anywhere = True
    with jobs.worker():
        (handle,) = jobs.enqueue_many([msgspec.structs.replace(roams.new_job(), queue="other")])
        assert handle.result(timeout=10) == "ran"
        assert handle.job.queue == "other"


def test_a_programs_listeners_hear_its_workers_and_harm_nobody(jobs: Jobsworth) -> None:
    heard: list[Event] = []

    def broken(_event: Event) -> None:
        raise RuntimeError("deaf")

    @jobs.task
    def nothing() -> None: ...

    jobs.listeners += [broken, heard.append]
    with jobs.worker(listener=heard.append):
        nothing.enqueue().result(timeout=10)
    for kind in (WorkerStarting, WorkerStarted, AttemptEnded, WorkerStopped):
        assert len([event for event in heard if isinstance(event, kind)]) == 2
    assert isinstance(heard[0], WorkerStarting)


def test_a_task_may_hold_a_job_back_at_no_cost(jobs: Jobsworth) -> None:
    asked: list[str] = []

    @jobs.task(max_attempts=1)
    def careful() -> str:
        return "ran"

    def hold(job_id: str) -> float:
        asked.append(job_id)
        return 0.01 if len(asked) < 3 else 0

    careful.hold = hold
    with jobs.worker():
        handle = careful.enqueue()
        assert handle.result(timeout=10) == "ran"
    assert asked == [handle.id] * 3
    assert (handle.job.attempt, handle.job.errors) == (1, 0)
