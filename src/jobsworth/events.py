"""What happens in a worker, or is done over HTTP, that somebody may want to know. log.py reads them aloud."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .job import Claim, State
from .lifecycle import Settlement


class WorkerStarting(msgspec.Struct, frozen=True):
    """It is about to connect, and has no job yet: what its jobs need in this process may be set up now."""

    worker: str


class WorkerStarted(msgspec.Struct, frozen=True):
    worker: str
    queues: dict[str, int]


class WorkerStopping(msgspec.Struct, frozen=True):
    """No more jobs are taken. `running` are still at work; they have `grace` seconds."""

    worker: str
    running: int
    grace: float


class WorkerStopped(msgspec.Struct, frozen=True):
    worker: str


class AttemptEnded(msgspec.Struct, frozen=True, gc=False):
    """An ending was written down. For every attempt: listeners must be quick."""

    claim: Claim
    settlement: Settlement

    @property
    def gave_up(self) -> bool:
        return self.settlement.target is State.FAILED


class LeaseTaken(msgspec.Struct, frozen=True):
    """This attempt's lease is another's: whatever it still writes is refused."""

    claim: Claim
    ended: bool  # True if it was found out only when its ending was refused


class Stuck(msgspec.Struct, frozen=True):
    """A run was asked to stop and did not, `after` seconds ago."""

    claim: Claim
    after: float
    isolation: str


class EngineLost(msgspec.Struct, frozen=True):
    """The engine does not answer; running jobs go on, endings are kept. Told once per outage."""

    error: str


class EngineBack(msgspec.Struct, frozen=True):
    after: float  # seconds


class Unroutable(msgspec.Struct, frozen=True):
    """Queued jobs of a task that no live worker of the queue knows. They wait; nothing is lost."""

    queue: str
    task: str
    jobs: int


class Afterthought(msgspec.Struct, frozen=True):
    """A handler ended otherwise than the transaction said in which it had completed its job. It changes nothing."""

    claim: Claim
    what: str


class VisitorActed(msgspec.Struct, frozen=True):
    """Somebody changed something over HTTP: `verb` to `what` (an id, a queue, a selector), which hit so many jobs."""

    who: str
    verb: str
    what: str
    jobs: int


class Fault(msgspec.Struct, frozen=True):
    """Something in the worker or the site itself, or in a hook, raised what it should not have."""

    where: str
    error: str
    traceback: str


Event = (
    WorkerStarting | WorkerStarted | WorkerStopping | WorkerStopped | AttemptEnded | LeaseTaken | Stuck | EngineLost
    | EngineBack | Unroutable | Afterthought | VisitorActed | Fault
)  # fmt: skip
Listener = Callable[[Event], None]
