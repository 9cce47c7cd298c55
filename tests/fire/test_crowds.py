"""Many processes, threads and callers on one file, or one server, at once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import threading
import time
from collections import Counter
from typing import Any

import pytest
from crew import EVERYWHERE, LONG, PLACES, Crew, later, name_of
from fire_history import read_ledger

from jobsworth import Jobsworth, State
from waiting import until

RACES = 10_000 if LONG else 2_000


@EVERYWHERE
def test_a_cancel_raced_against_the_claim_has_one_of_three_outcomes(crew: Crew) -> None:  # noqa: C901
    """(ran, not cancelled) xor (cancelled, 0 starts) xor (started, cancel requested, outcome recorded)."""
    crew.worker(lease=5)
    asked: dict[str, bool] = {}
    waiting: set[str] = set()
    acked: set[str] = set()

    def race(share: int) -> None:
        dice = random.Random(share)
        for n in range(share):
            handle = crew.app.cancellable.enqueue(n, dice.choice([0.0, 0.002, 0.01]))
            acked.add(handle.id)
            if dice.random() < 0.9:
                end = time.monotonic() + dice.choice([0, 0, dice.uniform(0, 0.005), dice.uniform(0, 0.02)])
                while time.monotonic() < end:
                    time.sleep(0)
                asked[handle.id] = handle.cancel()
                if asked[handle.id] and handle.refresh().job.state is State.CANCELLED and not handle.job.attempts:
                    waiting.add(handle.id)

    threads = [threading.Thread(target=race, args=(RACES // 4,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs = crew.finish()
    starts = Counter(event.id for event in read_ledger(crew.folder) if event.kind == "start")
    kinds: Counter[str] = Counter()
    for job in jobs:
        ran = starts[job.id]
        if not job.cancel_requested:
            assert (ran, job.state) == (1, State.COMPLETED)
            assert not asked.get(job.id)
            kinds["ran"] += 1
        elif ran == 0:
            assert (job.state, asked[job.id]) == (State.CANCELLED, True)
            kinds["never started"] += 1
        else:
            assert ran == 1
            assert asked[job.id]
            assert job.state in (State.COMPLETED, State.CANCELLED)
            assert job.attempts[-1].outcome in ("succeeded", "cancelled")
            kinds["started and asked"] += 1
    assert sum(kinds.values()) == len(acked) == RACES // 4 * 4
    assert len(kinds) == 3, kinds
    crew.check(acked, cancelled_waiting=waiting, slots={"default": 4})


@EVERYWHERE
def test_a_cancel_without_any_worker_is_not_lost(crew: Crew) -> None:
    handles = [crew.app.quick.enqueue(n) for n in range(4)]
    assert all(handle.cancel() for handle in handles[:2])
    crew.worker()
    jobs = {job.id: job for job in crew.finish()}
    assert [jobs[handle.id].state for handle in handles] == [State.CANCELLED] * 2 + [State.COMPLETED] * 2
    crew.check(set(jobs), cancelled_waiting={handle.id for handle in handles[:2]})


@EVERYWHERE
def test_eight_processes_enqueue_and_four_claim(crew: Crew) -> None:
    """No "database is locked" reaches anybody, and no job is claimed twice."""
    workers = [crew.worker(lease=10) for _ in range(4)]
    enqueuers = [crew.start("enqueue", count=2_000 if LONG else 150, bytes_each=200) for _ in range(8)]
    for process in enqueuers:
        assert process.wait(300 if LONG else 90) == 0, crew.log(process)
    jobs = crew.finish()
    acked = {line for process in enqueuers for line in crew.said(process)}
    for process in (*workers, *enqueuers):
        assert "locked" not in crew.log(process)
        assert "Traceback" not in crew.log(process)
        assert "WARNING" not in crew.log(process)
    assert {job.state for job in jobs} == {State.COMPLETED}
    starts = Counter(event.id for event in read_ledger(crew.folder) if event.kind == "start")
    assert set(starts.values()) == {1}
    assert starts.keys() == acked == {job.id for job in jobs}
    assert {job.attempt for job in jobs} == {1}
    assert len({job.worker for job in jobs}) == 4  # they shared the work
    crew.check(acked, slots={"default": 4})


@EVERYWHERE
def test_delayed_jobs_start_once_and_never_early(crew: Crew) -> None:
    for _ in range(3):
        crew.worker(lease=1)
    due = time.monotonic() + 2
    handles = [crew.app.quick.options(delay=2).enqueue(n) for n in range(200)]
    jobs = crew.finish()
    events = [event for event in read_ledger(crew.folder) if event.kind == "start"]
    assert Counter(event.id for event in events).keys() == {handle.id for handle in handles}
    assert len(events) == 200
    assert min(event.at for event in events) >= due - 0.05
    assert all(job.started_at and job.run_at and job.started_at >= job.run_at for job in jobs)
    crew.check({handle.id for handle in handles})


@EVERYWHERE
def test_a_busy_worker_keeps_nothing_from_an_idle_one(crew: Crew) -> None:
    """No job waits behind a full worker while another has room."""
    crew.worker(queues={"default": 1}, name="narrow")
    blocker = crew.app.held.enqueue("go")
    until(lambda: blocker.progress)
    handles = crew.app.quick.enqueue_many([(n,) for n in range(50)])
    crew.worker(name="wide")
    until(lambda: crew.jobs.find(state="completed", limit=1))
    for handle in handles:
        assert name_of(handle.wait(10).worker) == "wide"
    (crew.folder / "go.1").touch()
    blocker.wait(10)


@pytest.mark.parametrize("url", ["memory", *PLACES], indirect=True)
def test_fifty_threads_and_fifty_coroutines_share_commits_and_get_their_own_receipts(  # noqa: C901
    url: str, seed: int
) -> None:
    jobs = Jobsworth(url)

    @jobs.task
    def task(n: int) -> None: ...

    got: dict[int, tuple[str, bool]] = {}
    each = 100 if LONG else 10

    def from_a_thread(k: int) -> None:
        for n in range(k * each, (k + 1) * each):
            handle = task.options(key=f"k{n % 700}").enqueue(n)
            got[n] = (handle.id, handle.created)

    async def from_coroutines() -> None:
        async def some(k: int) -> None:
            for n in range(k * each, (k + 1) * each):
                handle = await task.options(key=f"k{n % 700}").aenqueue(n)
                got[n] = (handle.id, handle.created)

        await asyncio.wait_for(asyncio.gather(*(some(k) for k in range(50, 100))), 60)

    threads = [threading.Thread(target=from_a_thread, args=(k,)) for k in range(50)]
    for thread in threads:
        thread.start()
    asyncio.run(from_coroutines())
    for thread in threads:
        thread.join(60)
    stored = {job.id: job for job in jobs.find(limit=None)}
    jobs.close()
    assert len(got) == 100 * each
    for n, (id_, created) in got.items():
        assert stored[id_].key == f"k{n % 700}"
        if created:
            assert stored[id_].args == b'{"n":%d}' % n
    assert Counter(id_ for id_, created in got.values() if created) == Counter(dict.fromkeys(stored, 1))
    assert len(stored) == min(700, 100 * each)  # one live job per key


# --- fork ----------------------------------------------------------------------------------------------------------


def _child(jobs: Jobsworth, task: Any, go: Any, done: Any) -> None:
    """In a forked process: use what the parent had opened."""
    task.enqueue(1)
    done.set()
    assert go.wait(30)
    for n in range(2, 12):
        task.enqueue(n)
    jobs.close()


@EVERYWHERE
def test_a_forked_process_may_use_what_its_parent_opened(url: str, seed: int) -> None:
    """Parent and child both go on with the same Jobsworth, and what either stores stays, whoever closes first."""
    jobs = Jobsworth(url)

    @jobs.task
    def task(n: int) -> None: ...

    context = multiprocessing.get_context("fork")
    go, done = context.Event(), context.Event()
    task.enqueue(0)
    jobs.find()  # the reader is open too
    child = context.Process(target=_child, args=(jobs, task, go, done))
    child.start()
    assert done.wait(30)
    task.enqueue(100)
    jobs.close()  # the parent lets go, as a daemon's parent does; the child goes on
    go.set()
    child.join(30)
    assert child.exitcode == 0
    assert sorted(int(job.args[5:-1]) for job in jobs.find(limit=None)) == [*range(12), 100]
    jobs.close()


@EVERYWHERE
def test_a_process_may_fork_with_a_worker_and_callers_at_work(url: str, seed: int) -> None:
    """As a prefork server does: the children enqueue at once, while the parent's threads are in the middle of it."""
    jobs = Jobsworth(url)

    @jobs.task
    def task(n: int) -> int:
        return n

    stop = threading.Event()
    stored: list[str] = []

    def enqueue_all_the_time() -> None:
        while not stop.is_set():
            stored.append(task.enqueue(1).id)

    threads = [threading.Thread(target=enqueue_all_the_time) for _ in range(4)]
    children = []
    with jobs.worker(lease=5):
        for thread in threads:
            thread.start()
        for n in range(30 if LONG else 6):
            later(random.uniform(0, 0.1))
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    handles = [task.enqueue(n) for _ in range(5)]
                    code = 0 if all(handle.result(20) == n for handle in handles) else 2
                finally:
                    os._exit(code)
            children.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        stop.set()
        for thread in threads:
            thread.join(30)
        until(lambda: not jobs.find(states=("queued", "running"), limit=1), 60)
    assert codes == [0] * len(children)
    found = {job.id: job.state for job in jobs.find(limit=None)}
    assert set(stored) <= found.keys()
    assert len(found) == len(stored) + 5 * len(children)
    assert set(found.values()) == {State.COMPLETED}
    jobs.close()
