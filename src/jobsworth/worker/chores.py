"""Chores: what a worker does for the whole store, beside its office's rounds, which never wait for it.

Remove what was kept long enough, note how full the queues stand, tell of tasks that nobody runs. Over a slow line that
takes many seconds, and a job that is ready must not wait so long.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from jobsworth.bridge import drive
from jobsworth.engine import Engine, QueueStatus, Where
from jobsworth.errors import EngineUnavailable
from jobsworth.events import Listener, Unroutable
from jobsworth.job import State
from jobsworth.queue import Keep, Queue

# Seconds, jittered, so that workers started together do not all prune together; never more than a minute, so that each
# minute's statistics have a look at the queues.
EVERY = 50.0
AGAIN = 5.0  # seconds until what was broken off is tried again
TRIES = 3  # in a row, broken off, until somebody is told
BATCH = 500  # jobs deleted per transaction: nobody's claim waits long for it
REPORT_EVERY = 300.0  # seconds between reports of the same unroutable task


class Chores:
    """Started from the office's loop, done in a thread. `queues` are all of the app's, served here or not."""

    def __init__(self, engine: Engine, queues: Mapping[str, Queue], tell: Listener) -> None:
        self._engine = engine
        self._queues = queues
        self._tell = tell
        self._next: float | None = None  # on the loop's clock
        self._doing: asyncio.Future[None] | None = None
        self._leaving = False
        self._broken_off = 0  # times in a row
        self._reported: dict[tuple[str, str], float] = {}

    def look_after(self, now: float, *, accepting: bool) -> None:
        """Begin what is due now. Raises what went wrong with it the last time."""
        if self._next is None:
            self._next = now + EVERY * random.random()  # noqa: S311
        if self._doing is not None and self._doing.done():
            done, self._doing = self._doing, None
            self._hear_of(done, now)
        if self._doing is None and accepting and now >= self._next:
            self._next = now + EVERY * random.uniform(0.8, 1.2)  # noqa: S311
            if self._engine.blocking:
                self._doing = asyncio.wrap_future(_in_a_thread(self.do(now)))
            else:
                self._doing = asyncio.ensure_future(self.do(now))

    async def leave(self) -> None:
        """Break off between two questions, and return when no more will be asked."""
        self._leaving = True
        if self._doing is not None:
            await asyncio.wait([self._doing])
            self._doing.exception()  # whatever it is: another worker, or the next one, does it again

    def _hear_of(self, done: asyncio.Future[None], now: float) -> None:
        try:
            done.result()
        except EngineUnavailable:
            # If the engine is away the office's own rounds notice, and say so once.
            self._next = now + AGAIN
            self._broken_off += 1
            if self._broken_off % TRIES == 0:
                raise
        else:
            self._broken_off = 0

    async def do(self, now: float) -> None:
        """All of them, once. `now`: any clock that tells how long ago something was reported."""
        seen = await self._engine.queues(list(self._queues))
        await self._engine.upkeep(seen)
        self._report(seen, now)
        await self.prune()

    async def prune(self) -> None:
        """Remove finished jobs that their queue no longer keeps."""
        for where in [each for queue in self._queues.values() for each in _not_kept(queue)]:
            while not self._leaving and await self._engine.delete(where) == BATCH:
                continue

    def _report(self, seen: Sequence[QueueStatus], now: float) -> None:
        for status in seen:
            for task, jobs in status.unroutable.items():
                if now - self._reported.get((status.queue, task), -REPORT_EVERY) >= REPORT_EVERY:
                    self._reported[status.queue, task] = now
                    self._tell(Unroutable(status.queue, task, jobs))


def _in_a_thread(work: Coroutine[Any, Any, None]) -> Future[None]:
    """Drive it in a thread of its own. A loop's pool needs another to be ended, and while Python ends there is none."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            done.set_result(drive(work))
        except BaseException as exc:  # noqa: BLE001 (raised in the loop, by who looks at the future)
            done.set_exception(exc)

    threading.Thread(target=run, name="jobsworth-chores", daemon=True).start()
    return done


def _not_kept(queue: Queue) -> Iterator[Where]:
    """Which of its jobs a queue no longer keeps, so many at a time."""
    for keep, states in (
        (queue.keep, (State.COMPLETED, State.CANCELLED)),
        (queue.keep_failed, (State.FAILED,)),
    ):
        if not isinstance(keep, Keep):  # None keeps for ever; numbers became a Keep when the queue was checked
            continue
        if keep.age is not None:
            yield Where(queue=queue.name, states=states, finished_for=keep.age, limit=BATCH, newest_first=False)
        if keep.count is not None:
            yield Where(queue=queue.name, states=states, beyond=keep.count, limit=BATCH, newest_first=False)
