"""Running jobs by hand: a worker, the real one, for as long as there is something to do, and then none.

Each round has a new worker, whose first look does everything that a worker does now and then (rescue what was lost,
promote what is due). So nothing waits for real time to pass, and the clock of the engine is the only one to be moved.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any

from jobsworth.app import Jobsworth
from jobsworth.bridge import Bridge
from jobsworth.context import CurrentJob, running_job
from jobsworth.engine import Engine, Want, Where
from jobsworth.errors import BadOption
from jobsworth.events import AttemptEnded, Event, Fault
from jobsworth.handle import JobHandle, find_one
from jobsworth.job import HELD, LIVE, Job, JobId, NewJob, Receipt, State
from jobsworth.lifecycle import settle
from jobsworth.log import read_aloud
from jobsworth.outcome import Lost, Released
from jobsworth.retry import Retry

from .clock import HandClock
from .kit import PATIENCE, Kit

_log = logging.getLogger("jobsworth.testing")
LEASE = 30.0
GRACE = 5.0  # seconds for what hangs, once that was told
NO_CHILD = "jobsworth.testing.nochild"
DEAD, OTHER = "testing.dead", "testing.other"  # workers that never ran


class DrainKit(Kit):
    """`jobs_drain`: nothing runs until the test says so, then everything that is due does, by a real worker.

    ran: how many attempts have ended so far.
    """

    advice = "jobs run when the test says drain(), those that are delayed once the clock was moved"

    def __init__(self, app: Jobsworth, engine: Engine, clock: HandClock) -> None:
        super().__init__(app, engine, clock)
        self.ran = 0
        self._faults: list[Fault] = []
        self._abandoned: dict[JobId, float] = {}  # until when, by the engine's clock, a dead worker's lease lasts
        self._working = threading.Lock()

    def drain(self, within: float = PATIENCE) -> int:
        """Run jobs until nothing is due; how many attempts ended. What is delayed further than now waits.

        within: seconds of real time. Raises AssertionError if it takes longer, naming what is still there, and if
        something in the worker, or a hook such as on_exhausted, raised what it should not have.
        """
        __tracebackhide__ = True
        if in_a_worker():
            raise BadOption("a handler cannot drain the queues that it was taken from")
        before = self.ran
        with self._working:
            while self.app.queues:
                if not self.bridge.call(self._due):
                    break
                self._work(within)
        return self.ran - before

    async def adrain(self, within: float = PATIENCE) -> int:
        """The async twin of drain: the test's loop goes on meanwhile. Handlers run in the worker's own loop."""
        return await asyncio.to_thread(self.drain, within)

    def lose(self, job: JobHandle[Any] | JobId) -> None:
        """As if a worker had taken this job and died with it: its lease runs out 30 seconds later.

        Raises BadOption (E105) unless it is queued, and no worker is told to leave it alone.
        """
        job_id = job.id if isinstance(job, JobHandle) else job
        self.bridge.call(lambda engine: self._lose(engine, job_id))
        self._abandoned[job_id] = self.clock.now + LEASE

    async def _lose(self, engine: Engine, job_id: JobId) -> None:
        wanted = await find_one(engine, job_id)
        want = Want(wanted.queue, await engine.count(Where(queue=wanted.queue)), (wanted.task,))
        claims = (await engine.turn(DEAD, [], [want], lease=LEASE)).claims
        others = [claim for claim in claims if claim.lease.job_id != job_id]
        if others:  # they stood before it in line
            back = [settle(claim, Released(), Retry()) for claim in others]
            await engine.turn(DEAD, back, [], lease=LEASE)
        if len(others) == len(claims):
            raise BadOption(f"job {job_id} is {wanted.state.value}, so no worker can take it now")

    def take_over(self) -> int:
        """As if this worker had been suspended for longer than its leases, and another had found its running jobs lost.

        For use while a job runs (in what its handler calls). Those runs are told LeaseLost, and whatever they still
        write is refused; the jobs run again. How many there were.
        """
        self.clock.leap(LEASE + 1)
        return self.bridge.call(self._take_over)

    async def _take_over(self, engine: Engine) -> int:
        claims = await engine.reclaim(1_000, worker=OTHER, lease=LEASE)
        endings = [
            settle(claim, Lost(f"worker {claim.worker} was suspended"), self.app.tasks[claim.task].retry)
            for claim in claims
            if claim.task in self.app.tasks
        ]
        await engine.turn(OTHER, endings, [], lease=LEASE)
        return len(endings)

    def cancel(self, job: JobHandle[Any], reason: str | None = None) -> bool:
        """Ask a job to stop, in what its handler calls: when this returns the handler has been told.

        In a coroutine the handler is told at its next await.
        """
        accepted = job.cancel(reason)
        here = running_job()
        if accepted and here is not None and here.id == job.id and not _in_a_loop():
            self.bridge.wait(lambda _: _told(here), PATIENCE)
        return accepted

    def observe(self, job: JobHandle[Any]) -> Job:
        """A job as others see it, once all progress has travelled that its handler has reported.

        For use in what its handler calls, in a thread; elsewhere it is what the store says.
        """
        here = running_job()
        note = here.note if here is not None and here.id == job.id else None

        async def look(engine: Engine) -> Job | None:
            found = await find_one(engine, job.id)
            return found if note is None or found.progress == note else None

        seen = self.bridge.wait(look, PATIENCE)
        if seen is None:
            raise AssertionError(f"the progress of job {job.id} has not travelled within {PATIENCE:g} s")
        return seen

    # A round.
    def _work(self, within: float) -> None:
        __tracebackhide__ = True
        from jobsworth.worker import Worker

        with Worker(self.app, lease=LEASE, grace=GRACE, spec=NO_CHILD, listener=self._hear):
            idle = self.bridge.wait(self._idle, within)
        if idle is None:
            busy = ", ".join(f"{job.task} {job.id} ({job.state.value})" for job in self.bridge.call(self._due))
            raise AssertionError(f"jobs are still due after {within:g} s: {busy or 'the last ended just now'}")
        if self._faults:
            fault, self._faults = self._faults[0], []
            raise AssertionError(f"{fault.where}: {fault.error}\n{fault.traceback}")

    async def _idle(self, engine: Engine) -> bool | None:
        return None if await self._due(engine) else True

    async def _due(self, engine: Engine) -> list[Job]:
        """What a worker of the app would run now, or runs."""
        return [
            job for job in await self._candidates(engine) if job.state in HELD or (job.run_at or 0.0) <= self.clock()
        ]

    async def _candidates(self, engine: Engine) -> list[Job]:
        live = await engine.find(Where(states=tuple(LIVE), limit=None))
        if not live:
            return []
        paused = {status.queue for status in await engine.queues(brief=True) if status.paused}
        return [job for job in live if self._is_held(job) or (job.state not in HELD and self._runs(job, paused))]

    def _is_held(self, job: Job) -> bool:
        return job.state in HELD and self._abandoned.get(job.id, self.clock.now) <= self.clock.now

    def _runs(self, job: Job, paused: set[str]) -> bool:
        task = self.app.tasks.get(job.task)
        return task is not None and task.queue.name == job.queue and job.queue not in paused

    def _hear(self, event: Event) -> None:
        if isinstance(event, AttemptEnded):
            self.ran += 1
        elif isinstance(event, Fault):
            self._faults.append(event)
        read_traceback_aloud(event)


class InlineKit(DrainKit):
    """`jobs_inline`: whatever is enqueued has run, by a real worker, when `enqueue` returns.

    What a handler enqueues runs after or beside it, before the outermost `enqueue` returns. When the clock is moved,
    what comes due on the way runs at its own moment. A handler's exception does what it always does: it is not raised
    where the job was enqueued. What another program or an open transaction stores runs at the next such occasion.
    """

    advice = "what is delayed runs once the clock was moved"

    def _bridge(self) -> Bridge:
        return _Inline(self)

    def enqueued_something(self) -> None:
        """Called after each store."""
        if not in_a_worker():  # else the round goes on in which that happens
            self.drain()

    # As a rider of the clock.
    def next_stop(self) -> float | None:
        return self.bridge.call(self._next_stop)

    async def _next_stop(self, engine: Engine) -> float | None:
        waiting = [job.run_at or 0.0 for job in await self._candidates(engine) if job.state is State.SCHEDULED]
        ends = [until for until in self._abandoned.values() if until > self.clock.now]
        return min([moment for moment in waiting + ends if moment > self.clock.now], default=None)

    def arrived(self) -> None:
        if not in_a_worker():
            self.drain()


class _Inline(Bridge):
    """Tells its kit after whatever was stored."""

    def __init__(self, kit: InlineKit) -> None:
        super().__init__(kit.engine)
        self._kit = kit

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        receipts = super().enqueue(jobs)
        self._kit.enqueued_something()
        return receipts

    async def aenqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        receipts = await super().aenqueue(jobs)
        if not in_a_worker():
            await asyncio.to_thread(self._kit.enqueued_something)
        return receipts


def read_traceback_aloud(event: Event) -> None:
    """A worker's listener: pytest shows the log, and with it what handlers raised, if the test fails."""
    read_aloud(event)
    if isinstance(event, AttemptEnded) and event.settlement.failure and event.settlement.failure.traceback:
        _log.warning("%s", event.settlement.failure.traceback)


async def _told(job: CurrentJob) -> bool | None:
    return True if job.cancel_requested else None


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def in_a_worker() -> bool:
    """Whether a handler, or a hook of a worker, is what calls: this library names its threads."""
    return running_job() is not None or threading.current_thread().name.startswith("jobsworth-")
