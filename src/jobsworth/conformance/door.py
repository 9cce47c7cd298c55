"""How the contract's sentences speak with an engine: synchronously, one word per verb."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from itertools import count
from typing import Any, Protocol, TypeVar

import pytest
from msgspec.structs import replace

from jobsworth.clock import ManualClock
from jobsworth.engine import Engine, Heard, Place, Pulse, QueueSettings, QueueStatus, Turn, Want, Where, WorkerCard
from jobsworth.errors import QueueFull
from jobsworth.job import HELD, PENDING, Claim, Failure, Job, JobId, LogLine, NewJob, Progress, Receipt, State
from jobsworth.lifecycle import CANCEL, Move, Settlement, settle
from jobsworth.logged import Logged
from jobsworth.outcome import Failed, Outcome, Stopped, Succeeded
from jobsworth.retry import Retry

T = TypeVar("T")
QUEUE, TASK, WORKER, LEASE = "mail", "send", "w1", 30.0
RETRY = Retry(max_attempts=3, base=10.0, jitter=False, max_crashes=3)
BROKEN = Failure("ValueError", "no such address", "error", "Traceback: …")
_numbers = count(1)


class Run(Protocol):
    """Runs a coroutine to its end, always on the same event loop within one test."""

    def __call__(self, coro: Coroutine[Any, Any, T], /) -> T: ...


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that never suspends comes to, without any event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise AssertionError("a blocking engine must not suspend")


def new_job(**options: Any) -> NewJob:
    """A wish with everything that was not named filled in."""
    defaults: dict[str, Any] = {
        "id": f"job-{next(_numbers)}",
        "queue": QUEUE,
        "task": TASK,
        "args": b"[1]",
        "max_attempts": 3,
    }
    return NewJob(**(defaults | options))


class Door:
    """An engine and its clock, as the tests use them."""

    def __init__(self, engine: Engine, clock: ManualClock, run: Run) -> None:
        self.engine = engine
        self.clock = clock
        self.run = run

    # wishes

    def offer(self, *batches: list[NewJob]) -> list[list[Receipt] | QueueFull]:
        """Enqueue several callers' batches in one call."""
        return self.run(self.engine.enqueue(batches))

    def enqueue(self, *jobs: NewJob) -> list[Receipt]:
        """Enqueue one batch that must be accepted."""
        [answer] = self.offer(list(jobs))
        assert not isinstance(answer, QueueFull), answer
        return answer

    def add(self, **options: Any) -> JobId:
        """Store one job; its id."""
        [receipt] = self.enqueue(new_job(**options))
        assert receipt.created
        return receipt.id

    # runs

    def turn(self, settlements: list[Settlement], *wants: Want, worker: str = WORKER, lease: float = LEASE) -> Turn:
        """One turn, both halves."""
        return self.run(self.engine.turn(worker, settlements, wants, lease=lease))

    def claim(
        self,
        limit: int = 1,
        *,
        queue: str = QUEUE,
        tasks: tuple[str, ...] = (TASK,),
        crashed: bool = True,
        worker: str = WORKER,
        lease: float = LEASE,
    ) -> list[Claim]:
        """A turn that only claims, from one queue."""
        return self.turn([], Want(queue, limit, tasks, crashed), worker=worker, lease=lease).claims

    def take(self, *, worker: str = WORKER, lease: float = LEASE, **options: Any) -> Claim:
        """Store one job and claim it."""
        return self.again(self.add(**options), worker=worker, lease=lease)

    def again(self, job_id: JobId, *, worker: str = WORKER, lease: float = LEASE) -> Claim:
        """Claim this job, which must be next in its line."""
        job = self.job(job_id)
        [claim] = self.claim(queue=job.queue, tasks=(job.task,), worker=worker, lease=lease)
        assert claim.lease.job_id == job_id
        return claim

    def end(self, claim: Claim, outcome: Outcome, retry: Retry = RETRY) -> bool:
        """Settle one run. False if the lease was refused."""
        turn = self.turn([settle(claim, outcome, retry)])
        assert turn.refused in ([], [claim.lease.job_id])
        return not turn.refused

    def pulse(
        self,
        *claims: Claim,
        progress: Progress | None = None,
        lines: tuple[LogLine, ...] = (),
        lease: float = LEASE,
        card: WorkerCard | None = None,
    ) -> Heard:
        """A worker's sign of life for these runs."""
        signs = [Pulse(claim.lease, progress, lines) for claim in claims]
        return self.run(self.engine.pulse(card or WorkerCard(id=WORKER), signs, lease=lease))

    def hear(self, *claims: Claim) -> Heard:
        """The ear alone."""
        return self.run(self.engine.hear([claim.lease for claim in claims]))

    def reclaim(self, limit: int = 10, *, worker: str = "rescuer", lease: float = LEASE) -> list[Claim]:
        """Take over what ran out."""
        return self.run(self.engine.reclaim(limit, worker=worker, lease=lease))

    # the operator

    def move(self, move: Move, *job_ids: JobId, **changes: Any) -> list[JobId]:
        """Move these jobs; `changes` are to the move itself."""
        return self.run(self.engine.move(Where(ids=job_ids), replace(move, **changes)))

    def cancel(self, *job_ids: JobId, **changes: Any) -> list[JobId]:
        """Ask these jobs to stop."""
        return self.move(CANCEL, *job_ids, **changes)

    def delete(self, **where: Any) -> int:
        """Delete what matches."""
        return self.run(self.engine.delete(Where(**where)))

    def pause(self, queue: str = QUEUE, paused: bool | None = True) -> None:
        """Pause a queue, or with False resume it."""
        self.run(self.engine.configure(queue, QueueSettings(paused=paused)))

    # moving house

    def scan(self, after: int = 0, limit: int = 100) -> tuple[list[Job], int]:
        """The next jobs in order of creation, and where to go on."""
        return self.run(self.engine.scan(after, limit))

    def adopt(self, *jobs: Job) -> list[JobId]:
        """Store jobs as they are."""
        return self.run(self.engine.adopt(jobs))

    def readopt(self, *job_ids: JobId) -> None:
        """Let jobs that nobody holds go, and store them again as they were."""
        jobs = self.find(ids=job_ids, newest_first=False)
        assert self.delete(ids=job_ids) == len(jobs)
        assert self.adopt(*jobs) == [job.id for job in jobs]

    # the onlooker

    def job(self, job_id: JobId) -> Job:
        """One job that must be there."""
        [job] = self.find(ids=(job_id,))
        return job

    def find(self, **where: Any) -> list[Job]:
        """What matches."""
        return self.run(self.engine.find(Where(**where)))

    def found(self, **where: Any) -> list[JobId]:
        """Ids of what matches, in the order given."""
        return [job.id for job in self.find(**where)]

    def logs(self, job_id: JobId, after: int = 0, limit: int | None = None) -> list[Logged]:
        """What a job has logged."""
        return self.run(self.engine.logs(job_id, after, limit))

    def count(self, **where: Any) -> int:
        """How many match."""
        return self.run(self.engine.count(Where(**where)))

    def place(self, job_id: JobId) -> Place | None:
        """Where one job stands."""
        return self.run(self.engine.place(job_id))

    def ahead(self, job_id: JobId) -> int | None:
        """How many stand before a job that must be there."""
        place = self.place(job_id)
        assert place is not None
        return place.ahead

    def queue(self, name: str = QUEUE) -> QueueStatus:
        """One queue in numbers."""
        [status] = self.run(self.engine.queues([name]))
        return status

    def workers(self) -> list[WorkerCard]:
        """The live workers."""
        return self.run(self.engine.workers())

    # scenes

    def bring(self, state: State, **options: Any) -> JobId:
        """A job in this state. Nothing else of its queue may wait in line before it."""
        if state in PENDING:
            return self.add(delay=60.0 if state is State.SCHEDULED else 0.0, **options)
        if state is State.CANCELLED:
            return self.cancel(self.add(**options))[0]
        claim = self.take(**options)
        if state is State.CANCELLING:
            self.cancel(claim.lease.job_id)
        elif state is State.COMPLETED:
            assert self.end(claim, Succeeded(b'"ok"'))
        elif state is State.FAILED:
            assert self.end(claim, Failed(BROKEN, final=True))
        assert self.job(claim.lease.job_id).state is state
        return claim.lease.job_id

    def bring_all(self, **options: Any) -> dict[State, JobId]:
        """One job in each state."""
        return {state: self.bring(state, **options) for state in reversed(State)}

    def free(self, job_id: JobId) -> None:
        """End a live job."""
        self.cancel(job_id)
        job = self.job(job_id)
        if job.state in HELD:
            self.clock.advance(10 * LEASE)
            for claim in self.reclaim():
                self.end(claim, Stopped())
        assert self.job(job_id).state is State.CANCELLED


class Hall:
    """The fixtures all sentences share. A subclass of the contract provides `engine`."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The engine's clock, which only the test moves."""
        return ManualClock()

    @pytest.fixture
    def run(self) -> Iterator[Run]:
        """Runs coroutines, all of one test's on one event loop."""
        with asyncio.Runner() as runner:
            yield runner.run

    @pytest.fixture
    def engine(self, clock: ManualClock, run: Run) -> Engine:
        """An opened, empty engine that reads `clock`."""
        raise NotImplementedError("a class that keeps EngineContract provides an `engine` fixture")

    @pytest.fixture
    def door(self, engine: Engine, clock: ManualClock, run: Run) -> Door:
        """The engine, ready to be spoken with."""
        return Door(engine, clock, run)
