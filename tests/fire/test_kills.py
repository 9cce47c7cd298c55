"""kill -9, SIGSTOP and SIGTERM: what a worker's death may cost, and what it may not."""

from __future__ import annotations

import random
import signal
import time

import pytest
from crew import EVERYWHERE, LONG, Crew, Figures, later, name_of
from fire_history import read_ledger

from jobsworth import State
from undertaker import alive
from waiting import until

JOBS = 20_000 if LONG else 2_000
pytestmark = EVERYWHERE


def test_no_job_is_lost_while_workers_are_killed(crew: Crew, figures: Figures) -> None:
    """Three workers, one of them killed now and then, while 2,000 jobs run in loops and threads."""
    app = crew.app
    workers = [crew.worker(ready=False) for _ in range(3)]
    handles = []
    for n in range(0, JOBS, 100):
        task = random.choice([app.quick, app.threaded])
        handles += task.enqueue_many([(n + i, random.uniform(0, 0.03)) for i in range(100)])
    acked = {handle.id for handle in handles}
    kills = 0
    while crew.jobs.find(states=("queued", "scheduled", "running"), limit=1):
        victim = random.randrange(3)
        later(random.uniform(0.3, 0.8))
        crew.kill(workers[victim])
        kills += 1
        workers[victim] = crew.worker(ready=False)
        if kills == (60 if LONG else 8):
            break
    jobs = crew.finish(within=600 if LONG else 90)
    figures(f"{kills} kills, {len(acked - {job.id for job in jobs})} of {len(acked)} jobs lost")
    assert kills >= 3, "too quick to have been disturbed: this proved nothing"
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert {job.id for job in jobs} == acked
    assert sum(job.errors for job in jobs) == 0  # a kill is charged as a crash, never as an error
    crew.check(acked, slots={"default": 4})


def test_jobs_run_elsewhere_soon_after_a_kill(crew: Crew, figures: Figures) -> None:
    """Within the lease and five seconds, by a worker that was there all the time."""
    victim = crew.worker(lease=1, name="victim")
    handle = crew.app.held.enqueue("go")
    until(lambda: handle.progress)
    crew.worker(lease=1, name="heir")
    killed = time.monotonic()
    crew.kill(victim)
    second = until(lambda: [event for event in read_ledger(crew.folder) if event.attempt == 2])
    figures("with a lease of 1 s, elsewhere", [second[0].at - killed])
    assert second[0].at - killed <= 1 + 5
    (crew.folder / "go.2").touch()
    assert handle.result(10) == 2
    attempts = handle.refresh().job.attempts
    assert [(each.outcome, name_of(each.worker)) for each in attempts] == [("lost", "victim"), ("succeeded", "heir")]
    crew.check({handle.id})


def test_a_new_worker_finds_what_all_the_dead_ones_left(crew: Crew) -> None:
    workers = [crew.worker() for _ in range(2)]
    handles = crew.app.held.enqueue_many([("go",)] * 8)
    until(lambda: len(crew.jobs.find(state="running")) == 8)
    for worker in workers:
        crew.kill(worker)
    (crew.folder / "go.2").touch()
    crew.worker(name="another")
    jobs = crew.finish()
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert {name_of(job.worker) for job in jobs} == {"another"}
    crew.check({handle.id for handle in handles})


@pytest.mark.parametrize("second_attempt", ["still runs", "has finished"])
def test_a_worker_that_slept_through_its_lease_writes_nothing(crew: Crew, second_attempt: str) -> None:
    first = crew.worker(lease=1, name="sleeper")
    handle = crew.app.held.enqueue("go")
    until(lambda: handle.progress)
    crew.stop(first)
    second = crew.worker(lease=1, name="second")
    until(lambda: handle.refresh().job.attempt == 2 and handle.job.progress, what="the second attempt runs")
    if second_attempt == "has finished":
        (crew.folder / "go.2").touch()
        assert handle.result(10) == 2
    before = handle.refresh().job
    first.send_signal(signal.SIGCONT)
    until(lambda: "lease was taken" in crew.log(first), what="it is told")
    later(1.2)  # several pulses: it is told once, not each time
    (crew.folder / "go.1").touch()  # now the first attempt reports progress and returns
    until(lambda: [event for event in read_ledger(crew.folder) if (event.kind, event.attempt) == ("end", 1)])
    # The sleeper's next pulses and turns have come and gone when it has done another job whole.
    other = crew.app.held.enqueue("other")
    (crew.folder / "other.1").touch()
    other.wait(10)
    after = handle.refresh().job
    assert after.progress == before.progress
    if second_attempt == "still runs":
        assert (after.state, name_of(after.worker)) == (State.RUNNING, "second")
        (crew.folder / "go.2").touch()
    assert handle.result(10) == 2
    assert crew.terminate(first) == 0
    assert crew.terminate(second) == 0
    assert crew.log(first).count("lease was taken") == 1
    assert [each.outcome for each in handle.refresh().job.attempts] == ["lost", "succeeded"]
    crew.check({handle.id, other.id})


def test_a_handler_that_blocks_the_loop_keeps_its_lease(crew: Crew) -> None:
    crew.worker(lease=1)
    handles = [crew.app.blocks_the_loop.enqueue(2.5)]
    until(lambda: handles[0].state is State.RUNNING)
    crew.worker(lease=1)
    handles.append(crew.app.blocks_the_loop.enqueue(2.5))
    for handle in handles:
        handle.wait(20)
        assert [each.outcome for each in handle.job.attempts] == ["succeeded"]
    assert len(read_ledger(crew.folder)) == 4
    crew.check({handle.id for handle in handles})


def test_a_poison_job_dies_alone(crew: Crew) -> None:
    """It kills its worker each time; the workers are started again, as a supervisor would."""
    neighbours = crew.app.neighbour.enqueue_many([(n,) for n in range(50)])
    poison = crew.app.poison.enqueue(0)
    neighbours += crew.app.neighbour.enqueue_many([(n,) for n in range(50, 100)])
    workers = [crew.worker(ready=False) for _ in range(2)]

    def all_ended() -> bool:
        for place, worker in enumerate(workers):
            if worker.poll() is not None:
                crew.disturbed.add(worker.pid)
                workers[place] = crew.worker(ready=False)
        return not crew.jobs.find(states=("queued", "scheduled", "running"), limit=1)

    until(all_ended, 60, every=0.05)
    dead = poison.refresh().job
    assert (dead.state, dead.crashes, dead.errors) == (State.FAILED, 3, 0)
    assert dead.failure is not None
    assert dead.failure.reason == "crashed"
    assert [each.outcome for each in dead.attempts] == ["lost"] * 3
    jobs = [handle.refresh().job for handle in neighbours]
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert max(job.crashes for job in jobs) <= 1  # in the way at most once
    assert sum(job.errors for job in jobs) == 0
    assert len([event for event in read_ledger(crew.folder) if event.id == poison.id]) == 3
    crew.check({poison.id} | {handle.id for handle in neighbours}, max_crashes=3)


def test_sigterm_hands_running_jobs_back_at_no_cost(crew: Crew) -> None:
    worker = crew.worker(grace=0.3)
    handles = crew.app.held.enqueue_many([("go",)] * 2) + crew.app.cancellable.enqueue_many([(n, 60) for n in range(6)])
    until(lambda: len(crew.jobs.find(state="running")) == 4)
    started = time.monotonic()
    assert crew.terminate(worker) == 0
    assert time.monotonic() - started < 10
    jobs = crew.all_jobs()
    assert {job.state for job in jobs} == {State.QUEUED}
    assert {(job.attempt, job.errors, job.crashes) for job in jobs} == {(0, 0, 0)}
    assert len(jobs) == len(handles)
    assert crew.jobs.workers() == []


def test_a_second_sigterm_ends_the_grace(crew: Crew) -> None:
    worker = crew.worker(grace=600)
    handle = crew.app.held.enqueue("go")
    until(lambda: handle.progress)
    worker.terminate()
    until(lambda: any(card.stopping for card in crew.jobs.workers()) or "stops" in crew.log(worker))
    assert crew.terminate(worker) == 0
    job = handle.refresh().job
    assert (job.state, job.attempt, job.crashes) == (State.QUEUED, 0, 0)


def test_rolling_restarts_cost_nothing(crew: Crew) -> None:
    """Workers are told to end and started again all the time while jobs run."""
    count = 4_000 if LONG else 800
    handles = crew.app.quick.enqueue_many([(n, random.uniform(0, 0.02)) for n in range(count // 2)])
    handles += crew.app.threaded.enqueue_many([(n, random.uniform(0, 0.02)) for n in range(count // 2)])
    workers = [crew.worker(ready=False, grace=random.choice([0, 5])) for _ in range(2)]
    for _ in range(200 if LONG else 6):
        later(random.uniform(0.2, 0.6))
        oldest = workers.pop(0)
        until(lambda oldest=oldest: any(c.pid == oldest.pid for c in crew.jobs.workers()))  # type: ignore[misc]
        assert crew.terminate(oldest) == 0
        # Threads cannot be stopped: with no grace they are left behind while their process ends.
        crew.disturbed.add(oldest.pid)
        workers.append(crew.worker(ready=False, grace=random.choice([0, 5])))
    jobs = crew.finish(within=120)
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert {(job.errors, job.crashes, job.attempt) for job in jobs} == {(0, 0, 1)}
    crew.check({handle.id for handle in handles}, slots={"default": 4})


def test_children_die_with_their_worker(crew: Crew) -> None:
    worker = crew.worker()
    handles = crew.app.in_a_child.enqueue_many([(n, 600.0) for n in range(2)])
    children = until(lambda: len(pids := {event.pid for event in read_ledger(crew.folder)}) == 2 and pids, 30)
    assert worker.pid not in children
    crew.disturbed |= children
    crew.kill(worker)
    until(lambda: not any(alive(pid) for pid in children), what="the children are dead")
    for handle in handles:
        handle.cancel("enough seen")
    crew.worker()
    jobs = crew.finish()
    assert {job.state for job in jobs} == {State.CANCELLED}  # what was asked before the rescue is heeded by it
    crew.check({handle.id for handle in handles})


def test_what_was_acknowledged_is_there_after_its_enqueuer_was_killed(crew: Crew) -> None:
    acked: set[str] = set()
    for _ in range(50 if LONG else 5):
        process = crew.start("enqueue", count=100_000)
        until(lambda process=process: len(crew.said(process)) > 20)  # type: ignore[misc]
        later(random.uniform(0, 0.2))
        crew.kill(process)
        acked |= set(crew.said(process))
    stored = {job.id for job in crew.all_jobs()}
    assert acked <= stored
    assert len(acked) > 100
    assert len(stored - acked) <= len(crew.processes) * 5  # at most the batch on its way, each time
