"""When running jobs may be done, for all who look on: earlier runs are asked for now and then, not for each event."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

from jobsworth.engine import Engine
from jobsworth.handle import runs_of
from jobsworth.job import Job, State
from jobsworth.statistics import Eta, at_last_report, done_part, eta, merged

GOOD_FOR = 30.0  # seconds until a task's earlier runs are asked for again
MOST = 500  # tasks that something is known of; beyond that the oldest knowledge goes


class _Known(NamedTuple):
    history: tuple[int, ...]
    ahead: float  # seconds of the engine's clock before time.monotonic()
    at: float  # a moment of time.monotonic()


class Forecast:
    """What one process knows of its tasks. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _Known] = {}

    def lacks(self, job: Job) -> bool:
        """Whether its task's earlier runs would have to be asked for, to say more than its own progress does."""
        known = self._known.get((job.queue, job.task))
        return job.state is State.RUNNING and (known is None or time.monotonic() - known.at >= GOOD_FOR)

    async def learn(self, engine: Engine, job: Job) -> None:
        """Ask the engine for them, and what time it is there."""
        found = await runs_of(engine, job.queue, job.task)
        now = time.monotonic()
        known = _Known(merged(each.run for each in found.tallies), found.now - now, now)
        with self._lock:
            self._known.pop((job.queue, job.task), None)
            self._known[job.queue, job.task] = known
            while len(self._known) > MOST:
                del self._known[next(iter(self._known))]

    def told(self, job: Job) -> Eta | None:
        """When it may be done, going by what is known already; None if it does not run, or nobody can tell."""
        known = self._known.get((job.queue, job.task))
        if known is None or job.started_at is None or job.state is not State.RUNNING:
            return at_last_report(job)
        return eta(time.monotonic() + known.ahead - job.started_at, done_part(job.progress), known.history)

    async def of(self, engine: Engine, job: Job) -> Eta | None:
        """The same, asking the engine if need be."""
        if self.lacks(job):
            await self.learn(engine, job)
        return self.told(job)


def renews(job: Job) -> bool:
    """Whether it reports how far it is, so that a forecast which is pushed to somebody is soon followed by another.

    A job that reports nothing changes nothing: an onlooker would be left with the first forecast, however old.
    """
    return job.state is State.RUNNING and done_part(job.progress) is not None


def part(found: Eta | None) -> dict[str, Any] | None:
    """As JSON shows it, to a tenth of a second."""
    if found is None:
        return None
    return {
        "seconds": round(found.seconds, 1), "low": round(found.low, 1), "high": round(found.high, 1),
        "basis": found.basis, "runs": found.runs,
    }  # fmt: skip
