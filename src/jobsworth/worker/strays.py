"""Strays: jobs that a turn has claimed for this worker and of which the worker never heard.

Between a commit and its answer the connection may be cut. Then the store says that we run jobs that nobody runs, until
their leases have run out. An engine on the other side of a network can be asked what we hold; what we do not know of is
handed back, at no cost to the job.
"""

from __future__ import annotations

from jobsworth.engine import Engine, Recalls
from jobsworth.job import WorkerId
from jobsworth.lifecycle import settle
from jobsworth.outcome import Released
from jobsworth.retry import Retry

from .endings import Ending
from .run import Key

LATE = 15.0  # seconds for which a statement that was given up may still be carried out
EVERY = 1.0  # seconds between looks meanwhile
MARGIN = 5.0  # seconds by which a claim may look older than the turn that made it


class Strays:
    """Finds them after a turn without an answer. Moments are the office's loop's. Only for the office's thread."""

    def __init__(self, engine: Engine, worker: WorkerId) -> None:
        self._engine = engine
        self._worker = worker
        self._since: float | None = None  # when the first unanswered turn was sent
        self._until = self._next = 0.0
        self.known: set[Key] = set()  # every lease that came with an answer and whose ending has not been answered

    def unanswered(self, sent: float, now: float) -> None:
        """A turn that was sent then has brought no answer."""
        self._since = sent if self._since is None else self._since
        self._until, self._next = now + LATE, now

    async def find(self, now: float) -> list[Ending]:
        """The endings that hand back what there is now."""
        if self._since is None or now < self._next or not isinstance(self._engine, Recalls):
            return []
        claims = await self._engine.recall(self._worker, now - self._since + MARGIN)
        self._next = now + EVERY
        if now >= self._until:
            self._since = None
        found = [Ending(claim, settle(claim, Released(), Retry()), None) for claim in claims]
        strays = [ending for ending in found if ending.key not in self.known]
        self.known.update([ending.key for ending in strays])
        return strays
