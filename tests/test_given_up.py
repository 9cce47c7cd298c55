"""Jobs that were given up: hooks, letters, and what a person can do with them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import jobsworth
from jobsworth import Jobsworth, QueueService, Retry, State
from jobsworth.clock import ManualClock
from jobsworth.engine import Want
from jobsworth.engines.memory import MemoryEngine
from jobsworth.errors import BadOption
from jobsworth.events import Event, Fault
from runs import SOON, words
from waiting import until


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
