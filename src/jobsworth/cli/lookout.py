"""Looks at the engine now and then, on a thread of its own, so that a screen never waits for an engine that is away."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from jobsworth.app import Jobsworth
from jobsworth.engine import Engine, QueueStatus, Where, WorkerCard
from jobsworth.errors import EngineError
from jobsworth.job import HELD, Job, State

SAMPLES = 60  # looks that a queue's curve goes back
RUNNING_SHOWN, FAILED_SHOWN = 100, 20  # jobs fetched per look
RECENT = 3600.0  # seconds in which the newest failures are looked for, by when they failed


class Sight(msgspec.Struct, frozen=True):
    """What was seen at one look; `at` on the wall clock. `whole`: every running job is in `running`."""

    at: float
    queues: list[QueueStatus]
    workers: list[WorkerCard]
    running: list[Job]
    failed: list[Job]
    whole: bool


class Loss(msgspec.Struct, frozen=True):
    """The engine has not answered since then (on the wall clock), and why."""

    since: float
    why: str


async def look(engine: Engine, queue: str | None) -> Sight:
    """Look once; the jobs are those of one queue, if one is named."""
    queues, workers = await engine.queues(), await engine.workers()
    held = Where(queue=queue, states=tuple(HELD), newest_first=False, limit=RUNNING_SHOWN)
    running = await engine.find(held)
    busy = Counter(job.worker for job in running)
    whole = queue is None and len(running) < RUNNING_SHOWN
    if whole:
        # A card tells how busy its worker was at its last heartbeat; the jobs themselves tell how busy it is.
        workers = [msgspec.structs.replace(card, running=busy[card.id]) for card in workers]
    dead = Where(queue=queue, states=(State.FAILED,), limit=FAILED_SHOWN)
    failed = await engine.find(msgspec.structs.replace(dead, finished_within=RECENT, limit=10 * FAILED_SHOWN))
    failed = failed or await engine.find(dead)
    newest = sorted(failed, key=lambda job: job.finished_at or 0.0, reverse=True)[:FAILED_SHOWN]
    return Sight(time.time(), queues, workers, running, newest, whole)


class Lookout:
    """Looks every `interval` seconds, and at once when asked; calls `changed`, from its own thread, after each look.

    `queue`: whose jobs are looked at. `sight`, `loss` and `curves` (waiting jobs by queue, the oldest first) are the
    newest there is.
    """

    def __init__(self, store: Jobsworth, interval: float, changed: Callable[[], None]) -> None:
        self._store = store
        self._interval = interval
        self._changed = changed
        self._wanted = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="jobsworth-lookout", daemon=True)
        self.queue: str | None = None
        self.sight: Sight | None = None
        self.loss: Loss | None = None
        self.mistake: Exception | None = None  # of ours: it ended the thread
        self.curves: dict[str, tuple[int, ...]] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look_now(self) -> None:
        """Do not wait for the rest of the interval."""
        self._wanted.set()

    def stop(self) -> None:
        """End, soon: a look at an engine that is away is not waited for."""
        self._over = True
        self._wanted.set()
        self._thread.join(0.5)

    def once(self) -> None:
        """Look now, in this thread. Raises EngineError."""
        queue = self.queue
        self.sight = self._store.bridge.call(lambda engine: look(engine, queue))
        self.loss = None
        self.curves = {
            status.queue: (*self.curves.get(status.queue, ()), status.counts.get(State.QUEUED, 0))[-SAMPLES:]
            for status in self.sight.queues
        }

    def _run(self) -> None:
        while True:
            self._wanted.clear()
            if self._over:  # asked for before it was wanted, so this cannot miss it
                return
            try:
                self.once()
            except EngineError as exc:
                self.loss = Loss(self.loss.since if self.loss else time.time(), exc.message)
            except Exception as exc:  # noqa: BLE001 (raised again where it can be told)
                self.mistake = exc
            if not self._over:
                self._changed()
            if self.mistake is not None:
                return
            self._wanted.wait(self._interval)
