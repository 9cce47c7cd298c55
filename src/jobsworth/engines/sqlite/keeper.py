"""Keeps the write-ahead log small, on a thread and a connection of its own, so that no commit ever pays for it.

The log is a file that is written over again and again: while its size stays the same, syncing it is several times
cheaper than while it grows. So it is never cut to nothing. Under load it is copied into the database and begun anew
whenever it has outgrown KEPT; when writing ends it is cut back to KEPT and left there.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading

from ...errors import EngineError
from .store import KEPT, Store

_BUSY, _CALM = 0.025, 0.25  # seconds between looks: while the log is nearly at its size, otherwise
_IDLE_AFTER = 3.0  # seconds without a commit after which the log is tidied and the thread rests
# A reader who is never done keeps the log from beginning anew. Up to TOO_LARGE bytes nobody waits for it; then all
# writers do, until it is done with what it reads now.
TOO_LARGE = 12 << 20
_ASK, _INSIST = 20, 3_000  # milliseconds to wait for readers
# A write that changes nothing: the first one after a checkpoint begins the log anew and cuts it back to KEPT.
_TOUCH = "UPDATE jobsworth_schema SET version = version"


class Keeper:
    """Started by the first commit; rests, without polling, when nothing is written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._using = threading.Lock()  # guards the connection
        self._connection: sqlite3.Connection | None = None

    def touched(self) -> None:
        """Called after every commit; must cost nothing when the keeper is already awake."""
        if not self._dirty.is_set():
            self._dirty.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobsworth-keeper", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            self._dirty.set()
            thread.join(timeout=10)
            self._stopping.clear()
            self._dirty.clear()

    def _run(self) -> None:
        try:
            while True:
                self._dirty.wait()
                if self._stopping.is_set():
                    return
                self._tend()
        finally:
            self._close()

    def _close(self) -> None:
        with self._using:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def freeze(self) -> None:
        """Before a fork: let go of the file until thaw()."""
        self._using.acquire()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def thaw(self) -> None:
        """After a fork, in the parent."""
        self._using.release()

    def _tend(self) -> None:
        """Look after the log until no commit has come for a while."""
        calm = 0.0
        while calm < _IDLE_AFTER and not self._stopping.is_set():
            self._dirty.clear()
            size = self._store.wal_bytes()
            if size > KEPT:
                self._begin_anew(_INSIST if size > TOO_LARGE else _ASK)
            pause = _BUSY if size >= KEPT * 3 // 4 else _CALM
            self._stopping.wait(pause)
            calm = 0.0 if self._dirty.is_set() else calm + pause
        if not self._stopping.is_set():
            self._dirty.clear()
            self._rest()

    def _begin_anew(self, patience: int = _ASK) -> None:
        """Copy the log into the database: most of it while others write, then what is left while they wait."""
        if patience == _ASK:
            self._try("PRAGMA wal_checkpoint(PASSIVE)", _ASK)
        with self._store.pausing():  # else a busy writer might never leave a gap to begin anew in
            self._try("PRAGMA wal_checkpoint(RESTART)", patience)

    def _rest(self) -> None:
        """Nothing is written any more: copy all of it, and cut it back if it is too large."""
        self._begin_anew()
        if self._store.wal_bytes() > KEPT:
            self._try(_TOUCH, _ASK)

    def _try(self, step: str, patience: int) -> None:
        # A reader or another process's checkpoint may be in the way, or the disk full; the next look tries again.
        # Without a connection the log merely grows; the engine's own verbs will report what is wrong with the file.
        with self._using, contextlib.suppress(sqlite3.Error, EngineError):
            if self._connection is None:
                self._connection = self._store.connect()
            self._connection.execute(f"PRAGMA busy_timeout = {patience}")
            self._connection.execute(step).fetchone()
