"""Upkeep, done by every worker's office now and then: rescue what was lost, remove what was kept long enough."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobsworth.engine import Engine, QueueStatus, Where
from jobsworth.events import Listener, Unroutable
from jobsworth.job import Claim, Job, State
from jobsworth.lifecycle import settle
from jobsworth.outcome import Lost
from jobsworth.queue import Keep, Queue
from jobsworth.retry import Retry

from .endings import Ending
from .letters import with_letter

if TYPE_CHECKING:
    from jobsworth.task import Task

    from .shop import Shop

RESCUE_EVERY = 2.0  # seconds; with the lease it bounds how long a lost job waits
# Seconds, jittered, so that workers started together do not all prune together; never more than a minute, so that each
# minute's statistics have a look at the queues.
PRUNE_EVERY = 50.0
BATCH = 500  # jobs deleted per transaction: nobody's claim waits long for it
REPORT_EVERY = 300.0  # seconds between reports of the same unroutable task
Settled = Callable[[list[Ending], list[str]], None]


class Upkeep:
    """Runs on the office's loop. `next` is when (on that loop's clock) there is something to do again.

    `queues` and `tasks` are all of the app's: a lost job may be of a queue that this worker does not serve.
    """

    def __init__(
        self,
        engine: Engine,
        worker: str,
        queues: Mapping[str, Queue],
        tasks: Mapping[str, Task[..., Any]],
        lease: float,
        tell: Listener,
        settled: Settled,
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._queues = queues
        self._tasks = tasks
        self._lease = lease
        self._tell = tell
        self._settled = settled
        self._next_prune = 0.0
        self._reported: dict[tuple[str, str], float] = {}
        self.next = 0.0

    async def round(self, now: float, *, accepting: bool) -> None:
        """Whatever is due now."""
        self.next = now + min(RESCUE_EVERY, self._lease / 4)
        await self.rescue()
        if self._next_prune == 0.0:
            self._next_prune = now + PRUNE_EVERY * random.random()  # noqa: S311
        elif now >= self._next_prune and accepting:
            self._next_prune = now + PRUNE_EVERY * random.uniform(0.8, 1.2)  # noqa: S311
            seen = await self._engine.queues(list(self._queues))
            await self._engine.upkeep(seen)
            await self.prune()
            self._report(seen, now)

    async def rescue(self) -> None:
        """Take over expired leases and settle them as lost, like any other ending."""
        while claims := await self._engine.reclaim(100, worker=self._worker, lease=self._lease):
            endings = [self._lost(claim) for claim in claims]
            answer = await self._engine.turn(
                self._worker, [ending.settlement for ending in endings], [], lease=self._lease
            )
            self._settled(endings, answer.refused)

    def _lost(self, claim: Claim) -> Ending:
        task = self._tasks.get(claim.task)
        outcome = Lost(f"worker {claim.worker} stopped sending heartbeats")
        settlement = settle(claim, outcome, task.retry if task else Retry())
        return Ending(claim, with_letter(claim, settlement, self._tasks, self._tell), None)

    async def not_written(self, endings: list[Ending]) -> list[str]:
        """Which of these refused endings an earlier, unanswered turn of ours did not write down either; their jobs."""
        ids = tuple(ending.claim.lease.job_id for ending in endings)
        jobs = {job.id: job for job in await self._engine.find(Where(ids=ids, limit=None))}
        return [id_ for id_, ending in zip(ids, endings, strict=True) if not self._shows(jobs.get(id_), ending)]

    def _shows(self, job: Job | None, ending: Ending) -> bool:
        """True if the job's history has this very ending."""
        mine = (ending.claim.attempt, self._worker, ending.settlement.outcome)
        return job is not None and any((each.number, each.worker, each.outcome) == mine for each in job.attempts)

    async def exhausted(self, claims: list[Claim], hand_over: Callable[[Callable[[Shop], None]], None]) -> None:
        """Have the queues' on_exhausted called for these given-up jobs."""
        wanted = [claim for claim in claims if type(self._queues[claim.queue]).on_exhausted is not Queue.on_exhausted
                  or "on_exhausted" in vars(self._queues[claim.queue])]  # fmt: skip
        if not wanted:
            return
        for job in await self._engine.find(Where(ids=tuple(claim.lease.job_id for claim in wanted), limit=None)):
            queue = self._queues[job.queue]
            hand_over(lambda shop, queue=queue, job=job: shop.exhausted(queue, job))  # type: ignore[misc]

    async def prune(self) -> None:
        """Remove finished jobs that their queue no longer keeps."""
        for queue in self._queues.values():
            await self._prune(queue.name, queue.keep, (State.COMPLETED, State.CANCELLED))
            await self._prune(queue.name, queue.keep_failed, (State.FAILED,))

    async def _prune(self, queue: str, keep: Keep | float | None, states: tuple[State, ...]) -> None:
        if not isinstance(keep, Keep):  # None keeps for ever; numbers became a Keep when the queue was checked
            return
        wheres = []
        if keep.age is not None:
            wheres.append(Where(queue=queue, states=states, finished_for=keep.age, limit=BATCH, newest_first=False))
        if keep.count is not None:
            wheres.append(Where(queue=queue, states=states, beyond=keep.count, limit=BATCH, newest_first=False))
        for where in wheres:
            while await self._engine.delete(where) == BATCH:
                continue

    def _report(self, seen: Sequence[QueueStatus], now: float) -> None:
        for status in seen:
            for task, jobs in status.unroutable.items():
                if now - self._reported.get((status.queue, task), -REPORT_EVERY) >= REPORT_EVERY:
                    self._reported[status.queue, task] = now
                    self._tell(Unroutable(status.queue, task, jobs))
