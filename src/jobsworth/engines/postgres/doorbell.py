"""LISTEN and NOTIFY, as a hint and nothing more: without content, at most twenty times a second, in nobody's
transaction.

One thread and one connection per process, and only where somebody listens or has something to tell. Where a pooler
gives every transaction another connection nothing is heard, and polling alone does it.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable

import psycopg

from ...bell import Bell
from .lines import Line, Lines, readable

PAUSE = 0.05  # seconds between two of our rings: what changes in between is told together
BACKOFF = (0.1, 2.0)  # seconds between tries while the server is away: first, longest
LOOK = 30.0  # seconds after which the connection is looked at in any case


class Doorbell:
    """Rings `bell` when another process has changed something, and tells the others when we have."""

    def __init__(self, lines: Lines, channel: str, bell: Bell) -> None:
        self._lines = lines
        self._channel = channel
        self._bell = bell
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._due = False  # we have something to tell
        self._hears = False  # the connection listens
        self._reading, self._writing = -1, -1  # a pipe that wakes the thread

    def ring(self) -> None:
        """Something has changed here. Returns at once."""
        if not self._due:
            self._due = True
            self._wake()

    def listen(self, ring: Callable[[], None]) -> Callable[[], None]:
        """Hear of others' changes; returns how to stop that."""
        stop = self._bell.listen(ring)
        self._wake()
        return stop

    def stop(self) -> None:
        """End the thread and wait for it."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopping = True
        if thread is not None:
            self._poke()
            thread.join(timeout=10)
            os.close(self._reading)
            os.close(self._writing)
        self._stopping = False

    def _wake(self) -> None:
        with self._lock:
            if self._thread is None:
                self._reading, self._writing = os.pipe()
                os.set_blocking(self._reading, False)
                os.set_blocking(self._writing, False)
                self._thread = threading.Thread(target=self._run, name="jobsworth-doorbell", daemon=True)
                self._thread.start()
        self._poke()

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full of pokes that have not been noticed yet
            os.write(self._writing, b"!")

    def _run(self) -> None:
        pause, longest = BACKOFF
        while not self._stopping:
            try:
                with contextlib.closing(self._lines.connect()) as line:
                    self._bell.ring()  # what happened while there was no connection was not heard
                    pause = BACKOFF[0]
                    self._serve(line)
            except psycopg.Error:  # the server is away: the verbs say so, this only comes back
                self._hears = False
                self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
                pause = min(longest, pause * 2)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            readable([self._reading], left)
            self._drain()

    def _serve(self, line: Line) -> None:
        self._hears = False
        told = 0.0
        while not self._stopping:
            if self._bell and not self._hears:
                line.execute(f'LISTEN "{self._channel}"')
                self._hears = True
            left = LOOK
            if self._due:
                left = told + PAUSE - time.monotonic()
                if left <= 0:
                    self._due = False
                    line.execute(f'NOTIFY "{self._channel}"')
                    told = time.monotonic()
                    continue
            if self._reading in readable([line.fileno(), self._reading], left):
                self._drain()
            others = [note for note in line.notifies(timeout=0) if note.pid != line.info.backend_pid]
            if others:
                self._bell.ring()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reading, 512):
                pass
