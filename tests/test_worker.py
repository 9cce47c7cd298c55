"""The worker itself: how it starts and ends, what is bounded, what it tells and what it clears away."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobsworth
from jobsworth import Jobsworth, Keep, Queue, State, current_job
from jobsworth.clock import ManualClock
from jobsworth.engine import Turn
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.errors import BadOption, EngineError, EngineUnavailable, WaitTimeout
from jobsworth.events import AttemptEnded, Event
from jobsworth.worker.chores import Chores
from runs import SOON, words
from waiting import until


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

    chores = Chores(engine, jobs.queues, lambda event: None)
    jobs.bridge.call(lambda _: chores.prune())
    assert left("by_age") == (4, 1)
    assert left("by_count") == (2, 1)
    clock.advance(101)
    jobs.bridge.call(lambda _: chores.prune())
    assert left("by_age") == (0, 1)
    clock.advance(1000)
    jobs.bridge.call(lambda _: chores.prune())
    assert left("by_age") == (0, 0)
    assert left("by_count") == (2, 1)  # no age given: kept; dead letters wait for a person
    jobs.close()


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
