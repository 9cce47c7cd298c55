"""Upkeep, which is part of the office's rounds: rescue what was lost, judge what is doubtful, tell who was given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jobsworth.engine import Engine, Where
from jobsworth.events import Listener
from jobsworth.job import Claim, Job
from jobsworth.lifecycle import settle
from jobsworth.outcome import Lost
from jobsworth.queue import Queue
from jobsworth.retry import Retry

from .endings import Ending
from .letters import with_letter

if TYPE_CHECKING:
    from jobsworth.task import Task

    from .shop import Shop

RESCUE_EVERY = 2.0  # seconds; with the lease it bounds how long a lost job waits
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
        self.next = 0.0

    async def rescue(self, now: float) -> None:
        """Take over expired leases and settle them as lost, like any other ending."""
        self.next = now + min(RESCUE_EVERY, self._lease / 4)
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
