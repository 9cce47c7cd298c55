"""The jobs of a queue as they change, for whoever tells others of it: on every engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from jobsworth import Job, Jobsworth, State, following
from jobsworth.following import Following
from jobsworth.handle import JobHandle
from waiting import until

Seen = list[tuple[str, State]]


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    match request.param:
        case "memory":
            url = "memory://"
        case "sqlite":
            url = f"sqlite:///{tmp_path / 'jobs.db'}"
        case "postgres":
            url = request.getfixturevalue("postgres").new_database()
        case _:
            url = request.getfixturevalue("redis").new_namespace()
    jobs = Jobsworth(url)
    jobs.task(queue="mine", name="mine")(lambda go: go)
    jobs.task(queue="other", name="other")(lambda go: go)
    yield jobs
    jobs.close()


def enqueue(jobs: Jobsworth, task: str = "mine") -> JobHandle[object]:
    return jobs.find_task(task).enqueue("go")


def states(changed: list[Job]) -> Seen:
    return [(job.id, job.state) for job in changed]


def test_it_tells_how_jobs_stand_and_then_what_changes(jobs: Jobsworth) -> None:
    first = enqueue(jobs)
    enqueue(jobs, "other")
    with Following(jobs.bridge, ["mine"]) as follower:
        assert states(follower.changes(within=5)) == [(first.id, State.QUEUED)]
        assert follower.changes(within=0.3) == []
        second = enqueue(jobs)
        assert states(follower.changes(within=5)) == [(second.id, State.QUEUED)]
        first.cancel()
        assert states(follower.changes(within=5)) == [(first.id, State.CANCELLED)]
        assert follower.changes(within=0.3) == []


def test_an_end_is_never_missed(jobs: Jobsworth) -> None:
    seen: Seen = []
    with Following(jobs.bridge, ["mine"]) as follower, jobs.worker():
        handles = [enqueue(jobs) for _ in range(20)]
        until(lambda: seen.extend(states(follower.changes(within=1))) or len(ended(seen)) == 20)
    assert ended(seen) == {handle.id for handle in handles}


def test_however_many_end_between_two_looks_each_is_told(jobs: Jobsworth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AT_MOST", 3)
    with Following(jobs.bridge, ["mine"]) as follower:
        assert follower.changes(within=0) == []
        handles = [enqueue(jobs) for _ in range(10)]
        with jobs.worker():
            for handle in handles:
                handle.wait(10)
        assert ended(states(follower.changes(within=5))) == {handle.id for handle in handles}


def ended(seen: Seen) -> set[str]:
    return {job_id for job_id, state in seen if state is State.COMPLETED}


def test_whoever_begins_to_follow_hears_of_what_has_just_ended(jobs: Jobsworth) -> None:
    handle = enqueue(jobs)
    with jobs.worker():
        handle.wait(10)
    with Following(jobs.bridge, ["mine"]) as follower:
        assert states(follower.changes(within=5)) == [(handle.id, State.COMPLETED)]


def test_closing_ends_the_waiting(jobs: Jobsworth) -> None:
    follower = Following(jobs.bridge, ["mine"])
    assert follower.changes(within=0) == []
    waits = threading.Thread(target=follower.changes, args=(60,))
    waits.start()
    follower.close()
    waits.join(10)
    assert not waits.is_alive()


def test_it_looks_at_most_five_times_a_second(jobs: Jobsworth, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    follower = Following(jobs.bridge, ["mine"])
    look = follower._look
    monkeypatch.setattr(follower, "_look", lambda: looks.append(time.monotonic()) or look())
    over = threading.Event()

    def ring() -> None:
        while not over.wait(0.005):
            follower._rung.set()

    ringing = threading.Thread(target=ring)
    ringing.start()
    with follower:
        follower.changes(within=1)
    over.set()
    ringing.join()
    assert 2 <= len(looks) <= 7
    assert min(later - earlier for earlier, later in pairwise(looks)) >= following.LOOK_EVERY * 0.9
