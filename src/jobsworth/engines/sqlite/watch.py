"""Notices other processes' commits within a few milliseconds. Runs only while somebody listens.

Every commit writes to the log, so most looks are one stat(). SQLite itself is asked only when that has changed, once
more after that (file times are coarse: a second commit may carry the same one), and now and then whatever it says.
"""

from __future__ import annotations

import contextlib
import threading
import time

from ...bell import Bell
from ...errors import EngineError
from .store import Store

PERIOD = 0.01  # seconds between looks: with what follows a wake-up takes at most about 10 ms
ASK_EVERY = 25  # looks after which SQLite is asked in any case


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
        seen: object = None
        looks = 0  # since the log was last seen to change
        while True:
            with self._lock:
                if not self._bell:
                    self._thread = None
                    return
            stamp = self._store.wal_stamp()
            if stamp != seen:
                seen, looks = stamp, 0
            if looks <= 1 or looks % ASK_EVERY == 0:
                self._ask()
            looks += 1
            time.sleep(PERIOD)

    def _ask(self) -> None:
        # While the file cannot be read there is nothing to announce; the verbs report what is wrong with it.
        with contextlib.suppress(EngineError):
            if self._store.changed_elsewhere():
                self._bell.ring()
