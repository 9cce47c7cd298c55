"""What a worker makes of an engine that goes away, or whose answers are lost on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import pytest

from jobsworth import Job, Jobsworth, Queue, QueueService, State
from jobsworth.bridge import drive
from jobsworth.engine import Heard, Pulse, QueueStatus, Turn, Want, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.memory.table import as_claim
from jobsworth.errors import EngineUnavailable
from jobsworth.events import AttemptEnded, EngineBack, EngineLost, Event, LeaseTaken
from jobsworth.job import Claim
from jobsworth.lifecycle import Settlement
from jobsworth.worker import chores, office
from jobsworth.worker.outage import Outage
from waiting import until

T = TypeVar("T", bound=Event)


class Wire(MemoryEngine):
    """An engine behind a wire that may be cut: before the question arrives, or before the answer does."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = False
        self.loses: Callable[[Sequence[Settlement], Turn], bool] = lambda settle, answer: False
        self.lost = 0
        self.only = ""  # the worker that is not cut off

    async def turn(self, worker: str, settle: Sequence[Settlement], want: Sequence[Want], *, lease: float) -> Turn:
        self._pass(worker)
        answer = await super().turn(worker, settle, want, lease=lease)
        if self.loses(settle, answer):
            self.lost += 1
            raise EngineUnavailable("the answer was lost")
        return answer

    async def pulse(self, card: WorkerCard, pulses: Sequence[Pulse], *, lease: float) -> Heard:
        self._pass(card.id)
        return await super().pulse(card, pulses, lease=lease)

    async def reclaim(self, limit: int, *, worker: str, lease: float) -> list[Claim]:
        self._pass(worker)
        return await super().reclaim(limit, worker=worker, lease=lease)

    async def sign_off(self, worker: str) -> None:
        self._pass(worker)
        await super().sign_off(worker)

    def _pass(self, worker: str) -> None:
        if self.cut and worker != self.only:
            raise EngineUnavailable("the wire is cut")


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def jobs(wire: Wire) -> Iterator[Jobsworth]:
    jobs = Jobsworth(engine=wire)
    yield jobs
    jobs.close()


@pytest.fixture
def heard() -> list[Event]:
    return []


def of(kind: type[T], heard: list[Event]) -> list[T]:
    return [event for event in heard if isinstance(event, kind)]


def once(wire: Wire, condition: Callable[[Sequence[Settlement], Turn], bool]) -> None:
    """Lose one answer, the first for which this is so."""
    wire.loses = lambda settle, answer: not wire.lost and condition(settle, answer)


# --- slow ----------------------------------------------------------------------------------------------------------


class Slow(MemoryEngine):
    """An engine that takes its time to say how the queues stand, or says that it cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.may_answer = threading.Event()
        self.fails = 0  # so many times more

    async def queues(self, names: Iterable[str] | None = None, *, brief: bool = False) -> list[QueueStatus]:
        self.asked += 1
        self.may_answer.wait(30)
        if self.fails:
            self.fails -= 1
            raise EngineUnavailable("the wire of the chores is cut")
        return await super().queues(names, brief=brief)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(chores, "EVERY", 0.05)
    monkeypatch.setattr(chores, "AGAIN", 0.01)
    monkeypatch.setattr(office, "POLL", 0.02)  # they are begun in its rounds
    slow = Slow()
    yield slow
    slow.may_answer.set()


def test_a_ready_job_does_not_wait_until_all_queues_have_been_looked_at(slow: Slow) -> None:
    jobs = Jobsworth(engine=slow)

    @jobs.task
    def quick() -> int:
        return 1

    with jobs.worker():
        until(lambda: slow.asked)
        assert quick.enqueue().result(5) == 1
        assert slow.asked == 1, "it was still being asked"
        slow.may_answer.set()
        until(lambda: slow.asked > 2, what="it is done again and again")
    jobs.close()


@pytest.mark.parametrize(("times", "told"), [(2, 0), (3, 1)])
def test_chores_broken_off_are_done_again_and_told_of_when_that_goes_on(
    slow: Slow, heard: list[Event], times: int, told: int
) -> None:
    """If the engine is away the office says so, once; the chores have nothing to add unless they alone fail."""
    jobs = Jobsworth(engine=slow)
    jobs.add(Queue("default"))
    slow.fails = times
    slow.may_answer.set()
    with jobs.worker(listener=heard.append):
        until(lambda: slow.asked > times + 2)
    assert len(of(EngineLost, heard)) == told
    jobs.close()


# --- away ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2])
def test_an_outage_is_told_once_and_its_end_once(jobs: Jobsworth, wire: Wire, heard: list[Event], slots: int) -> None:
    """Also of a worker that is full, and so has nothing to ask for between two pulses."""
    go = threading.Event()
    jobs.add(Queue("default", worker_count=slots))

    @jobs.task
    def held() -> None:
        go.wait(30)

    with jobs.worker(lease=8, listener=heard.append):
        handle = held.enqueue()
        until(lambda: handle.state is State.RUNNING)
        wire.cut = True
        until(lambda: of(EngineLost, heard))
        time.sleep(1)  # several tries
        assert of(EngineBack, heard) == []
        wire.cut = False
        until(lambda: of(EngineBack, heard))
        go.set()
        handle.wait(10)
    assert len(of(EngineLost, heard)) == len(of(EngineBack, heard)) == 1


def test_a_worker_that_ends_during_an_outage_tells_of_it_once(jobs: Jobsworth, wire: Wire, heard: list[Event]) -> None:
    @jobs.task
    def nothing() -> None:
        """Never enqueued."""

    with jobs.worker(lease=2, listener=heard.append):
        wire.cut = True
        until(lambda: of(EngineLost, heard))
    assert len(of(EngineLost, heard)) == 1


def test_what_ended_during_an_outage_longer_than_its_lease_is_written_down(
    jobs: Jobsworth, wire: Wire, heard: list[Event]
) -> None:
    """The worker must not rescue from itself what it has finished already."""
    go = threading.Event()
    runs: list[int] = []

    @jobs.task
    def held() -> str:
        runs.append(1)
        go.wait(30)
        return "done"

    with jobs.worker(lease=1, listener=heard.append):
        handle = held.enqueue()
        until(lambda: runs)
        wire.cut = True
        until(lambda: of(EngineLost, heard))
        go.set()
        time.sleep(1.5)  # the lease runs out
        wire.cut = False
        assert handle.result(10) == "done"
    job = handle.refresh().job
    assert (job.attempt, job.crashes, len(runs)) == (1, 0, 1)
    assert of(LeaseTaken, heard) == []


def test_who_is_back_first_does_not_take_the_jobs_of_those_who_come_a_little_later(jobs: Jobsworth, wire: Wire) -> None:
    """Nobody could renew a lease during an outage that was longer than the lease."""
    go, runs = threading.Event(), threading.Semaphore(0)
    early: list[Event] = []
    late: list[Event] = []

    @jobs.task
    def held() -> str:
        runs.release()
        go.wait(30)
        return "done"

    with (
        jobs.worker({"default": 1}, lease=1, listener=early.append) as first,
        jobs.worker({"default": 1}, lease=1, listener=late.append),
    ):
        handles = [held.enqueue() for _ in range(2)]
        assert all(runs.acquire(timeout=10) for _ in handles)
        wire.cut = True
        until(lambda: of(EngineLost, early) and of(EngineLost, late))
        time.sleep(1.5)  # the leases run out
        wire.only = first.id
        until(lambda: of(EngineBack, early))  # and what it would have rescued then is rescued
        wire.cut = False
        until(lambda: of(EngineBack, late))
        go.set()
        assert [handle.result(10) for handle in handles] == ["done", "done"]
    found = [handle.refresh().job for handle in handles]
    assert [(job.attempt, job.crashes) for job in found] == [(1, 0), (1, 0)]
    assert of(LeaseTaken, late) == []


def test_it_asks_again_within_two_seconds_however_long_the_outage_was() -> None:
    away = Outage()
    pauses = [away.failed(now) for now in range(1000)]
    assert max(pauses) <= 2.0
    assert 0 < min(pauses) <= pauses[0] <= 0.2


# --- answers that were lost ----------------------------------------------------------------------------------------


def test_an_ending_whose_answer_was_lost_is_known_to_be_written(
    jobs: Jobsworth, wire: Wire, heard: list[Event]
) -> None:
    @jobs.task
    def double(n: int) -> int:
        return n * 2

    once(wire, lambda settle, answer: bool(settle))
    with jobs.worker(lease=5, listener=heard.append):
        handle = double.enqueue(4)
        assert handle.result(10) == 8
        until(lambda: of(AttemptEnded, heard) or of(LeaseTaken, heard))
    assert wire.lost == 1
    assert [event.claim.lease.job_id for event in of(AttemptEnded, heard)] == [handle.id]
    assert of(LeaseTaken, heard) == []


def test_on_exhausted_is_called_although_the_answer_was_lost(jobs: Jobsworth, wire: Wire, heard: list[Event]) -> None:
    buried: list[str] = []

    class Mourning(QueueService):
        name = "mourning"

        def on_exhausted(self, job: Job, error: str) -> None:
            buried.append(job.id)

    jobs.add(Mourning())

    @jobs.task(queue="mourning", max_attempts=1)
    def fails() -> None:
        raise ValueError("broken")

    once(wire, lambda settle, answer: bool(settle))
    with jobs.worker(lease=5, listener=heard.append):
        handle = fails.enqueue()
        until(lambda: buried)
    assert (wire.lost, buried) == (1, [handle.id])


def test_a_lease_that_was_taken_meanwhile_is_told_all_the_same(jobs: Jobsworth, wire: Wire, heard: list[Event]) -> None:
    """The ending never arrived, and its job was rescued by another worker, which has finished it."""
    go = threading.Event()
    runs: list[int] = []

    @jobs.task
    def held() -> int:
        runs.append(len(runs) + 1)
        if len(runs) == 1:
            go.wait(30)
        return len(runs)

    with jobs.worker(lease=1, listener=heard.append):
        handle = held.enqueue()
        until(lambda: runs)
        wire.cut = True
        go.set()
        until(lambda: of(EngineLost, heard))
        second = jobs.worker(lease=1)
        wire.only = second.id
        with second:
            assert handle.result(10) == 2
        wire.cut = False
        until(lambda: of(LeaseTaken, heard))
    assert len(of(LeaseTaken, heard)) == 1
    assert of(AttemptEnded, heard) == []


def test_claims_whose_answer_was_lost_wait_for_their_lease_and_are_charged_a_crash(
    jobs: Jobsworth, wire: Wire, heard: list[Event]
) -> None:
    """The price of an answer lost between commit and worker: nothing is lost, nothing runs twice, one crash is noted.

    So it is with an engine that cannot be asked what a worker holds: nobody can tell these from a dead worker's.
    """
    runs: list[int] = []

    @jobs.task
    def quick() -> int:
        runs.append(1)
        return 1

    once(wire, lambda settle, answer: bool(answer.claims))
    with jobs.worker(lease=1, listener=heard.append) as worker:
        handle = quick.enqueue()
        assert handle.result(10) == 1
    job = handle.refresh().job
    assert (wire.lost, len(runs), job.attempt, job.crashes, job.errors) == (1, 1, 2, 1, 0)
    assert [(each.outcome, each.worker) for each in job.attempts] == [("lost", worker.id), ("succeeded", worker.id)]


class Recalling(Wire):
    """It can also be asked what a worker holds."""

    async def recall(self, worker: str, within: float) -> list[Claim]:
        self._pass(worker)
        with self._lock:
            held = [row for row in self._table.held() if row.job.worker == worker]
            return [as_claim(row) for row in held if (row.job.started_at or 0.0) >= self._clock() - within]


@pytest.mark.parametrize("late", [False, True])
def test_claims_whose_answer_was_lost_are_handed_back_at_no_cost(heard: list[Event], late: bool) -> None:
    """Also where the turn that was given up is carried out after the next one. What does run is left alone."""
    wire = Recalling()
    jobs = Jobsworth(engine=wire)
    go = threading.Event()
    runs: list[str] = []

    @jobs.task
    def held() -> None:
        runs.append("held")
        go.wait(30)

    @jobs.task
    def quick() -> int:
        runs.append("quick")
        return 1

    with jobs.worker({"default": 3}, lease=60, listener=heard.append) as worker:
        running = held.enqueue()
        until(lambda: runs)
        once(wire, lambda settle, answer: bool(answer.claims) or late)
        if late:
            until(lambda: wire.lost)
            until(lambda: of(EngineBack, heard))
            claims: list[Claim] = []
            while not claims:  # the worker itself may be quicker
                handle = quick.enqueue()
                stray = MemoryEngine.turn(wire, worker.id, [], [Want("default", 1, (quick.name,))], lease=60)
                claims = drive(stray).claims
            assert claims[0].lease.job_id == handle.id
        else:
            handle = quick.enqueue()
        assert handle.result(5) == 1
        assert running.state is State.RUNNING
        go.set()
        running.wait(5)
    jobs.close()
    job = handle.refresh().job
    assert (job.attempt, job.crashes, job.errors) == (1, 0, 0)
    assert "released" in [each.outcome for each in job.attempts]
    assert late or sorted(runs) == ["held", "quick"]
    assert of(LeaseTaken, heard) == []


def test_two_workers_of_one_name_do_not_hand_back_each_others_jobs(heard: list[Event]) -> None:
    """Each asks after an unanswered turn what it holds, and must not be told of what the other one runs."""
    wire = Recalling()
    jobs = Jobsworth(engine=wire)
    jobs.add(Queue("first", worker_count=1))
    go = threading.Event()
    runs: list[str] = []

    @jobs.task(queue="first")
    def held() -> None:
        runs.append("held")
        go.wait(30)

    @jobs.task
    def quick() -> int:
        return 1

    with jobs.worker("first", lease=60, listener=heard.append, name="twin") as one:
        running = held.enqueue()
        until(lambda: runs)
        with jobs.worker("default", lease=60, name="twin") as other:
            assert one.id != other.id
            assert one.id.startswith("twin.")
            assert {card.id for card in jobs.workers()} == {one.id, other.id}
            once(wire, lambda settle, answer: any(claim.queue == "default" for claim in answer.claims))
            assert quick.enqueue().result(10) == 1  # after it was handed back
        assert wire.lost == 1
        go.set()
        running.wait(5)
    jobs.close()
    assert [each.outcome for each in running.refresh().job.attempts] == ["succeeded"]
    assert (runs, of(LeaseTaken, heard)) == (["held"], [])


# --- how a worker is known to work ---------------------------------------------------------------------------------


def test_a_worker_is_healthy_while_it_makes_turns(jobs: Jobsworth) -> None:
    @jobs.task
    def nothing() -> None:
        """Never enqueued."""

    worker = jobs.worker()
    assert worker.last_turn_age == float("inf")
    assert not worker.healthy()
    with worker:
        assert worker.healthy(5)
        until(lambda: worker.last_turn_age < 1)
        first = time.monotonic() - worker.last_turn_age
        until(lambda: time.monotonic() - worker.last_turn_age > first + 0.5, what="another turn, with nothing to do")
        assert worker.healthy(5)
    assert not worker.healthy(60), "it has ended"


def test_a_worker_whose_engine_is_away_is_no_longer_healthy(jobs: Jobsworth, wire: Wire) -> None:
    @jobs.task
    def nothing() -> None:
        """Never enqueued."""

    with jobs.worker(lease=2) as worker:
        wire.cut = True
        until(lambda: not worker.healthy(1.5))
        assert worker.last_turn_age > 1.5
        wire.cut = False
        until(lambda: worker.healthy(1.5))


def test_a_worker_that_hangs_in_a_turn_is_no_longer_healthy(jobs: Jobsworth, wire: Wire) -> None:
    """It lives and holds its connection, and that is all."""
    go = threading.Event()

    @jobs.task
    def nothing() -> None:
        """Never enqueued."""

    def hang(settle: Sequence[Settlement], answer: Turn) -> bool:
        go.wait(30)
        return False

    with jobs.worker(lease=2) as worker:
        wire.loses = hang
        until(lambda: not worker.healthy(1))
        go.set()
        until(lambda: worker.healthy(1))
