"""The PostgreSQL engine: one schema in one database, shared by any number of machines.

Blocking: its coroutines never suspend. The bridge runs them in place for sync callers and in a thread for async ones.
Every verb is one transaction, most are one round trip; the server's clock is the only one.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import psycopg

from ...bell import Bell
from ...clock import Clock
from ...engine import (
    CARD_LEASES,
    Heard,
    Place,
    Pulse,
    QueueSettings,
    QueueStatus,
    SchemaVersion,
    Script,
    Turn,
    Want,
    Where,
    WorkerCard,
)
from ...errors import QueueFull
from ...job import CancelRequest, Claim, Job, JobId, Lease, NewJob, Receipt, WorkerId
from ...lifecycle import Move, Settlement, refuse_held
from ...logged import Logged
from ...statistics import Statistics
from ..levels import looks_at
from . import adopt, desk, doctor, figures, intake, life, logs, migrate, tallies
from .completing import acompleting, completing
from .doorbell import Doorbell
from .enlist import HOME, enlist, tables
from .faults import IN_THE_WAY
from .lines import Line, Lines
from .looped import LoopedLine, LoopedLines
from .marks import Sights
from .names import DEFAULT, checked, named

T = TypeVar("T")
TRIES = 8  # of a transaction that another one was in the way of
SIZE = "SELECT " + " + ".join(
    f"pg_total_relation_size('@{table}')" for table in ("jobs", "attempts", "logs", "cells", "statistics")
)
_engines: weakref.WeakSet[PostgresEngine] = weakref.WeakSet()


class PostgresEngine:
    """Jobs in the schema `schema` of a PostgreSQL database (13 or newer), made on first use if the user may.

    conninfo: what libpq connects with: a postgresql:// URL or key=value pairs.
    where:    what messages call the server; must not hold a password.
    doorbell: hear of other processes' changes by LISTEN/NOTIFY; without, by polling alone.
    clock:    for tests only: stands in for the server's clock.
    """

    blocking = True
    kind = "postgresql"
    driver = "psycopg"

    def __init__(
        self, conninfo: str, *, where: str, schema: str = DEFAULT, doorbell: bool = True, clock: Clock | None = None
    ) -> None:
        self.schema = checked(schema)
        self.where = where
        self._conninfo = conninfo
        self._clock = clock
        self._rings = doorbell
        self._start()
        _engines.add(self)

    def __repr__(self) -> str:
        return f"PostgresEngine({self.where!r}, schema={self.schema!r})"

    def _start(self) -> None:
        self._opened = False
        self._lines = Lines(self._conninfo, self.where)
        self._sights = Sights()
        self._lent = Lines(self._conninfo, self.where)  # to handlers
        self._looped = LoopedLines(self._conninfo, self.where)  # to those that are coroutines
        self._home: tuple[Any, ...] | None = None
        self._bell = Bell()
        self._doorbell = Doorbell(self._lines, self.schema, self._bell)

    async def open(self) -> None:
        self._open()

    def _open(self) -> None:
        try:
            with self._lines.line(patient=True) as line:
                migrate.migrate(line, self.schema)
        except BaseException:
            self._lines.hang_up()  # who could not open it need not close it
            raise
        self._opened = True

    async def close(self) -> None:
        self._opened = False
        self._doorbell.stop()
        self._lines.hang_up()
        self._lent.hang_up()
        self._looped.hang_up()
        self._home = None

    async def schema_version(self) -> SchemaVersion:
        return SchemaVersion(self._version() or None, migrate.latest())

    def _version(self) -> int:
        with self._lines.line() as line:
            found = migrate.version(line, self.schema)
        migrate.check(found, self.schema)
        return found

    async def migration_sql(self) -> str:
        return migrate.as_text(self.schema, self._version())

    async def enqueue(self, wishes: Sequence[Sequence[NewJob]]) -> list[list[Receipt] | QueueFull]:
        answers = self._do(lambda line: intake.store_all(line, self._ask(line), wishes, self._now()))
        self._ring()
        return answers

    async def enlist(self, jobs: Sequence[NewJob]) -> Script[list[Receipt] | QueueFull]:
        if self._home is None:
            self._home = self._do(lambda line: line.execute(HOME, (tables(self.schema),)).fetchone())
        assert self._home is not None
        return enlist(self.schema, self._home, jobs, rings=self._rings, test_now=self._now())

    @contextmanager
    def completing(self, ending: Callable[[], Settlement]) -> Iterator[Line]:
        if not self._opened:
            self._open()
        with completing(self._lent, self._last, ending) as line:
            yield line
        self._ring()

    @asynccontextmanager
    async def acompleting(self, ending: Callable[[], Settlement]) -> AsyncIterator[LoopedLine]:
        if not self._opened:
            await asyncio.to_thread(self._open)
        async with acompleting(self._looped, self._last, ending) as line:
            yield line
        self._ring()

    def _last(self, ending: Settlement) -> tuple[bytes, Sequence[Any]]:
        """The statement that ends a job in its own transaction."""
        sql, values = life.settling(ending, self._now())
        return named(self.schema, sql).encode(), values

    async def turn(self, worker: WorkerId, settle: Sequence[Settlement], want: Sequence[Want], *, lease: float) -> Turn:
        answer = self._do(
            lambda line: life.turn(line, self._ask(line), worker, settle, want, lease, self._now(), self._sights)
        )
        if settle:
            self._ring()
        return answer

    async def pulse(self, card: WorkerCard, pulses: Sequence[Pulse], *, lease: float) -> Heard:
        lives = CARD_LEASES * lease
        rows = self._do(lambda line: life.pulse(self._ask(line), card, lives, pulses, lease, self._now()))
        return _heard([each.lease for each in pulses], rows)

    async def hear(self, leases: Sequence[Lease]) -> Heard:
        return _heard(leases, self._do(lambda line: life.hear(self._ask(line), leases)))

    async def reclaim(self, limit: int, *, worker: WorkerId, lease: float) -> list[Claim]:  # noqa: ARG002
        return self._do(lambda line: life.reclaim(self._ask(line), limit, lease, self._now(), self._sights.held))

    async def recall(self, worker: WorkerId, within: float) -> list[Claim]:
        """What `worker` has claimed within the last so many seconds and still holds: it may not know of all of it."""
        return self._do(lambda line: life.recall(self._ask(line), worker, within, self._now()))

    async def move(self, where: Where, move: Move) -> list[JobId]:
        def work(line: Line) -> list[JobId]:
            with line.transaction():
                return desk.move(self._ask(line), where, move, self._now())

        moved = self._do(work, patient=True)
        if moved:
            self._ring()
        return moved

    async def delete(self, where: Where) -> int:
        everything = where.limit is None  # a worker's office, which has little time, deletes by and by
        return self._do(lambda line: desk.delete(self._ask(line), where, self._now()), patient=everything)

    async def configure(self, queue: str, settings: QueueSettings) -> None:
        self._do(lambda line: desk.configure(self._ask(line), queue, settings))
        self._ring()

    async def scan(self, after: int, limit: int) -> tuple[list[Job], int]:
        return self._view(lambda ask: adopt.scan(ask, after, limit))

    async def adopt(self, jobs: Sequence[Job]) -> list[JobId]:
        refuse_held(jobs)

        def work(line: Line) -> list[JobId]:
            with line.transaction():
                return adopt.adopt(self._ask(line), jobs)

        adopted = self._do(work, patient=True)
        self._ring()
        return adopted

    async def find(self, where: Where) -> list[Job]:
        return self._view(lambda ask: desk.find(ask, where, self._now()))

    async def count(self, where: Where) -> int:
        return self._view(lambda ask: desk.count(ask, where, self._now()))

    async def place(self, job_id: JobId) -> Place | None:
        return self._view(lambda ask: figures.place(ask, job_id, self._now()))

    async def logs(self, job_id: JobId, after: int = 0, limit: int | None = None) -> list[Logged]:
        return self._do(lambda line: logs.told(self._ask(line), job_id, after, limit))

    async def queues(self, names: Iterable[str] | None = None, *, brief: bool = False) -> list[QueueStatus]:
        wanted = None if names is None else list(names)
        return self._view(lambda ask: figures.queues(ask, wanted, self._now(), brief=brief))

    async def workers(self) -> list[WorkerCard]:
        return self._view(lambda ask: desk.workers(ask, self._now()))

    async def statistics(
        self, since: float, step: float = 60.0, *, queue: str | None = None, task: str | None = None
    ) -> Statistics:
        return self._view(lambda ask: tallies.told(ask, since, step, queue, task, self._now()))

    async def sign_off(self, worker: WorkerId) -> None:
        self._do(lambda line: self._ask(line)("DELETE FROM @workers WHERE id = %s", (worker,)))

    async def upkeep(self, seen: Sequence[QueueStatus] = ()) -> None:
        gone = "DELETE FROM @workers WHERE gone_at <= (SELECT @moment(%s))"

        def work(line: Line) -> None:
            self._ask(line)(gone, (self._now(),))
            with line.transaction():
                tallies.note(self._ask(line), looks_at(seen), self._now())
                tallies.tidy(self._ask(line), self._now())

        self._do(work)

    def listen(self, ring: Callable[[], None]) -> Callable[[], None]:
        return self._doorbell.listen(ring) if self._rings else self._bell.listen(ring)

    async def doctor(self) -> list[tuple[str, str, str]]:
        return self._do(
            lambda line: doctor.findings(line, self._ask(line), self.schema, self.where, doorbell=self._rings)
        )

    async def size(self) -> int:
        (found,) = self._view(lambda ask: ask(SIZE).fetchone()) or (0,)
        return int(found)

    async def durability(self) -> str:
        return self._do(lambda line: doctor.durability(self._ask(line)))

    def _now(self) -> float | None:
        """A test's moment; None: the server knows."""
        return None if self._clock is None else self._clock()

    def _ring(self) -> None:
        self._bell.ring()
        if self._rings:
            self._doorbell.ring()

    def _ask(self, line: Line) -> desk.Ask:
        def ask(sql: str, values: Sequence[Any] = (), *, binary: bool = False) -> psycopg.Cursor[Any]:
            return line.execute(named(self.schema, sql).encode(), values or None, binary=binary)

        return ask

    def _view(self, look: Callable[[desk.Ask], T]) -> T:
        """Several looks at one moment: a consistent view that blocks nobody."""

        def work(line: Line) -> T:
            with line.transaction():
                line.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return look(self._ask(line))

        return self._do(work)

    def _do(self, work: Callable[[Line], T], *, patient: bool = False) -> T:
        """Run one transaction, again if another one was in its way. Raises EngineUnavailable or another EngineError.

        patient: it may be long, and is waited for as long as the server is at work on it.
        """
        if not self._opened:
            self._open()
        with self._lines.line(patient=patient) as line:
            for _ in range(TRIES - 1):
                try:
                    return work(line)
                except IN_THE_WAY:
                    time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 (jitter, not a secret)
            return work(line)


def _heard(leases: Sequence[Lease], rows: Iterable[tuple[Any, ...]]) -> Heard:
    cancelled, lost = [], []
    for place, state, reason, grace in rows:
        job_id = leases[place].job_id
        if state is None:
            lost.append(job_id)
        else:
            cancelled.append(CancelRequest(job_id, reason, grace))
    return Heard(cancelled, lost)


def _after_fork() -> None:
    """Start afresh: the parent's connections and threads are not the child's."""
    for engine in list(_engines):
        engine._lines.forget()  # noqa: SLF001
        engine._lent.forget()  # noqa: SLF001
        engine._looped.forget()  # noqa: SLF001
        engine._start()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
