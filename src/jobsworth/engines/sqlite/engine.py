"""The embedded engine: one SQLite file, shared by any number of processes on one machine.

Blocking: its coroutines never suspend. The bridge runs them in place for sync callers and in a thread for async ones.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from pathlib import Path

from ...bell import Bell
from ...clock import Clock, system_clock
from ...engine import (
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
from ...job import Claim, Job, JobId, Lease, NewJob, Receipt, WorkerId
from ...lifecycle import Move, Settlement, refuse_held
from ...logged import Logged
from ...statistics import Statistics
from ..levels import looks_at
from . import adopt, desk, doctor, figures, intake, life, logs, migrate, tallies
from .completing import Loans, completing, in_threads
from .enlist import enlist
from .keeper import Keeper
from .store import Store
from .watch import Watch

_engines: weakref.WeakSet[SqliteEngine] = weakref.WeakSet()


class SqliteEngine:
    """Jobs in the SQLite file at `path`, created on first use.

    Acknowledged enqueues are fsynced (synchronous=FULL). Claims and endings commit without fsync: a power cut may undo
    the last of them, so a job runs again, but never loses a job; a killed process loses nothing at all.
    """

    blocking = True
    kind = "sqlite"
    driver = "sqlite3"

    def __init__(self, path: str | Path, *, clock: Clock = system_clock) -> None:
        self.path = Path(path).absolute()
        self._clock = clock
        self._start()
        _engines.add(self)

    def __repr__(self) -> str:
        return f"SqliteEngine({str(self.path)!r})"

    @property
    def where(self) -> str:
        return str(self.path)

    def _start(self) -> None:
        self._store = Store(self.path)
        self._bell = Bell()
        self._loans = Loans()
        self._keeper = Keeper(self._store)
        self._watch = Watch(self._store, self._bell)
        self._store.on_commit = self._keeper.touched

    async def open(self) -> None:
        self._store.open()

    async def close(self) -> None:
        self._keeper.stop()
        self._store.close()

    async def schema_version(self) -> SchemaVersion:
        return SchemaVersion(migrate.version_of(self.path), migrate.latest())

    async def migration_sql(self) -> str:
        return migrate.as_text(migrate.version_of(self.path) or 0)

    async def enqueue(self, wishes: Sequence[Sequence[NewJob]]) -> list[list[Receipt] | QueueFull]:
        with self._store.writing(durable=True) as connection:
            answers = intake.store_all(connection, wishes, self._clock())
        self._bell.ring()
        return answers

    async def enlist(self, jobs: Sequence[NewJob]) -> Script[list[Receipt] | QueueFull]:
        return enlist(self.path, jobs, self._clock())

    def completing(self, ending: Callable[[], Settlement]) -> AbstractContextManager[sqlite3.Connection]:
        return self._completing(ending, threading.get_ident())

    def acompleting(self, ending: Callable[[], Settlement]) -> AbstractAsyncContextManager[sqlite3.Connection]:
        return in_threads(self._completing(ending, threading.get_ident()))

    @contextmanager
    def _completing(self, ending: Callable[[], Settlement], holder: int) -> Iterator[sqlite3.Connection]:
        with completing(self._store, self._loans, self._clock, ending, holder) as connection:
            yield connection
        self._store.on_commit()
        self._bell.ring()

    async def turn(self, worker: WorkerId, settle: Sequence[Settlement], want: Sequence[Want], *, lease: float) -> Turn:
        if not settle:
            with self._store.glancing() as connection:
                busy, due = life.something_to_do(connection, want, self._clock())
            if not busy:
                return Turn([], [], due)
        try:
            answer = self._turn(worker, settle, want, lease)
        except life.TooLate:
            answer = self._turn(worker, settle, want, lease, one_by_one=True)
        if settle:
            self._bell.ring()
        return answer

    def _turn(
        self,
        worker: WorkerId,
        settle: Sequence[Settlement],
        want: Sequence[Want],
        lease: float,
        *,
        one_by_one: bool = False,
    ) -> Turn:
        with self._store.writing(durable=False) as connection:
            # Only now: whoever waited long for the lock must not hand out leases that have half run out.
            return life.turn(connection, worker, settle, want, lease, self._clock(), one_by_one=one_by_one)

    async def pulse(self, card: WorkerCard, pulses: Sequence[Pulse], *, lease: float) -> Heard:
        with self._store.writing(durable=False) as connection:
            now = self._clock()
            desk.keep_card(connection, card, lease, now)
            return life.pulse(connection, pulses, lease, now)

    async def hear(self, leases: Sequence[Lease]) -> Heard:
        with self._store.glancing() as connection:
            return Heard(life.asked(connection, leases), life.lost(connection, leases))

    async def reclaim(self, limit: int, *, worker: WorkerId, lease: float) -> list[Claim]:  # noqa: ARG002
        now = self._clock()
        with self._store.glancing() as connection:
            if connection.execute(life.EXPIRED, (now,)).fetchone() is None:
                return []
        with self._store.writing(durable=False) as connection:
            return life.reclaim(connection, limit, lease, self._clock())

    async def move(self, where: Where, move: Move) -> list[JobId]:
        with self._store.writing(durable=True) as connection:
            now = self._clock()
            moved = desk.move(connection, where, move, now)
        self._bell.ring()
        return moved

    async def delete(self, where: Where) -> int:
        with self._store.writing(durable=False) as connection:
            return desk.delete(connection, where, self._clock())

    async def configure(self, queue: str, settings: QueueSettings) -> None:
        with self._store.writing(durable=True) as connection:
            desk.configure(connection, queue, settings)
        self._bell.ring()

    async def scan(self, after: int, limit: int) -> tuple[list[Job], int]:
        with self._store.reading() as connection:
            return adopt.scan(connection, after, limit)

    async def adopt(self, jobs: Sequence[Job]) -> list[JobId]:
        refuse_held(jobs)
        with self._store.writing(durable=True) as connection:
            adopted = adopt.adopt(connection, jobs)
        self._bell.ring()
        return adopted

    async def find(self, where: Where) -> list[Job]:
        with self._store.reading() as connection:
            return desk.find(connection, where, self._clock())

    async def count(self, where: Where) -> int:
        with self._store.reading() as connection:
            return desk.count(connection, where, self._clock())

    async def place(self, job_id: JobId) -> Place | None:
        with self._store.reading() as connection:
            return figures.place(connection, job_id, self._clock())

    async def logs(self, job_id: JobId, after: int = 0, limit: int | None = None) -> list[Logged]:
        with self._store.reading() as connection:
            return logs.told(connection, job_id, after, limit)

    async def queues(self, names: Iterable[str] | None = None, *, brief: bool = False) -> list[QueueStatus]:
        with self._store.reading() as connection:
            return figures.queues(connection, names, self._clock(), brief=brief)

    async def workers(self) -> list[WorkerCard]:
        with self._store.reading() as connection:
            return desk.workers(connection, self._clock())

    async def statistics(
        self, since: float, step: float = 60.0, *, queue: str | None = None, task: str | None = None
    ) -> Statistics:
        with self._store.reading() as connection:
            return tallies.told(connection, self._clock(), since, step, queue, task)

    async def sign_off(self, worker: WorkerId) -> None:
        with self._store.writing(durable=False) as connection:
            connection.execute("DELETE FROM jobsworth_workers WHERE id = ?", (worker,))

    async def upkeep(self, seen: Sequence[QueueStatus] = ()) -> None:
        now, looks = self._clock(), looks_at(seen)
        with self._store.glancing() as connection:
            gone = connection.execute("SELECT 1 FROM jobsworth_workers WHERE gone_at <= ?", (now,)).fetchone()
            due = tallies.due(connection, looks, now)
        if gone is not None or due:
            with self._store.writing(durable=False) as connection:
                connection.execute("DELETE FROM jobsworth_workers WHERE gone_at <= ?", (now,))
                tallies.note(connection, looks, now)
                tallies.tidy(connection, now)

    def listen(self, ring: Callable[[], None]) -> Callable[[], None]:
        stop = self._bell.listen(ring)
        self._watch.start()
        return stop

    async def durability(self) -> str:
        return "every enqueue is on disk before it returns (fsync)"

    async def size(self) -> int:
        return self._store.bytes() + self._store.wal_bytes()

    async def doctor(self) -> list[tuple[str, str, str]]:
        return doctor.findings(self._store)


_forking = threading.Lock()  # one fork at a time: each takes every engine's locks
_frozen: list[SqliteEngine] = []


def _before_fork() -> None:
    """Close every connection. SQLite keeps what it holds of a file's locks in memory, by file: a child that inherits
    that believes in locks it does not have, and loses what it writes when the parent lets go of the file.
    """
    _forking.acquire()
    for engine in list(_engines):
        _frozen.append(engine)
        engine._store.freeze()  # noqa: SLF001
        engine._loans.wait()  # noqa: SLF001
        engine._keeper.freeze()  # noqa: SLF001


def _after_fork_in_parent() -> None:
    for engine in _frozen:
        engine._keeper.thaw()  # noqa: SLF001
        engine._store.thaw()  # noqa: SLF001
    _frozen.clear()
    _forking.release()


def _after_fork_in_child() -> None:
    """Start afresh: the child has none of its parent's threads, and its locks are held by nobody who is here."""
    for engine in _frozen:
        engine._start()  # noqa: SLF001
    _frozen.clear()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
