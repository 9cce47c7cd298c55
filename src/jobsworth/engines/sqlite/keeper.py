"""Keeps the write-ahead log small, on a thread and a connection of its own, so that no commit ever pays for it.

Under load: a passive checkpoint copies most of the log without stopping anybody; when the log has grown, a truncating
one, which holds the write lock only for what is left, starts it afresh. When writing ends the log is emptied.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading

from ...errors import EngineError
from .store import Store

PASSIVE_ABOVE = 4 << 20  # bytes of log that start a passive checkpoint
TRUNCATE_ABOVE = 16 << 20  # bytes of log at which writers are held up briefly; keeps it well under 64 MiB
_BUSY, _CALM = 0.1, 1.0  # seconds between looks: while the log is large, otherwise
_IDLE_AFTER = 3.0  # seconds without a commit after which the log is emptied and the thread rests


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
            if size > TRUNCATE_ABOVE:
                self._checkpoint(connection, "PASSIVE")
                self._checkpoint(connection, "TRUNCATE")
            elif size > PASSIVE_ABOVE:
                self._checkpoint(connection, "PASSIVE")
            pause = _BUSY if size > PASSIVE_ABOVE // 2 or self._dirty.is_set() else _CALM
            self._stopping.wait(pause)
            calm = 0.0 if self._dirty.is_set() else calm + pause
        if connection is not None and not self._stopping.is_set():
            self._dirty.clear()
            if self._store.wal_bytes() > 0:
                self._checkpoint(connection, "TRUNCATE")

    def _checkpoint(self, connection: sqlite3.Connection, mode: str) -> None:
        # A reader or another process's checkpoint may be in the way; the next look tries again.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
