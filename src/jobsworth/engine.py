"""The door: what a place where jobs live must be able to do, and the small types that pass through it.

Rules every engine keeps:
- Batches in, batches out; each verb is one transaction. There is no single-job twin.
- No `now`: engines own time. Callers give delays in seconds, engines turn them into moments.
- Every write of a run is fenced by its lease: a stale lease changes nothing and is reported, not raised.
- Drivers' exceptions never cross the door: EngineUnavailable (try again) or another EngineError.

The promises behind the signatures are the sentences of jobsworth.conformance.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from .errors import QueueFull
from .job import (
    Attempt,
    CancelRequest,
    Claim,
    Job,
    JobId,
    Lease,
    LogLine,
    NewJob,
    Progress,
    Receipt,
    State,
    WorkerId,
)
from .lifecycle import Move, Settlement
from .logged import Logged
from .statistics import Statistics

SILENT_AFTER = 30.0  # seconds without a heartbeat after which a worker is not counted on
CARD_LEASES = 3  # a worker's card outlives its last pulse by this many leases
HISTORY = 50  # attempts kept per job, the newest, beside the one that is read off the job itself
RATE_WINDOW = 60.0  # seconds over which in_rate and out_rate are counted
T = TypeVar("T")
# Statements and their parameters, one after another; each is sent the rows it brought. Knows no connection: whoever
# holds one, of whichever colour, runs them.
Script = Generator[tuple[str, Sequence[Any]], list[Any], T]
BEGIN = "BEGIN IMMEDIATE"  # in a script: a transaction must have begun here; where one has, there is nothing to do


class Want(msgspec.Struct, frozen=True, gc=False):
    """How many jobs of one queue a worker has room for, and which tasks it knows.

    A task it does not know stays queued: nothing is dropped because one worker is older than another.
    `crashed`: jobs that have already taken a process down may be given too, one per turn over all its wants. A worker
    that runs one asks for none.
    """

    queue: str
    limit: int
    tasks: tuple[str, ...]
    crashed: bool = True


class Turn(msgspec.Struct, frozen=True):
    """The answer to one turn.

    claims:   the next jobs, in order of (priority, age).
    refused:  ids whose settlement came too late: another attempt holds their lease, or they are gone.
    next_due: seconds until the next scheduled job of any queue is due; None if none is scheduled.
    """

    claims: list[Claim]
    refused: list[JobId] = []
    next_due: float | None = None


class Pulse(msgspec.Struct, frozen=True, gc=False):
    """One running job's sign of life, with its newest progress if that has changed, and with what it has logged.

    lines: numbered one after another, without a gap among them. Those that were kept before, which is known by their
    numbers, are not kept twice: a pulse without an answer may be sent again, and more may be sent with it.
    """

    lease: Lease
    progress: Progress | None = None
    lines: tuple[LogLine, ...] = ()


class Heard(msgspec.Struct, frozen=True):
    """What a worker learns from its pulse: who asked to stop what, and which leases are gone."""

    cancelled: list[CancelRequest] = []
    lost: list[JobId] = []


class WorkerCard(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process as others see it. `beat` is seconds since its last pulse, filled in by the engine."""

    id: WorkerId
    host: str = ""
    pid: int = 0
    version: str = ""
    queues: dict[str, int] = {}  # name -> slots
    tasks: tuple[str, ...] = ()
    running: int = 0
    rss: int | None = None  # bytes
    started_at: float | None = None
    beat: float = 0.0
    stopping: bool = False


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs. A selector, not a query language: every field given must match.

    text matches id prefixes and parts of task, label or failure message. Ages are seconds before the engine's now:
    finished_for=60 are those that ended at least a minute ago. `beyond` skips the newest so many of what matches.
    """

    ids: tuple[JobId, ...] | None = None
    queue: str | None = None
    task: str | None = None
    states: tuple[State, ...] | None = None
    key: str | None = None
    tag: str | None = None
    owner: str | None = None
    text: str | None = None
    reason: str | None = None
    created_within: float | None = None
    finished_for: float | None = None
    finished_within: float | None = None
    newest_first: bool = True
    beyond: int = 0
    limit: int | None = 100


class QueueSettings(msgspec.Struct, frozen=True):
    """What the store decides for all workers of a queue. None leaves a setting as it is."""

    paused: bool | None = None


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One queue in numbers, derived from the jobs themselves, never counted apart.

    oldest: seconds the longest-waiting queued job has been ready. unroutable: queued jobs by task, where no live
    worker knows the task. in_rate, out_rate: jobs per minute over the last minute.
    """

    queue: str
    paused: bool = False
    counts: dict[State, int] = {}
    oldest: float | None = None
    slots: int = 0
    workers: int = 0
    in_rate: int = 0
    out_rate: int = 0
    unroutable: dict[str, int] = {}


class Place(msgspec.Struct, frozen=True):
    """Where a job stands.

    ahead: how many jobs of its queue are given out before it; None unless it is queued. Those that have taken a process
           down stand in a line of their own (see Want.crashed): before one of them only such are counted, and before
           any other job none of them.
    now:   the engine's moment of looking, which makes ages of the job's own moments.
    """

    ahead: int | None
    now: float


class SchemaVersion(msgspec.Struct, frozen=True):
    """How far a store's layout has come. found: its version, None where nothing of ours is; latest: this release's."""

    found: int | None
    latest: int


class Engine(Protocol):
    """A dumb, atomic table of jobs. Knows order, leases and time; not what may follow what.

    `blocking` tells the bridge the engine's colour: a blocking engine's coroutines never suspend, so a sync caller
    may run them in place and an async caller must run them in a thread. `kind` is what people call it ("sqlite"),
    `where` the file or the URL its jobs live at; neither ever holds a password.
    """

    blocking: bool

    @property
    def kind(self) -> str: ...

    @property
    def where(self) -> str: ...

    async def open(self) -> None:
        """Connect and bring the schema up to date. Idempotent."""
        ...

    async def close(self) -> None:
        """Let go of everything. Idempotent; the engine may be opened again."""
        ...

    async def schema_version(self) -> SchemaVersion:
        """Look at the layout without changing or making anything; the engine need not be open.

        Raises SchemaMismatch (E110) for a newer one.
        """
        ...

    async def migration_sql(self) -> str:
        """What open() would do to the layout that is there, for a person to run: SQL, "" if there is nothing to do.

        The engine need not be open. Raises BadOption where a layout is not made by SQL.
        """
        ...

    # the life of a job
    async def enqueue(self, wishes: Sequence[Sequence[NewJob]]) -> list[list[Receipt] | QueueFull]:
        """Store many callers' batches in one durable commit; each batch whole or, if its queue is full, not at all.

        A known id, or a key that a live job of the same task holds, creates nothing: its receipt names the job that
        is there. When this returns, every receipt is as durable as the engine can make it.
        """
        ...

    async def turn(self, worker: WorkerId, settle: Sequence[Settlement], want: Sequence[Want], *, lease: float) -> Turn:
        """Write down every ending since the last turn and bring the next jobs, leased for `lease` seconds."""
        ...

    async def pulse(self, card: WorkerCard, pulses: Sequence[Pulse], *, lease: float) -> Heard:
        """Renew the leases named, store their progress and lines, keep the worker's card, and bring back what it must
        know. Lines change nothing else that can be seen of a job.
        """
        ...

    async def hear(self, leases: Sequence[Lease]) -> Heard:
        """The ear alone: what a pulse for these leases would bring back. Writes nothing, renews nothing."""
        ...

    async def reclaim(self, limit: int, *, worker: WorkerId, lease: float) -> list[Claim]:
        """Take over up to `limit` expired leases. The claims name who lost them; settle them as Lost()."""
        ...

    # the operator
    async def move(self, where: Where, move: Move) -> list[JobId]:
        """Apply a move to every job that matches and is in one of its source states; return their ids.

        A final job whose key a live job holds is left alone: one live job per key.
        """
        ...

    async def delete(self, where: Where) -> int:
        """Delete matching final or pending jobs, never ones that a worker holds. Returns how many."""
        ...

    async def configure(self, queue: str, settings: QueueSettings) -> None:
        """Set what the store decides for all workers of a queue."""
        ...

    # moving house
    async def scan(self, after: int, limit: int) -> tuple[list[Job], int]:
        """The next jobs in order of creation, whatever their state, and where to go on: a number for `after`.

        Begin with 0. No jobs: that was all. What was there at the first call and still is comes exactly once.
        """
        ...

    async def adopt(self, jobs: Sequence[Job]) -> list[JobId]:
        """Store jobs of another engine as they are, in this order, as durably as an enqueue; the ids of those stored.

        State, moments, counters, attempts, result and version stay; a log is no part of a job, and does not come. An id
        that is known is left alone, and so is a live job whose key a live job here holds. Raises MoveRefused (E307),
        with nothing stored, if a worker holds one.
        """
        ...

    # the onlooker
    async def find(self, where: Where) -> list[Job]:
        """The matching jobs, attempts included, ordered by creation."""
        ...

    async def count(self, where: Where) -> int:
        """How many match, `limit` and `beyond` aside."""
        ...

    async def place(self, job_id: JobId) -> Place | None:
        """Where this job stands; None if it is not there. Counts a line, so it is no verb for every round."""
        ...

    async def logs(self, job_id: JobId, after: int = 0, limit: int | None = None) -> list[Logged]:
        """What was logged while the job ran, oldest first; nothing if there is no such job.

        after: only what stands behind this place. limit: the newest so many of that. Of each run the newest
        logged.KEPT lines are there, of a job the newest logged.RUNS runs that logged anything.
        """
        ...

    async def queues(self, names: Iterable[str] | None = None, *, brief: bool = False) -> list[QueueStatus]:
        """Queues that hold jobs, have settings or have live workers; or just those named.

        brief: only live states are counted; rates and `unroutable` stay empty. Cheap beside a long history.
        """
        ...

    async def workers(self) -> list[WorkerCard]:
        """Workers whose card has not run out."""
        ...

    async def statistics(
        self, since: float, step: float = 60.0, *, queue: str | None = None, task: str | None = None
    ) -> Statistics:
        """How runs ended and how long they took, of the last `since` seconds, in spans of `step` seconds.

        Each ending that turn() or completing() wrote is counted once, in the same transaction; refused ones are not.
        Levels are what upkeep() was told. Minutes are kept for two days, hours for thirty; older spans are therefore
        an hour long at least.
        """
        ...

    async def sign_off(self, worker: WorkerId) -> None:
        """Remove a worker's card at a clean shutdown."""
        ...

    async def upkeep(self, seen: Sequence[QueueStatus] = ()) -> None:
        """The engine's own housekeeping: forget cards that ran out, pack statistics. Cheap; called about once a minute.

        seen: queues that were just looked at. Once a minute and queue it is noted how full they stand.
        """
        ...

    def listen(self, ring: Callable[[], None]) -> Callable[[], None]:
        """Call `ring` whenever something may have changed, here or in another process; returns how to stop that.

        Rings come from any thread and must return at once. They may be lost, late or for nothing: polling alone is
        always correct.
        """
        ...

    async def durability(self) -> str:
        """What an acknowledged job survives, as really configured, in one line for a worker's banner."""
        ...

    async def size(self) -> int:
        """Bytes the store takes, about. Cheap."""
        ...

    async def doctor(self) -> list[tuple[str, str, str]]:
        """Findings as (level, subject, text); level is ok, warn or error. Prints the durability achieved."""
        ...


def kept_attempts(job: Job) -> tuple[Attempt, ...]:
    """Those of a whole job's attempts that are kept apart: not the one that succeeded, which is read off the job."""
    return (job.attempts[:-1] if job.state is State.COMPLETED else job.attempts)[-HISTORY:]


@runtime_checkable
class Recalls(Protocol):
    """What an engine can do besides whose answers may be lost on the way."""

    async def recall(self, worker: WorkerId, within: float) -> list[Claim]:
        """What `worker` has claimed within the last so many seconds and still holds. Changes nothing."""
        ...


@runtime_checkable
class Transactional(Protocol):
    """What an engine on an SQL database can do besides: share a transaction with its users.

    driver: the module whose connections it speaks to.
    """

    driver: str

    async def enlist(self, jobs: Sequence[NewJob]) -> Script[list[Receipt] | QueueFull]:
        """How to store one batch inside a transaction that somebody else holds.

        The script raises WrongDatabase (E112) before it stores anything if the connection is not on the engine's own
        database. A batch that is refused, or fails, leaves nothing behind.
        """
        ...

    def completing(self, ending: Callable[[], Settlement]) -> AbstractContextManager[Any]:
        """A connection with an open transaction, of which the ending becomes the last statement.

        `ending` is asked for at the end of the block. Raises LeaseLost (E305), and nothing of the block stays, when its
        lease is gone. The driver's own exceptions leave the block as they are.
        """
        ...

    def acompleting(self, ending: Callable[[], Settlement]) -> AbstractAsyncContextManager[Any]:
        """The same for a coroutine, whose loop is never blocked by waiting for a lock, a server or a disk.

        A coroutine that is cancelled while it waits for the block to begin leaves nothing open. Callers see to it that
        leaving the block is not cancelled, or it is not known whether it has committed.
        """
        ...
