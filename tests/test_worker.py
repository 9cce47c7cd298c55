"""The worker, as a program sees it: how runs end, what is bounded, what a handler may say."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jobsworth
from jobsworth import (
    Cancelled,
    CurrentJob,
    GiveUp,
    JobCancelled,
    JobFailed,
    JobHandle,
    Jobsworth,
    Keep,
    Queue,
    QueueService,
    Retry,
    RetryAfter,
    Snooze,
    State,
    TimedOut,
    current_job,
)
from jobsworth.clock import ManualClock
from jobsworth.engine import Heard, Pulse, Turn, Want, Where, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.errors import (
    BadOption,
    ConfigurationError,
    EngineError,
    EngineUnavailable,
    MoveRefused,
    WaitTimeout,
)
from jobsworth.events import AttemptEnded, EngineBack, EngineLost, Event, Fault, LeaseTaken, Stuck
from jobsworth.worker.upkeep import Upkeep
from waiting import until

SOON = Retry(max_attempts=3, base=0.01)


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    jobs = Jobsworth("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'jobs.db'}")
    yield jobs
    jobs.close()


@pytest.fixture
def heard() -> list[Event]:
    return []


def words(handle: JobHandle[Any]) -> list[str | None]:
    """How the job's attempts ended."""
    return [attempt.outcome for attempt in handle.refresh().job.attempts]


# --- how a run ends ------------------------------------------------------------------------------------------------


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


# --- timeouts ------------------------------------------------------------------------------------------------------


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
            until(job.check_cancelled, 10)
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


# --- cancelling ----------------------------------------------------------------------------------------------------


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
        until(job.check_cancelled, 20)

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


# --- child processes -----------------------------------------------------------------------------------------------

CHILD_APP = """
import os, time
from pathlib import Path
from jobsworth import Jobsworth, Queue, current_job

jobs = Jobsworth({url!r})
quick = jobs.add(Queue("quick", grace=0.1, isolation="process", worker_count=2))

@jobs.task(queue=quick)
def whoami() -> int:
    return os.getpid()

@jobs.task(queue=quick, timeout=1.5, max_attempts=1)
def stuck(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

@jobs.task(queue=quick, max_attempts=1)
def dies() -> None:
    os.kill(os.getpid(), 9)

@jobs.task(queue=quick)
def tells(n: int) -> None:
    for i in range(n):
        current_job().report_progress(i + 1, n, message=f"step {{i + 1}}")

@jobs.task(queue=quick)
def waits(path: str) -> None:
    Path(path).write_text("started")
    while True:
        current_job().check_cancelled()
        time.sleep(0.01)

@jobs.task(queue=quick, max_attempts=1)
def nonsense() -> None:
    current_job().report_progress(message=5)

@jobs.task(queue=quick)
def leaves_a_child_and_dies(path: str) -> None:
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    Path(path).write_text(str(pid))
    os.kill(os.getpid(), 9)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.fixture
def child_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import importlib
    import sys

    (tmp_path / "child_app_here.py").write_text(CHILD_APP.format(url=f"sqlite:///{tmp_path / 'jobs.db'}"))
    monkeypatch.syspath_prepend(tmp_path)
    app = importlib.import_module("child_app_here")
    yield app
    app.jobs.close()
    del sys.modules["child_app_here"]


def test_a_child_finds_the_app_where_its_worker_found_it(child_app: Any) -> None:
    # The app's folder is on the worker's sys.path only, not in the working directory.
    with child_app.jobs.worker(lease=5):
        pid = child_app.whoami.enqueue().result(20)
        assert pid != __import__("os").getpid()
        assert child_app.whoami.enqueue().result(20) == pid  # children are used again


def test_a_child_that_does_not_stop_at_its_timeout_is_killed(child_app: Any, tmp_path: Path) -> None:
    with child_app.jobs.worker(lease=5):
        handle = child_app.stuck.enqueue(str(tmp_path / "pid"))
        job = handle.wait(20)
        assert [attempt.outcome for attempt in job.attempts] == ["timed_out"]
        assert until(lambda: gone(int((tmp_path / "pid").read_text())), 5)
        assert child_app.whoami.enqueue().result(20)


def test_a_child_that_dies_is_a_crash_and_the_worker_goes_on(child_app: Any) -> None:
    with child_app.jobs.worker(lease=5):
        handle = child_app.dies.enqueue()
        job = handle.wait(30)
        assert (job.state, job.crashes, job.errors) == (State.FAILED, 3, 0)
        assert job.failure is not None
        assert job.failure.reason == "crashed"
        assert "SIGKILL" in job.failure.message
        assert child_app.whoami.enqueue().result(20)


def test_the_last_progress_of_a_child_is_there_before_its_ending(child_app: Any) -> None:
    with child_app.jobs.worker(lease=5):
        for n in (1, 2, 50):
            job = child_app.tells.enqueue(n).wait(20)
            assert job.state is State.COMPLETED
            assert job.progress is not None
            assert (job.progress.current, job.progress.message) == (n, f"step {n}")


def test_a_job_cancelled_while_its_child_still_starts_ends_and_frees_its_slot(child_app: Any, tmp_path: Path) -> None:
    with child_app.jobs.worker({"quick": 1}, lease=5):
        for n in range(3):
            handle = child_app.waits.enqueue(str(tmp_path / f"started{n}"))
            until(lambda handle=handle: handle.state is State.RUNNING)  # type: ignore[misc]
            handle.cancel()
            assert handle.wait(20).state is State.CANCELLED
        assert child_app.whoami.enqueue().result(20)


def test_a_timeout_shorter_than_the_start_of_a_child_ends_the_attempt(child_app: Any, tmp_path: Path) -> None:
    with child_app.jobs.worker({"quick": 1}, lease=5):
        job = child_app.waits.options(timeout=0.001, max_attempts=1).enqueue(str(tmp_path / "started")).wait(20)
        assert [attempt.outcome for attempt in job.attempts] == ["timed_out"]
        assert child_app.whoami.enqueue().result(20)


def test_nonsense_from_a_child_ends_its_job_and_not_the_slot(child_app: Any) -> None:
    with child_app.jobs.worker({"quick": 1}, lease=5):
        assert child_app.nonsense.enqueue().wait(20).state in (State.COMPLETED, State.FAILED)
        assert child_app.whoami.enqueue().result(20)


def test_a_child_that_dies_is_noticed_although_its_own_children_live(child_app: Any, tmp_path: Path) -> None:
    import os
    import signal

    path = tmp_path / "grandchild"
    with child_app.jobs.worker({"quick": 1}, lease=5):
        try:
            job = child_app.leaves_a_child_and_dies.enqueue(str(path)).wait(20)
            assert job.failure is not None
            assert job.failure.reason == "crashed"
        finally:
            if path.exists():
                os.kill(int(path.read_text()), signal.SIGKILL)


def test_an_app_that_no_child_could_find_is_refused_when_the_worker_is_made() -> None:
    jobs = Jobsworth("memory://")
    jobs.task(isolation="process", name="t")(lambda: None)
    with pytest.raises(ConfigurationError, match="E100: isolation"):
        jobs.worker()


# --- progress ------------------------------------------------------------------------------------------------------


def test_progress_is_coalesced_and_the_last_one_always_arrives(jobs: Jobsworth) -> None:
    @jobs.task
    def busy(n: int) -> None:
        for i in range(n):
            current_job().report_progress(i + 1, n)
        current_job().report_progress(n, n, message="last words")

    with jobs.worker(lease=5):
        handles = [busy.enqueue(n) for n in (1, 100, 20_000)]
        ends = [handle.wait(20) for handle in handles]
    for job, n in zip(ends, (1, 100, 20_000), strict=True):
        assert job.state is State.COMPLETED
        assert job.progress is not None
        assert (job.progress.current, job.progress.percent, job.progress.message) == (n, 100, "last words")
        assert job.version < 30  # not a write for each note


def test_progress_can_be_seen_while_the_job_runs(jobs: Jobsworth) -> None:
    go = threading.Event()

    @jobs.task
    def halfway(job: CurrentJob) -> None:
        job.report_progress(1, 4, message="a quarter")
        go.wait(20)

    with jobs.worker(lease=5):
        handle = halfway.enqueue()
        seen = until(lambda: handle.progress)
        assert (seen.current, seen.total, seen.percent, seen.message) == (1, 4, 25, "a quarter")
        assert handle.status()["job"]["progress"] == {"current": 1, "total": 4, "percent": 25}
        go.set()
        handle.wait(10)


def test_the_last_progress_survives_a_failed_ending(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=1)
    def fails() -> None:
        current_job().report_progress(2, 3, message="then it broke")
        raise ValueError("broken")

    with jobs.worker(lease=5):
        job = fails.enqueue().wait(10)
    assert job.progress is not None
    assert (job.progress.current, job.progress.message) == (2, "then it broke")


class Hiccups(MemoryEngine):
    """Fails every pulse that carries progress, as often as it is told to."""

    failures = 1

    async def pulse(self, card: WorkerCard, pulses: Any, *, lease: float) -> Heard:
        if self.failures and any(isinstance(each, Pulse) and each.progress for each in pulses):
            self.failures -= 1
            raise EngineUnavailable("hiccup")
        return await super().pulse(card, pulses, lease=lease)


def test_progress_that_could_not_be_written_is_written_later(heard: list[Event]) -> None:
    jobs = Jobsworth(engine=Hiccups())
    go = threading.Event()

    @jobs.task
    def halfway(job: CurrentJob) -> None:
        job.report_progress(1, 2)
        go.wait(20)

    with jobs.worker(lease=2, listener=heard.append):
        handle = halfway.enqueue()
        until(lambda: any(isinstance(event, EngineLost) for event in heard))
        assert until(lambda: handle.progress, 10).current == 1
        go.set()
        handle.wait(10)
    assert any(isinstance(event, EngineBack) for event in heard)
    jobs.close()


# --- bounds --------------------------------------------------------------------------------------------------------


def test_a_queue_never_runs_more_jobs_at_once_than_it_has_slots(jobs: Jobsworth) -> None:
    lock = threading.Lock()
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def enter(queue: str, by: int) -> None:
        with lock:
            now[queue] += by
            most[queue] = max(most[queue], now[queue])

    for name, slots in (("one", 1), ("three", 3)):
        jobs.add(jobsworth.Queue(name, worker_count=slots))

    @jobs.task(queue="one")
    def single(n: int) -> None:
        enter("one", 1)
        time.sleep(0.0005)
        enter("one", -1)

    @jobs.task(queue="three")
    async def triple(n: int) -> None:
        enter("three", 1)
        await asyncio.sleep(0.0005)
        enter("three", -1)

    with jobs.worker(lease=5):
        handles = single.enqueue_many([(n,) for n in range(100)]) + triple.enqueue_many([(n,) for n in range(300)])
        for handle in handles:
            handle.wait(30)
    assert most == {"one": 1, "three": 3}


def test_nothing_is_claimed_that_has_no_slot(jobs: Jobsworth) -> None:
    go = threading.Event()
    jobs.add(jobsworth.Queue("narrow", worker_count=2))

    @jobs.task(queue="narrow")
    def wait_for_it() -> None:
        go.wait(20)

    with jobs.worker(lease=5):
        handles = [wait_for_it.enqueue() for _ in range(5)]
        until(lambda: len(jobs.find(state="running")) == 2)
        snapshot = jobs.queue_snapshot("narrow")
        assert (snapshot["active"], snapshot["pending"], snapshot["slots"], snapshot["workers"]) == (2, 3, 2, 1)
        go.set()
        for handle in handles:
            handle.wait(10)


def test_queues_and_slots_can_be_chosen_for_a_worker(jobs: Jobsworth) -> None:
    jobs.add(jobsworth.Queue("a", worker_count=3))
    jobs.add(jobsworth.Queue("b"))
    assert jobs.worker().slots == {"a": 3, "b": 4}
    assert jobs.worker("b:7,a").slots == {"b": 7, "a": 3}
    assert jobs.worker({"a": 1}).slots == {"a": 1}
    assert jobs.worker(["a"]).slots == {"a": 3}
    for wrong in ("a:0", {"a": -1}, {"a": 1.5}, "", []):
        with pytest.raises(BadOption):
            jobs.worker(wrong)  # type: ignore[arg-type]
    with pytest.raises(jobsworth.errors.UnknownQueue, match=r"E107"):
        jobs.worker("aa")


# --- given up ------------------------------------------------------------------------------------------------------


def test_on_exhausted_is_called_once_when_a_job_is_given_up(jobs: Jobsworth) -> None:
    told: list[tuple[str, str, State]] = []

    class Fragile(QueueService):
        name = "fragile"
        retry = SOON

        def handle_item(self, item: Any) -> None:
            raise ValueError(f"{item} again")

        def on_exhausted(self, job: jobsworth.Job, error: str) -> None:
            told.append((job.id, error, job.state))

    fragile = jobs.add(Fragile())
    with jobs.worker(lease=5):
        handles = [fragile.enqueue(n) for n in range(3)]
        for handle in handles:
            handle.wait(10)
        until(lambda: len(told) == 3)
    wanted = [(handle.id, f"ValueError: {n} again", State.FAILED) for n, handle in enumerate(handles)]
    assert sorted(told) == sorted(wanted)


def test_on_exhausted_is_called_even_if_the_worker_stops_at_that_moment(jobs: Jobsworth) -> None:
    told: list[str] = []
    queue = jobs.add(jobsworth.Queue("q", on_exhausted=lambda job, error: told.append(job.id)))
    ending = threading.Event()

    @jobs.task(queue=queue, max_attempts=1)
    def last_one() -> None:
        ending.wait(20)
        raise ValueError("broken")

    for _ in range(5):
        with jobs.worker(lease=5):
            handle = last_one.enqueue()
            until(lambda handle=handle: handle.state is State.RUNNING)  # type: ignore[misc]
            ending.set()
        ending.clear()
        assert handle.state is State.FAILED
        assert told[-1:] == [handle.id]
    assert len(told) == 5


def test_a_broken_on_exhausted_is_told_and_harms_nothing(jobs: Jobsworth, heard: list[Event]) -> None:
    def broken(job: jobsworth.Job, error: str) -> None:
        raise SystemExit("no")

    queue = jobs.add(jobsworth.Queue("q", on_exhausted=broken))

    @jobs.task(queue=queue, max_attempts=1)
    def fails() -> None:
        raise ValueError("x")

    with jobs.worker(lease=5, listener=heard.append):
        for _ in range(3):
            assert fails.enqueue().wait(10).state is State.FAILED
        until(lambda: sum(isinstance(event, Fault) for event in heard) == 3)


class Letters(QueueService):
    name = "letters"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.got: list[Any] = []

    def handle_item(self, item: Any) -> None:
        self.got.append(item)


def test_a_dead_letter_queue_receives_the_original_and_its_error(jobs: Jobsworth) -> None:
    letters = jobs.add(Letters())
    jobs.add(jobsworth.Queue("work", dead_letter="letters"))

    @jobs.task(queue="work", max_attempts=1)
    def fails(a: int, b: str) -> None:
        raise ValueError("broken")

    with jobs.worker(lease=5):
        handle = fails.options(owner="user:7", tags=["t"], meta={"m": 1}, label="L").enqueue(1, "two")
        assert handle.wait(10).state is State.FAILED  # it stays a dead letter where it was
        until(lambda: letters.got)
    (item,) = letters.got
    assert item["job"] == {
        "id": handle.id, "queue": "work", "task": "fails", "arguments": {"a": 1, "b": "two"}, "attempt": 1,
        "key": None, "owner": "user:7", "label": "L", "tags": ["t"], "meta": {"m": 1},
    }  # fmt: skip
    error = item["error"]
    assert (error["type"], error["message"], error["reason"]) == ("ValueError", "broken", "exhausted")
    assert error["text"] == "ValueError: broken"
    assert "raise ValueError" in error["traceback"]


def test_arguments_too_large_to_travel_twice_are_left_out_of_the_letter(jobs: Jobsworth) -> None:
    letters = jobs.add(Letters())
    jobs.add(jobsworth.Queue("work", dead_letter="letters"))

    @jobs.task(queue="work", max_attempts=1)
    def fails(blob: str) -> None:
        raise ValueError("broken")

    with jobs.worker(lease=5):
        handle = fails.enqueue("x" * (2**20 - 20))
        assert handle.wait(10).state is State.FAILED
        until(lambda: letters.got)
    assert letters.got[0]["job"]["arguments"] is None
    assert len(handle.job.args) > 2**20 - 20  # the original keeps them


def test_a_letter_its_queue_would_not_take_leaves_the_original_a_dead_letter(
    jobs: Jobsworth, heard: list[Event]
) -> None:
    class Picky(QueueService):
        name = "picky"

        def handle_item(self, item: int) -> None:
            raise AssertionError

    jobs.add(Picky())
    jobs.add(jobsworth.Queue("work", dead_letter="picky", worker_count=1))

    @jobs.task(queue="work", max_attempts=1)
    def fails() -> None:
        raise ValueError("broken")

    with jobs.worker(lease=5, listener=heard.append):
        for _ in range(3):
            assert fails.enqueue().wait(10).state is State.FAILED
        until(lambda: sum(isinstance(event, Fault) for event in heard) == 3)


# --- the worker itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_async_worker_shares_the_running_loop(kind: str, tmp_path: Path) -> None:
    jobs = Jobsworth("memory://" if kind == "memory" else f"sqlite:///{tmp_path / 'jobs.db'}")
    loops: list[asyncio.AbstractEventLoop] = []

    @jobs.task
    async def here(n: int) -> int:
        loops.append(asyncio.get_running_loop())
        return n

    async def main() -> None:
        async with jobs.worker(lease=5):
            handles = await here.aenqueue_many([(n,) for n in range(5)])
            assert [await handle.aresult(10) for handle in handles] == [0, 1, 2, 3, 4]
        assert set(loops) == {asyncio.get_running_loop()}

    asyncio.run(main())
    jobs.close()


def test_a_worker_can_be_started_again_after_it_ended(jobs: Jobsworth) -> None:
    @jobs.task
    def task(n: int) -> int:
        return n

    worker = jobs.worker(lease=5)
    for n in range(3):
        with worker:
            assert task.enqueue(n).result(10) == n
    assert jobs.workers() == []  # it signed off


def test_a_worker_that_cannot_open_its_engine_says_so_at_once(tmp_path: Path) -> None:
    jobs = Jobsworth(f"sqlite:///{tmp_path / 'nowhere' / 'jobs.db'}")
    jobs.task(lambda: None, name="t")
    with pytest.raises(EngineUnavailable, match="E201"), jobs.worker():
        pass


def test_at_shutdown_running_jobs_get_their_grace_and_finish(jobs: Jobsworth) -> None:
    @jobs.task
    async def finishes() -> str:
        await asyncio.sleep(0.3)
        return "finished"

    with jobs.worker(lease=5, grace=10):
        handle = finishes.enqueue()
        until(lambda: handle.state is State.RUNNING)
    assert handle.result(1) == "finished"


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_what_does_not_finish_in_the_grace_is_handed_back_at_no_cost(jobs: Jobsworth, kind: str) -> None:
    free = threading.Event()

    def body() -> None:
        free.wait(30)

    async def abody() -> None:
        await asyncio.sleep(30)

    task = jobs.task(body if kind == "thread" else abody, name="long", max_attempts=1)  # type: ignore[call-overload]
    started = time.monotonic()
    with jobs.worker(lease=5, grace=0.1):
        handle = task.enqueue()
        until(lambda: handle.state is State.RUNNING)
    assert time.monotonic() - started < 10
    job = handle.refresh().job
    assert (job.state, job.attempt, job.errors, job.crashes) == (State.QUEUED, 0, 0, 0)
    assert words(handle) == ["released"]
    free.set()


class SlowToClaim(MemoryEngine):
    """Holds back what a turn claimed until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.claimed, self.go = threading.Event(), threading.Event()

    async def turn(self, *args: Any, **kwargs: Any) -> Turn:
        answer = await super().turn(*args, **kwargs)
        if answer.claims:
            self.claimed.set()
            self.go.wait(10)
        return answer


def test_a_claim_under_way_when_the_worker_stops_is_run_or_handed_back() -> None:
    engine = SlowToClaim()
    jobs = Jobsworth(engine=engine)

    @jobs.task
    def task() -> str:
        return "ran"

    with jobs.worker(lease=5):
        handle = task.enqueue()
        assert engine.claimed.wait(10)
        threading.Timer(0.2, engine.go.set).start()
    assert handle.result(0) == "ran"
    jobs.close()


def test_a_job_lost_in_a_queue_served_elsewhere_gets_its_letter_and_its_hook() -> None:
    clock = ManualClock()
    engine = MemoryEngine(clock)
    jobs = Jobsworth(engine=engine)
    told: list[str] = []
    jobs.add(Letters())
    jobs.add(
        jobsworth.Queue(
            "work",
            dead_letter="letters",
            retry=Retry(max_crashes=1),
            on_exhausted=lambda job, error: told.append(job.id),
        )
    )
    jobs.add(jobsworth.Queue("other"))
    task = jobs.task(queue="work", name="fragile")(lambda: None)
    jobs.task(queue="other", name="unrelated")(lambda: None)
    handle = task.enqueue()
    jobs.bridge.call(lambda _: engine.turn("ghost", [], [Want("work", 1, ("fragile",))], lease=5))
    clock.advance(6)
    with jobs.worker("other", lease=5):
        assert handle.wait(10).state is State.FAILED
        until(lambda: told)
    (letter,) = jobs.find(queue="letters")
    assert handle.id.encode() in letter.args
    assert told == [handle.id]
    jobs.close()


def test_an_enqueue_interrupted_by_a_signal_leaves_the_others_their_way() -> None:
    """A thread that was waiting for somebody else's commit when Ctrl-C came must not be made the next leader."""
    engine = SlowToStore()
    jobs = Jobsworth(engine=engine)

    @jobs.task
    def task(n: int) -> None: ...

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    leader = threading.Thread(target=task.enqueue, args=(1,))
    try:
        leader.start()
        assert engine.storing.wait(10)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(KeyboardInterrupt):
            task.enqueue(2)  # waits for the leader
    finally:
        signal.signal(signal.SIGUSR1, before)
    engine.go.set()
    leader.join(10)
    last = threading.Thread(target=task.enqueue, args=(3,), daemon=True)
    last.start()
    last.join(10)
    assert not last.is_alive()
    assert {job.args for job in jobs.find()} >= {b'{"n":1}', b'{"n":3}'}
    jobs.close()


class SlowToStore(MemoryEngine):
    def __init__(self) -> None:
        super().__init__()
        self.storing, self.go = threading.Event(), threading.Event()

    async def enqueue(self, wishes: Any) -> Any:
        self.storing.set()
        self.go.wait(10)
        return await super().enqueue(wishes)


def test_a_listener_that_raises_does_not_stop_the_worker(jobs: Jobsworth, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("a listener's own fault")

    @jobs.task(retry=SOON)
    def task() -> int:
        if current_job().attempt == 1:
            raise ValueError("x")
        return 1

    with jobs.worker(lease=5, listener=broken):
        assert [task.enqueue().result(10) for _ in range(3)] == [1, 1, 1]
    assert "a listener's own fault" in caplog.text


def test_events_tell_every_attempt(jobs: Jobsworth, heard: list[Event]) -> None:
    @jobs.task(retry=SOON)
    def task() -> int:
        if current_job().attempt < 2:
            raise ValueError("x")
        return 1

    with jobs.worker(lease=5, listener=heard.append):
        task.enqueue().result(10)
    ended = [event.settlement.outcome for event in heard if isinstance(event, AttemptEnded)]
    assert ended == ["failed", "succeeded"]


def test_a_paused_queue_starts_nothing_until_it_is_resumed(jobs: Jobsworth) -> None:
    @jobs.task
    def task() -> int:
        return 1

    jobs.pause("default")
    with jobs.worker(lease=5):
        handle = task.enqueue()
        with pytest.raises(WaitTimeout):
            handle.wait(0.2)
        assert jobs.queue_snapshot("default")["paused"] is True
        jobs.resume("default")
        assert handle.result(10) == 1


# --- keeping and removing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_finished_jobs_are_kept_as_long_as_their_queue_says(kind: str, tmp_path: Path) -> None:
    clock = ManualClock()
    engine = MemoryEngine(clock) if kind == "memory" else SqliteEngine(tmp_path / "jobs.db", clock=clock)
    jobs = Jobsworth(engine=engine)
    jobs.add(jobsworth.Queue("by_age", keep=100.0, keep_failed=1000.0))
    jobs.add(jobsworth.Queue("by_count", keep=Keep(count=2)))
    run: Callable[[str], None] = lambda how: {"ok": lambda: None, "bad": lambda: 1 / 0}[how]() and None  # noqa: E731

    @jobs.task(queue="by_age", max_attempts=1)
    def aged(how: str) -> None:
        run(how)

    @jobs.task(queue="by_count", max_attempts=1)
    def counted(how: str) -> None:
        run(how)

    with jobs.worker(lease=3600):
        for how in ("ok", "ok", "ok", "ok", "bad"):
            for task in (aged, counted):
                task.enqueue(how).wait(10)

    def left(queue: str) -> tuple[int, int]:
        return len(jobs.find(queue=queue, state="completed")), len(jobs.find(queue=queue, state="failed"))

    upkeep = Upkeep(engine, "w", jobs.queues, jobs.tasks, 30, lambda event: None, None)  # type: ignore[arg-type]
    jobs.bridge.call(lambda _: upkeep.prune())
    assert left("by_age") == (4, 1)
    assert left("by_count") == (2, 1)
    clock.advance(101)
    jobs.bridge.call(lambda _: upkeep.prune())
    assert left("by_age") == (0, 1)
    clock.advance(1000)
    jobs.bridge.call(lambda _: upkeep.prune())
    assert left("by_age") == (0, 0)
    assert left("by_count") == (2, 1)  # no age given: kept; dead letters wait for a person
    jobs.close()


# --- deferred actions ----------------------------------------------------------------------------------------------


def test_deferred_actions_run_and_are_drained_at_the_end() -> None:
    jobs = Jobsworth("memory://")
    done: list[int] = []
    go = threading.Event()

    def act(n: int, *, wait: bool = False) -> None:
        if wait:
            go.wait(10)
        done.append(n)

    async def aact(n: int) -> None:
        await asyncio.sleep(0)
        done.append(n)

    for n in range(100):
        jobs.defer(act, n, wait=True)
    jobs.defer(aact, 100)
    assert done == []
    go.set()
    jobs.close()
    assert sorted(done) == list(range(101))


def test_what_a_deferred_action_raises_is_logged_and_offered_to_the_hook(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobsworth("memory://")
    told: list[tuple[Any, str]] = []
    jobs.on_deferred_error = lambda fn, exc: told.append((fn, str(exc)))

    def breaks() -> None:
        raise ValueError("deferred and broken")

    jobs.defer(breaks)
    jobs.close()
    assert told == [(breaks, "deferred and broken")]
    assert "deferred and broken" in caplog.text


# --- enqueueing ----------------------------------------------------------------------------------------------------


def test_enqueue_many_is_all_or_nothing(jobs: Jobsworth) -> None:
    small = jobs.add(jobsworth.Queue("small", max_size=3))

    @jobs.task(queue=small)
    def task(n: int) -> None: ...

    assert len(task.enqueue_many([(1,), {"n": 2}])) == 2
    with pytest.raises(jobsworth.QueueFull, match="E502"):
        task.enqueue_many([(3,), (4,)])
    with pytest.raises(jobsworth.ValueRefused, match="E404"):
        task.enqueue_many([(3,), ("four",)])
    assert len(jobs.find()) == 2
    mixed = jobs.enqueue_many([task.new_job(3)])
    assert len(jobs.find()) == 3
    assert mixed[0].created


def test_threads_and_coroutines_may_enqueue_at_the_same_time(jobs: Jobsworth) -> None:
    """Whoever stores for the others must never leave a coroutine waiting for somebody to start."""

    @jobs.task
    def task(n: int) -> None: ...

    stop = threading.Event()
    sync: list[str] = []

    def from_a_thread() -> None:
        while not stop.is_set():
            sync.append(task.enqueue(1).id)

    async def from_coroutines() -> list[str]:
        async def some() -> list[str]:
            return [(await task.aenqueue(n)).id for n in range(20)]

        batches = await asyncio.wait_for(asyncio.gather(*(some() for _ in range(20))), 20)
        return [each for batch in batches for each in batch]

    threads = [threading.Thread(target=from_a_thread) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        ids = asyncio.run(from_coroutines())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(set(ids) | set(sync)) == len(ids) + len(sync) == jobs.bridge.call(lambda engine: engine.count(Where()))


def test_one_live_job_per_key_and_the_second_gets_the_firsts_handle(jobs: Jobsworth) -> None:
    @jobs.task
    def task(n: int) -> int:
        return n

    first = task.options(key="order-7").enqueue(1)
    second = task.options(key="order-7").enqueue(2)
    assert (first.created, second.created, second.id == first.id) == (True, False, True)
    with jobs.worker(lease=5):
        assert second.result(10) == 1
        third = task.options(key="order-7").enqueue(3)  # the key is free again
        assert third.created
        assert third.result(10) == 3


def test_an_id_of_ones_own_makes_an_enqueue_idempotent(jobs: Jobsworth) -> None:
    @jobs.task
    def task(n: int) -> None: ...

    assert task.options(id="mine").enqueue(1).created
    assert not task.options(id="mine").enqueue(2).created
    assert len(jobs.find()) == 1


def test_an_expired_job_never_starts(jobs: Jobsworth) -> None:
    ran: list[int] = []

    @jobs.task
    def task(n: int) -> None:
        ran.append(n)

    late = task.options(expires=0.01).enqueue(1)
    time.sleep(0.02)  # the fact waited for is time itself
    with jobs.worker(lease=5):
        job = late.wait(10)
    assert (job.state, ran) == (State.CANCELLED, [])
    assert job.failure is not None
    assert job.failure.reason == "expired"


def test_delayed_jobs_wait_for_their_time_and_can_be_run_now(jobs: Jobsworth) -> None:
    @jobs.task
    def task() -> int:
        return 1

    with jobs.worker(lease=5):
        late = task.options(delay=3600).enqueue()
        soon = task.options(delay=0.1).enqueue()
        assert soon.result(10) == 1
        assert late.state is State.SCHEDULED
        late.retry()
        assert late.result(10) == 1


def test_higher_priority_runs_first(jobs: Jobsworth) -> None:
    order: list[int] = []
    jobs.add(jobsworth.Queue("line", worker_count=1))

    @jobs.task(queue="line")
    def task(n: int) -> None:
        order.append(n)

    for n, priority in ((1, 0), (2, 5), (3, -5), (4, 5)):
        task.options(priority=priority).enqueue(n)
    with jobs.worker(lease=5):
        until(lambda: len(order) == 4)
    assert order == [2, 4, 1, 3]


# --- dead letters --------------------------------------------------------------------------------------------------


def test_a_dead_letter_can_be_inspected_edited_and_redriven(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=1)
    def divide(a: int, b: int) -> float:
        return a / b

    with jobs.worker(lease=5):
        handle = divide.enqueue(6, 0)
        handle.wait(10)
        dead = jobs.dead_letters("default")
        assert [job.id for job in dead.list()] == [handle.id]
        assert dead.count() == 1
        assert jobs.dead_letters("another").list() == []
        job = dead.get(handle.id)
        assert job.args == b'{"a":6,"b":0}'
        assert job.attempts[0].error is not None
        assert "ZeroDivisionError" in (job.attempts[0].error.traceback or "")
        with pytest.raises(jobsworth.ValueRefused):
            dead.redrive(handle.id, arguments={"a": "six", "b": 2})
        assert dead.redrive(handle.id, arguments={"a": 6, "b": 2}) == [handle.id]
        assert handle.result(10) == 3
    assert words(handle) == ["failed", "succeeded"]
    assert dead.list() == []


def test_many_dead_letters_are_redriven_at_a_rate_or_only_looked_at(jobs: Jobsworth) -> None:
    broken = threading.Event()
    broken.set()

    @jobs.task(max_attempts=1)
    def task(n: int) -> int:
        if broken.is_set():
            raise ValueError("broken")
        return n

    dead = jobs.dead_letters()
    with jobs.worker(lease=5):
        handles = [task.enqueue(n) for n in range(5)]
        for handle in handles:
            handle.wait(10)
        broken.clear()
        assert sorted(dead.redrive(dry_run=True)) == sorted(handle.id for handle in handles)
        assert dead.count() == 5
        assert len(dead.redrive(rate=50, task="task")) == 5
        assert [handle.result(10) for handle in handles] == [0, 1, 2, 3, 4]
    starts = sorted(handle.refresh().job.started_at or 0 for handle in handles)
    assert starts[-1] - starts[0] >= 0.07  # five at fifty a second take four gaps of 20 ms
    for wrong in (0, -1):
        with pytest.raises(BadOption):
            dead.redrive(rate=wrong)
    with pytest.raises(BadOption):
        dead.redrive(arguments={"n": 1})
    with pytest.raises(BadOption):
        dead.list(states=("queued",))


def test_dead_letters_are_discarded_for_good_and_pushed_by_hand(jobs: Jobsworth) -> None:
    letters = jobs.add(Letters())

    @jobs.task(max_attempts=3)
    def task(n: int) -> int:
        return n

    dead = jobs.dead_letters()
    first = dead.push("letters", {"a": 1}, ValueError("lost on the way"))
    second = dead.push(task, (7,), "came back by post")
    assert {job.id: job.failure.message for job in dead.list() if job.failure} == {
        first: "lost on the way",
        second: "came back by post",
    }
    assert {job.failure.reason for job in dead.list() if job.failure} == {"pushed"}
    assert dead.discard(dry_run=True) == 2
    assert dead.discard(first) == 1
    with pytest.raises(jobsworth.JobNotFound, match="E301"):
        dead.get(first)
    with jobs.worker(lease=5):
        assert dead.redrive() == [second]
        assert jobs.handle(second).result(10) == 7
    assert letters.got == []


# --- handles -------------------------------------------------------------------------------------------------------


def test_every_verb_of_a_handle_has_an_async_twin(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=1)
    async def task(n: int) -> int:
        if n < 0:
            raise ValueError("negative")
        return n

    async def main() -> None:
        waiting = await task.options(delay=3600).aenqueue(1)
        assert (await waiting.arefresh()).job.state is State.SCHEDULED
        assert (await waiting.astatus())["job"]["status"] == "scheduled"
        with pytest.raises(WaitTimeout, match="E304"):
            await waiting.aresult(0.01)
        assert await waiting.acancel("no")
        with pytest.raises(JobCancelled, match="E303"):
            await waiting.aresult(1)
        async with jobs.worker(lease=5):
            await waiting.aretry()
            assert await waiting.aresult(10) == 1
            with pytest.raises(JobFailed, match="negative"):
                await (await task.aenqueue(-1)).aresult(10)
            assert (await jobs.ajob_status("default", waiting.id))["job"]["result"] == 1
            assert (await jobs.arequest_job_cancel("default", waiting.id))["accepted"] is False
            assert len(await jobs.afind(state="completed")) == 1
            assert (await jobs.aqueue_snapshot("default"))["queue"] == "default"
            assert len(await jobs.dead_letters().alist()) == 1

    asyncio.run(main())


def test_a_handle_retries_finished_jobs_and_refuses_others(jobs: Jobsworth) -> None:
    @jobs.task
    def task(n: int) -> int:
        return n

    handle = task.enqueue(1)
    with pytest.raises(MoveRefused, match=r"E307.*queued"):
        handle.retry()
    with jobs.worker(lease=5):
        handle.wait(10)
        handle.retry()
        assert handle.result(10) == 1
    until(lambda: words(handle) == ["succeeded", "succeeded"])
    for call in (handle.status, handle.refresh, lambda: handle.wait(1), lambda: handle.result(1), handle.cancel):
        lost = jobs.handle("no-such-job")
        with pytest.raises(jobsworth.JobNotFound, match="E301"):
            getattr(lost, getattr(call, "__name__", "status") if not isinstance(call, type(lambda: 0)) else "status")()


SNAPSHOT = {
    "accepted": bool,
    "message": str,
    "job": {
        "id", "queue", "task", "label", "status", "message", "progress", "result", "error", "cancel_requested",
        "created_at", "started_at", "finished_at", "updated_at", "run_at", "attempt", "max_attempts", "attempts",
        "meta", "tags", "owner", "version",
    },
    "queue": {"pending", "active", "active_jobs", "workers"},
}  # fmt: skip


def test_the_status_snapshot_has_exactly_the_documented_shape(jobs: Jobsworth) -> None:
    go = threading.Event()

    @jobs.task(retry=SOON)
    def task(n: int) -> dict[str, int]:
        job = current_job()
        job.report_progress(1, 2, message="half")
        if job.attempt == 1:
            raise ValueError("first")
        go.wait(20)
        return {"n": n}

    with jobs.worker(lease=5):
        handle = task.options(label="L", tags=["a"], meta={"k": [1]}, owner="user:7").enqueue(5)
        until(lambda: handle.refresh().job.attempt == 2 and handle.job.state is State.RUNNING and handle.progress)
        running = handle.status()
        go.set()
        handle.wait(10)
        done = handle.status()
    for shot in (running, done):
        assert set(shot) == set(SNAPSHOT)
        assert set(shot["job"]) == SNAPSHOT["job"]
        assert set(shot["queue"]) == SNAPSHOT["queue"]
        assert set(shot["job"]["progress"]) == {"current", "total", "percent"}
        for attempt in shot["job"]["attempts"]:
            assert set(attempt) == {
                "number", "worker", "started_at", "finished_at", "outcome", "error", "traceback",
            }  # fmt: skip
    assert running["job"]["status"] == "running"
    assert running["queue"]["active_jobs"] == [handle.id]
    job = done["job"]
    assert (job["status"], job["result"], job["error"], job["message"]) == ("completed", {"n": 5}, None, "half")
    assert (job["label"], job["tags"], job["meta"], job["owner"]) == ("L", ["a"], {"k": [1]}, "user:7")
    assert [each["outcome"] for each in job["attempts"]] == ["failed", "succeeded"]
    assert job["attempts"][0]["error"] == {"type": "ValueError", "message": "first", "reason": "error"}
    assert "ValueError: first" in job["attempts"][0]["traceback"]
    assert all(job[moment].endswith("Z") for moment in ("created_at", "started_at", "finished_at", "updated_at"))
    again = jobs.job_status("default", handle.id)
    assert again["job"] == job
    assert again["queue"]["workers"] == 0  # it has signed off meanwhile
    with pytest.raises(jobsworth.JobNotFound):
        jobs.job_status("another", handle.id)
    import json

    assert json.loads(json.dumps(done)) == done


def test_request_job_cancel_answers_with_a_snapshot(jobs: Jobsworth) -> None:
    @jobs.task
    def task() -> None: ...

    handle = task.enqueue()
    shot = jobs.request_job_cancel("default", handle.id, reason="why not")
    assert (shot["accepted"], shot["job"]["status"], shot["job"]["cancel_requested"]) == (True, "cancelled", True)
    assert jobs.request_job_cancel("default", handle.id)["accepted"] is False
    with pytest.raises(jobsworth.JobNotFound):
        jobs.request_job_cancel("default", "nobody")


def test_a_worker_whose_office_dies_ends_instead_of_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    from jobsworth.worker.office import Office

    class Death(BaseException):
        """Not an Exception, so that the office's own care does not catch it."""

    async def die(office: Office) -> float:
        raise Death

    jobs = Jobsworth("memory://")
    jobs.add(Queue("idle"))
    monkeypatch.setattr(Office, "_round", die)
    with pytest.raises(EngineError, match="lost the thread"):
        asyncio.run(asyncio.wait_for(jobs.worker(listener=lambda event: None).run(), 20))
