"""A store whose conversation can be broken off: what a worker says after its death reaches nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from jobsworth.bridge import Bridge
from jobsworth.engine import Engine, Heard, Pulse, Script, Transactional, Turn, Want, WorkerCard
from jobsworth.errors import QueueFull
from jobsworth.job import Claim, JobId, Lease, NewJob, Receipt, WorkerId
from jobsworth.lifecycle import Settlement

T = TypeVar("T")
BEFORE, INSIDE, AFTER = "before its transaction", "in its transaction, at the end", "after its transaction"
_speaking: ContextVar[bool] = ContextVar("jobsworth_testing_speaking", default=False)


class Life(Protocol):
    """Who decides where it ends."""

    job_id: JobId
    task: str
    dead: bool
    alone: bool  # nothing but jobs of that task is to run for now

    def reach(self, where: str) -> bool:
        """At a place. True if this is the end, or was before."""
        ...

    def reach_or_die(self, where: str) -> None:
        """The same where an exception ends it."""
        ...

    def within(self) -> AbstractContextManager[Callable[[object], None]]:
        """What is given the connection that is named within the block has happened if the block ends well, else not."""
        ...


class Fragile:
    """An engine as the worker has it. While the worker is dead, its verbs are answered with nothing and do nothing."""

    def __init__(self, engine: Engine, life: Life) -> None:
        self._engine = engine
        self._life = life

    def __repr__(self) -> str:
        return repr(self._engine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def turn(self, worker: WorkerId, settle: Sequence[Settlement], want: Sequence[Want], *, lease: float) -> Turn:
        life = self._life
        ending = any(settlement.lease.job_id == life.job_id for settlement in settle)
        if life.dead or (ending and life.reach("done, and that not written down")):
            return Turn([])
        if life.alone:
            want = [replace(each, tasks=(life.task,)) for each in want if life.task in each.tasks]
        answer = await self._engine.turn(worker, settle, want, lease=lease)
        if ending and life.reach("done, and that written down"):
            return Turn([])
        if any(claim.lease.job_id == life.job_id for claim in answer.claims) and life.reach("claimed, and not begun"):
            return Turn([])
        return answer

    async def pulse(self, card: WorkerCard, pulses: Sequence[Pulse], *, lease: float) -> Heard:
        return Heard() if self._life.dead else await self._engine.pulse(card, pulses, lease=lease)

    async def hear(self, leases: Sequence[Lease]) -> Heard:
        return Heard() if self._life.dead else await self._engine.hear(leases)

    async def reclaim(self, limit: int, *, worker: WorkerId, lease: float) -> list[Claim]:
        return [] if self._life.dead else await self._engine.reclaim(limit, worker=worker, lease=lease)

    async def sign_off(self, worker: WorkerId) -> None:
        if not self._life.dead:
            await self._engine.sign_off(worker)


class FragileTransactional(Fragile):
    """The same of an engine that lends its transactions. It has the methods itself: that is how engines are told."""

    def __init__(self, engine: Engine, life: Life, lender: Transactional) -> None:
        super().__init__(engine, life)
        self._lender = lender
        self.driver = lender.driver

    async def enlist(self, jobs: Sequence[NewJob]) -> Script[list[Receipt] | QueueFull]:
        return await self._lender.enlist(jobs)

    @contextmanager
    def completing(self, ending: Callable[[], Settlement]) -> Iterator[Any]:
        """What is in the block is undone by a death, until it is committed."""
        self._life.reach_or_die(BEFORE)
        with self._life.within() as hold, self._lender.completing(ending) as connection:
            hold(connection)
            yield connection
            self._life.reach_or_die(INSIDE)
        self._life.reach_or_die(AFTER)

    @asynccontextmanager
    async def acompleting(self, ending: Callable[[], Settlement]) -> AsyncIterator[Any]:
        """The same for a coroutine."""
        self._life.reach_or_die(BEFORE)
        with self._life.within() as hold:
            async with self._lender.acompleting(ending) as connection:
                hold(connection)
                yield connection
                self._life.reach_or_die(INSIDE)
        self._life.reach_or_die(AFTER)


def fragile(engine: Engine, life: Life) -> Fragile:
    """That engine, to be broken off."""
    return FragileTransactional(engine, life, engine) if isinstance(engine, Transactional) else Fragile(engine, life)


class Watched(Bridge):
    """The same for what handlers say themselves: each word they have with the store is a place, before and after."""

    def __init__(self, engine: Engine, life: Life) -> None:
        super().__init__(engine)
        self._life = life

    def call(self, work: Callable[[Engine], Coroutine[Any, Any, T]], *, unopened: bool = False) -> T:
        return self._spoken("asking the store", lambda: super(Watched, self).call(work, unopened=unopened))

    async def acall(self, work: Callable[[Engine], Coroutine[Any, Any, T]], *, unopened: bool = False) -> T:
        return await self._aspoken("asking the store", lambda: super(Watched, self).acall(work, unopened=unopened))

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        return self._spoken(_named(jobs), lambda: super(Watched, self).enqueue(jobs))

    async def aenqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        return await self._aspoken(_named(jobs), lambda: super(Watched, self).aenqueue(jobs))

    def _spoken(self, what: str, say: Callable[[], T]) -> T:
        if _speaking.get():
            return say()
        token = _speaking.set(True)
        try:
            self._life.reach_or_die(f"before {what}")
            answer = say()
            self._life.reach_or_die(f"after {what}")
        finally:
            _speaking.reset(token)
        return answer

    async def _aspoken(self, what: str, say: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if _speaking.get():
            return await say()
        token = _speaking.set(True)
        try:
            self._life.reach_or_die(f"before {what}")
            answer = await say()
            self._life.reach_or_die(f"after {what}")
        finally:
            _speaking.reset(token)
        return answer


def _named(jobs: Sequence[NewJob]) -> str:
    return f"enqueueing {', '.join(dict.fromkeys(job.task for job in jobs))}"
