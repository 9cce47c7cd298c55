"""How a run can end, as its handler sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobsworth import (
    Cancelled,
    GiveUp,
    JobCancelled,
    JobFailed,
    Jobsworth,
    QueueService,
    Retry,
    RetryAfter,
    Snooze,
    State,
    current_job,
)
from runs import SOON, words


def test_a_result_comes_back_from_each_way_of_running(jobs: Jobsworth) -> None:
    @jobs.task
    def in_a_thread(n: int) -> int:
        return n + 1

    @jobs.task
    async def in_the_loop(n: int) -> int:
        await asyncio.sleep(0)
        return n + 2

    with jobs.worker(lease=5):
        assert in_a_thread.enqueue(1).result(10) == 2
        assert in_the_loop.enqueue(1).result(10) == 3


def test_an_error_is_tried_again_until_the_attempts_are_used_up(jobs: Jobsworth) -> None:
    @jobs.task(retry=SOON)
    def broken() -> None:
        raise ValueError(f"attempt {current_job().attempt}")

    with jobs.worker(lease=5):
        handle = broken.enqueue()
        with pytest.raises(JobFailed, match=r"E302: .*attempt 3: ValueError: attempt 3") as failed:
            handle.result(10)
    job = handle.refresh().job
    assert (job.attempt, job.errors, job.crashes) == (3, 3, 0)
    assert [(each.number, each.outcome) for each in job.attempts] == [(1, "failed"), (2, "failed"), (3, "failed")]
    assert [each.error.message for each in job.attempts if each.error] == ["attempt 1", "attempt 2", "attempt 3"]
    assert all(each.error and "raise ValueError" in (each.error.traceback or "") for each in job.attempts)
    assert job.failure is not None
    assert job.failure.reason == "exhausted"
    assert failed.value.failure == job.failure


def test_a_job_that_recovers_completes_and_keeps_its_history(jobs: Jobsworth) -> None:
    @jobs.task(retry=SOON)
    def shaky() -> str:
        if current_job().attempt < 3:
            raise OSError("not yet")
        return "done"

    with jobs.worker(lease=5):
        handle = shaky.enqueue()
        assert handle.result(10) == "done"
    assert words(handle) == ["failed", "failed", "succeeded"]
    assert handle.job.failure is None


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_a_snooze_uses_no_attempt(jobs: Jobsworth, kind: str) -> None:
    calls: list[int] = []

    def body() -> str:
        calls.append(current_job().attempt)
        if len(calls) < 4:
            raise Snooze(0.01)
        return "awake"

    async def abody() -> str:
        return body()

    task = jobs.task(body if kind == "thread" else abody, name="nap", max_attempts=1)  # type: ignore[call-overload]
    with jobs.worker(lease=5):
        handle = task.enqueue()
        assert handle.result(10) == "awake"
    assert calls == [1, 1, 1, 1]
    assert words(handle) == ["snoozed", "snoozed", "snoozed", "succeeded"]


def test_retry_after_uses_an_attempt_and_waits_as_told(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=2)
    def later() -> None:
        raise RetryAfter(0.05)

    with jobs.worker(lease=5):
        handle = later.enqueue()
        assert handle.wait(10).state is State.FAILED
    first, second = handle.job.attempts
    assert first.finished_at is not None
    assert second.started_at is not None
    assert second.started_at - first.finished_at >= 0.05


def test_self_retry_with_a_countdown_keeps_the_cause(jobs: Jobsworth) -> None:
    class Flaky(QueueService):
        name = "flaky"
        retry = Retry(max_attempts=3)  # whose backoff would be seconds: the countdown is what counts

        def handle_item(self, item: Any) -> str:
            if self.job.attempt < 3:
                try:
                    raise ConnectionError("no route")
                except ConnectionError as exc:
                    raise self.retry(exc=exc, countdown=0.01 * self.job.attempt)  # noqa: B904
            return "through"

    flaky = jobs.add(Flaky())
    with jobs.worker(lease=5):
        handle = flaky.enqueue({})
        assert handle.result(10) == "through"
    errors = [attempt.error for attempt in handle.refresh().job.attempts[:2]]
    assert [(error.type, error.message) for error in errors if error] == [("ConnectionError", "no route")] * 2


def test_giving_up_ends_the_job_at_once(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=5)
    def hopeless() -> None:
        raise GiveUp("the customer left")

    with jobs.worker(lease=5):
        job = hopeless.enqueue().wait(10)
    assert (job.state, job.attempt) == (State.FAILED, 1)
    assert job.failure is not None
    assert (job.failure.reason, job.failure.message) == ("gave_up", "the customer left")


def test_a_handler_may_cancel_its_own_job(jobs: Jobsworth) -> None:
    @jobs.task
    def quits() -> None:
        raise Cancelled("not needed any more")

    with jobs.worker(lease=5):
        handle = quits.enqueue()
        with pytest.raises(JobCancelled, match="not needed any more"):
            handle.result(10)
    assert words(handle) == ["cancelled"]


def test_only_what_is_in_retry_on_is_tried_again_and_give_up_on_wins(jobs: Jobsworth) -> None:
    policy = Retry(max_attempts=3, base=0.01, retry_on=(OSError,), give_up_on=(FileNotFoundError,))

    @jobs.task(retry=policy)
    def fail(kind: str) -> None:
        raise {"os": OSError, "file": FileNotFoundError, "value": ValueError}[kind](kind)

    with jobs.worker(lease=5):
        ends = {kind: fail.enqueue(kind).wait(10) for kind in ("os", "file", "value")}
    assert {kind: job.attempt for kind, job in ends.items()} == {"os": 3, "file": 1, "value": 1}
    reasons = {kind: job.failure.reason for kind, job in ends.items() if job.failure}
    assert reasons == {"os": "exhausted", "file": "gave_up", "value": "gave_up"}
