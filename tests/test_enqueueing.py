"""Enqueueing, from many sides at once and with every option that decides when a job starts."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest

import jobsworth
from jobsworth import Jobsworth, State
from jobsworth.engine import Where
from jobsworth.engines.memory import MemoryEngine
from waiting import until


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
