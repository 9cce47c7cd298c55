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
# A write that changes nothing: the first one after a checkpoint begins the log anew and cuts it back to KEPT.
_TOUCH = "UPDATE jobsworth_schema SET version = version"


class Keeper:
    """Started by the first commit; rests, without polling, when nothing is written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

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
        connection: sqlite3.Connection | None = None
        try:
            while True:
                self._dirty.wait()
                if self._stopping.is_set():
                    return
                if connection is None:
                    connection = self._open()
                self._tend(connection)
        finally:
            if connection is not None:
                connection.close()

    def _open(self) -> sqlite3.Connection | None:
        # Without a connection the log merely grows; the engine's own verbs will report what is wrong with the file.
        with contextlib.suppress(EngineError):
            return self._store.connect()
        self._stopping.wait(_CALM)
        return None

    def _tend(self, connection: sqlite3.Connection | None) -> None:
        """Look after the log until no commit has come for a while."""
        calm = 0.0
        while calm < _IDLE_AFTER and connection is not None and not self._stopping.is_set():
            self._dirty.clear()
            size = self._store.wal_bytes()
            if size > KEPT:
                self._begin_anew(connection)
            pause = _BUSY if size >= KEPT * 3 // 4 else _CALM
            self._stopping.wait(pause)
            calm = 0.0 if self._dirty.is_set() else calm + pause
        if connection is not None and not self._stopping.is_set():
            self._dirty.clear()
            self._rest(connection)

    def _begin_anew(self, connection: sqlite3.Connection) -> None:
        """Copy the log into the database: most of it while others write, then what is left while they wait."""
        self._try(connection, "PRAGMA wal_checkpoint(PASSIVE)")
        with self._store.pausing():  # else a busy writer might never leave a gap to begin anew in
            self._try(connection, "PRAGMA wal_checkpoint(RESTART)")

    def _rest(self, connection: sqlite3.Connection) -> None:
        """Nothing is written any more: copy all of it, and cut it back if it is too large."""
        self._begin_anew(connection)
        if self._store.wal_bytes() > KEPT:
            self._try(connection, _TOUCH)

    def _try(self, connection: sqlite3.Connection, step: str) -> None:
        # A reader or another process's checkpoint may be in the way; the next look tries again.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute(step).fetchone()
