"""Notices other processes' commits, by asking SQLite every few milliseconds. Runs only while somebody listens."""

from __future__ import annotations

import contextlib
import threading
import time

from ...bell import Bell
from ...errors import EngineError
from .store import Store

PERIOD = 0.006  # seconds between looks: the wake-up between processes takes at most this, at well under 1 % of a core


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
        while True:
            with self._lock:
                if not self._bell:
                    self._thread = None
                    return
            # While the file cannot be read there is nothing to announce; the verbs report what is wrong with it.
            with contextlib.suppress(EngineError):
                if self._store.changed_elsewhere():
                    self._bell.ring()
            time.sleep(PERIOD)
