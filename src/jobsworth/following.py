"""The jobs of some queues as they change, wherever that happens: for whoever tells others of it.

It looks when the engine rings, at most five times a second, and once a second without a ring. What changes twice
between two looks is one change; the last state of a job is never missed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .engine import Engine, Where
from .job import FINAL, HELD, PENDING, Job

if TYPE_CHECKING:
    from .bridge import Bridge

LOOK_EVERY = 0.2  # seconds between two looks
POLL = 1.0  # seconds between looks when nothing rings
AT_MOST = 500  # waiting jobs of each queue, the newest; of the others that wait only their beginning is told
JUST_ENDED = 60.0  # seconds for which an ended job is told to whoever begins to follow
MARGIN = 5.0  # seconds: an ending is stamped before it can be seen


class Following:
    """What has changed in these queues since the last time of asking. For one thread at a time; it is never closed by
    itself, so use it with `with` or call close().
    """

    def __init__(self, bridge: Bridge, queues: Sequence[str]) -> None:
        self._bridge = bridge
        self._queues = tuple(queues)
        self._rung = threading.Event()
        self._rung.set()
        self._known: dict[str, int] = {}  # the version of each job that was seen in the last look
        self._looked: float | None = None  # a moment of time.monotonic()
        self._stop: Callable[[], None] | None = None
        self._closed = False

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def changes(self, within: float) -> list[Job]:
        """The jobs that have changed, each as it stands now, waiting for some up to `within` seconds; else nothing.

        The first time: those that run, those that wait, and those that have just ended. Raises EngineError.
        """
        deadline = time.monotonic() + within
        while not self._closed:
            left = deadline - time.monotonic()
            self._rung.wait(max(0.0, min(POLL, left)))
            if self._looked is not None and not self._closed:
                time.sleep(max(0.0, min(LOOK_EVERY, self._looked + LOOK_EVERY - time.monotonic())))
            self._rung.clear()
            if changed := self._look():
                return changed
            if left <= 0:
                break
        return []

    def close(self) -> None:
        """Follow no longer. From any thread; changes() returns at once."""
        self._closed = True
        self._rung.set()
        if self._stop is not None:
            self._stop()
            self._stop = None

    def _look(self) -> list[Job]:
        if self._closed:
            return []
        if self._stop is None:
            self._stop = self._bridge.engine.listen(self._rung.set)
        began = time.monotonic()
        lately = JUST_ENDED if self._looked is None else min(JUST_ENDED, began - self._looked + MARGIN)
        found = self._bridge.call(lambda engine: self._read(engine, lately))
        changed = [job for job in found if self._known.get(job.id) != job.version]
        self._known = {job.id: job.version for job in found}
        self._looked = began
        return changed

    async def _read(self, engine: Engine, lately: float) -> list[Job]:
        found: dict[str, Job] = {}
        for queue in self._queues:
            # Those that wait first: one that begins meanwhile is then read as running.
            for where in (
                Where(queue=queue, states=tuple(PENDING), limit=AT_MOST),
                Where(queue=queue, states=tuple(HELD), limit=None),
                Where(queue=queue, states=tuple(FINAL), finished_within=lately, limit=None),
            ):
                found.update((job.id, job) for job in await engine.find(where))
        return list(found.values())
