"""Notices other processes' commits within a few milliseconds. Runs only while somebody listens.

Every commit writes to the log. Where the kernel tells of writes to a file, the watcher sleeps until it does; elsewhere
it looks at the file's time a hundred times a second. Either way SQLite is asked whether somebody else has committed,
and asked now and then in any case: events and file times are hints.
"""

from __future__ import annotations

import contextlib
import threading
import time

from ...bell import Bell
from ...errors import EngineError
from .notify import FileEvents, open_events
from .store import Store

PERIOD = 0.01  # seconds between looks where there are no events
# A write is told before its commit can be seen (that may wait for the disk): ask so often, so many seconds apart.
ASKS, PAUSE = 12, 0.004
OWN_PAUSE = 0.02  # seconds apart while this process itself keeps writing: most events are its own then
ASK_EVERY = 0.25  # seconds after which SQLite is asked in any case


class Watch:
    """One thread per engine that rings its bell when another process has committed."""

    def __init__(self, store: Store, bell: Bell) -> None:
        self._store = store
        self._bell = bell
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start watching unless that is already so."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobsworth-watch", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        events: FileEvents | None = None
        try:
            while self._wanted():
                events = self._current(events)
                if events is None:
                    self._look_for(ASK_EVERY)
                else:
                    self._sleep_until(events)
        finally:
            if events is not None:
                events.close()

    def _wanted(self) -> bool:
        with self._lock:
            if not self._bell:
                self._thread = None
            return self._thread is not None

    def _current(self, events: FileEvents | None) -> FileEvents | None:
        """The events of the log that is there now: it is made anew when every process has closed the file."""
        stamp = self._store.wal_stamp()
        if events is not None and (stamp is None or stamp.inode != events.inode):
            events.close()
            events = None
        return events if events is not None or stamp is None else open_events(self._store.wal_name)

    def _sleep_until(self, events: FileEvents) -> None:
        asks = ASKS if events.wait(ASK_EVERY) else 1
        while asks > 0:
            before = self._store.commits
            self._ask()
            time.sleep(PAUSE)
            asks -= 1
            if self._store.commits != before:
                time.sleep(OWN_PAUSE - PAUSE)
                asks -= 4

    def _look_for(self, seconds: float) -> None:
        """Look at the log's time again and again. It is coarse: after a change SQLite is asked twice."""
        seen = self._store.wal_stamp()
        asks = 1
        for _ in range(round(seconds / PERIOD)):
            stamp = self._store.wal_stamp()
            if stamp != seen:
                seen, asks = stamp, 2
            if asks:
                asks -= 1
                self._ask()
            time.sleep(PERIOD)

    def _ask(self) -> None:
        # While the file cannot be read there is nothing to announce; the verbs report what is wrong with it.
        with contextlib.suppress(EngineError):
            if self._store.changed_elsewhere():
                self._bell.ring()
