"""One SQLite file, opened for one process: a writer, a reader, and the lock between threads.

SQLite lets one process write at a time, so one writer connection per process guarded by a thread lock is all there is
to share, and it is fairer than threads that busy-wait for each other. Write transactions are short and take SQLite's
lock at BEGIN IMMEDIATE, so a transaction that has begun never fails half way for want of it.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from ...errors import EngineError, EngineUnavailable, StorageFull
from . import migrate
from .faults import translate
from .filesystem import refuse_network

LOCK_PATIENCE = 30.0  # seconds to wait for another process's write lock before EngineUnavailable
_STEP = 0.02  # seconds SQLite itself waits before we add our own jitter
KEPT = (4 << 20) - (64 << 10)  # bytes to which the write-ahead log is cut back when it begins anew
_PRAGMAS = (
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",
    f"PRAGMA busy_timeout = {int(_STEP * 1000)}",
    # Checkpoints are made by keeper.py, away from anybody's commit; this is for bursts between two of its looks: on a
    # small disk they could fill all that is left, and then the log cannot be emptied any more.
    "PRAGMA wal_autocheckpoint = 2500",  # pages: 10 MB
    f"PRAGMA journal_size_limit = {KEPT}",
)
T = TypeVar("T")


def _as_text(data: bytes) -> str:
    """Stored text, even if it is damaged: one row's odd bytes must not hide all the others."""
    return data.decode("utf-8", "replace")


class Stamp(NamedTuple):
    """Which file the log is, and when and how large it was last written."""

    inode: int
    time: int
    size: int


class Store:
    """The file. `writing()` and `reading()` give a connection for one transaction; both are safe from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wal_name = f"{path}-wal"
        self.on_commit: Callable[[], None] = lambda: None
        self.lock = threading.RLock()  # one thread of this process at a time
        self._read_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._durable = True
        self._seen_version = -1
        self._tight = False  # the disk was full at the last write
        self.commits = 0  # of this process, so far

    def open(self) -> None:
        """Open the file, refuse what cannot be trusted, and bring the schema up to date."""
        with self.lock, self.faults():
            if self._writer is not None:
                return
            refuse_network(self.path)
            writer = self._connect()
            try:
                self._prepare(writer)
            except BaseException:
                writer.close()
                raise
            self._writer, self._durable = writer, True

    def close(self) -> None:
        """Close both connections; SQLite checkpoints when the last process does."""
        with self.lock, self._read_lock, self.faults():
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def writing(self, *, durable: bool) -> _Writing:
        """One write transaction, committed at the end, rolled back on any exception.

        durable: the commit is on disk (fsync) when this returns. Without, a power cut may undo it, a killed process
        never does.
        """
        return _Writing(self, durable)

    def begin(self, durable: bool) -> sqlite3.Connection:
        """Begin a write transaction. The lock is held by the caller."""
        if self._writer is None:
            self.open()
        connection = self._writer
        assert connection is not None
        if durable is not self._durable:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        if self._tight:
            self._make_room(connection)
        self.begin_on(connection)
        return connection

    def abandon(self, connection: sqlite3.Connection, exc: BaseException) -> None:
        """Roll back what begin() began."""
        self._roll_back(connection, exc)
        self._tight = isinstance(exc, sqlite3.Error) and isinstance(translate(exc, self.path), StorageFull)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """The disk was full. If somebody freed some of it, empty the log into the database before the log eats that up:
        a log that fills the disk can never be emptied again.
        """
        with contextlib.suppress(sqlite3.Error):
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._tight = bool(busy)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One read transaction: a consistent view that blocks no writer."""
        if self._writer is None:
            self.open()
        with self._read_lock, self.faults():
            if self._reader is None:
                self._reader = self._connect()
                self._reader.text_factory = _as_text
            connection = self._reader
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def glancing(self) -> Iterator[sqlite3.Connection]:
        """The writer's connection for single cheap reads outside any transaction."""
        with self.lock, self.faults():
            if self._writer is None:
                self.open()
            assert self._writer is not None
            yield self._writer

    @contextlib.contextmanager
    def pausing(self) -> Iterator[None]:
        """Nobody in this process writes meanwhile."""
        with self.lock:
            yield

    def changed_elsewhere(self) -> bool:
        """True if another process has committed since the last call. Costs microseconds; never waits.

        The writer's own commits do not count: `PRAGMA data_version` only moves for other connections' work, and all of
        this process's writes go through this one.
        """
        if not self.lock.acquire(blocking=False):
            return False  # we are writing; the next look will tell
        try:
            if self._writer is None:
                return False
            with self.faults():
                (seen,) = self._writer.execute("PRAGMA data_version").fetchone()
            changed, self._seen_version = seen != self._seen_version, seen
            return bool(changed)
        finally:
            self.lock.release()

    def connect(self) -> sqlite3.Connection:
        """A further connection with our settings, for the keeper and the doctor. The caller closes it."""
        with self.faults():
            return self._connect()

    def wal_stamp(self) -> Stamp | None:
        """Changes with (nearly) every commit of any process; None while there is no log."""
        try:
            state = os.stat(self.wal_name)  # noqa: PTH116 (looked at a hundred times a second)
        except OSError:
            return None
        return Stamp(state.st_ino, state.st_mtime_ns, state.st_size)

    def bytes(self) -> int:
        """Size of the database file, without its log."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def wal_bytes(self) -> int:
        """Size of the write-ahead log."""
        try:
            return os.stat(self.wal_name).st_size  # noqa: PTH116
        except FileNotFoundError:
            return 0

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=_STEP
        )
        for pragma in _PRAGMAS:  # some read the file, which somebody may be making just now
            self._patiently(lambda pragma=pragma: connection.execute(pragma))  # type: ignore[misc]
        if sys.platform == "darwin":  # plain fsync() on macOS does not reach the platter
            connection.execute("PRAGMA fullfsync = ON")
        return connection

    def _prepare(self, writer: sqlite3.Connection) -> None:
        mode = self._patiently(lambda: writer.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        if mode != "wal":
            raise EngineUnavailable(f"{self.path}: SQLite cannot use its write-ahead log here (journal mode {mode})")
        writer.execute("PRAGMA synchronous = FULL")
        if migrate.version(writer) != migrate.latest():
            self.begin_on(writer)
            try:
                migrate.migrate(writer, self.path)
                writer.execute("COMMIT")
            except BaseException as exc:
                self._roll_back(writer, exc)
                raise

    def begin_on(self, connection: sqlite3.Connection) -> None:
        """Begin a write transaction on any connection to the file. Raises the driver's error after LOCK_PATIENCE."""
        self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))

    def _patiently(self, step: Callable[[], T]) -> T:
        """Repeat a step while other processes hold the lock, for LOCK_PATIENCE seconds at most.

        SQLite's own waiting grows to 100 ms a step and lets newcomers pass; short steps with jitter are fairer.
        """
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                return step()
            except sqlite3.OperationalError as exc:
                name = getattr(exc, "sqlite_errorname", "") or ""
                if not name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.0005, 0.004))  # noqa: S311 (jitter, not a secret)

    def _roll_back(self, connection: sqlite3.Connection, cause: BaseException) -> None:
        """Undo, and after an I/O error let go of the connection: what it holds in memory cannot be trusted."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._writer = None
            connection.close()
            return
        if isinstance(cause, sqlite3.Error) and "IOERR" in (getattr(cause, "sqlite_errorname", "") or ""):
            self._writer = None
            connection.close()

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """Raise the driver's exceptions as ours."""
        try:
            yield
        except sqlite3.Error as exc:
            raise self.translated(exc) from exc

    def translated(self, exc: sqlite3.Error) -> EngineError:
        """Our error for one of the driver's."""
        if self._writer is not None and "decode to UTF-8" in str(exc):
            # Damaged text somewhere. Reading it so costs time, so it is done only now; the next try gets through.
            self._writer.text_factory = _as_text
        return translate(exc, self.path)

    def freeze(self) -> None:
        """Before a fork: let whoever is at it finish, then close, and let nobody open until thaw()."""
        self.lock.acquire()
        self._read_lock.acquire()
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None

    def thaw(self) -> None:
        """After a fork, in the parent: go on. What is needed is opened again."""
        self._read_lock.release()
        self.lock.release()


class _Writing:
    """What Store.writing() gives. A class and not a generator: this is on the way of every enqueue."""

    __slots__ = ("_connection", "_durable", "_store")

    def __init__(self, store: Store, durable: bool) -> None:
        self._store = store
        self._durable = durable

    def __enter__(self) -> sqlite3.Connection:
        store = self._store
        store.lock.acquire()
        try:
            self._connection = store.begin(self._durable)
        except BaseException as exc:
            store.lock.release()
            if isinstance(exc, sqlite3.Error):
                raise store.translated(exc) from exc
            raise
        return self._connection

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        store = self._store
        late: BaseException | None = None
        try:
            if raised is None:
                late = self._commit()
            wrong = late or raised
            if wrong is not None:
                store.abandon(self._connection, wrong)
        finally:
            store.lock.release()
        if wrong is None:
            store.on_commit()
        elif isinstance(wrong, sqlite3.Error):
            raise store.translated(wrong) from wrong
        elif late is not None:
            raise late

    def _commit(self) -> BaseException | None:
        try:
            self._connection.execute("COMMIT")
        except BaseException as exc:  # noqa: BLE001 (raised by our caller, after the rollback)
            return exc
        self._store.commits += 1
        return None
