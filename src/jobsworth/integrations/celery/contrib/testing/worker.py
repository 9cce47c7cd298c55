"""Workers in this process for the apps of a test, until nobody needs them."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from jobsworth.engine import Engine, Where
from jobsworth.integrations.celery.app import Celery
from jobsworth.integrations.celery.exceptions import NotSupported, differs
from jobsworth.integrations.celery.house import CeleryQueue
from jobsworth.job import HELD, LIVE, Job, NewJob, State
from jobsworth.naming import new_id
from jobsworth.testing import HandClock
from jobsworth.testing.hands import in_a_worker, read_traceback_aloud
from jobsworth.testing.kit import PATIENCE
from jobsworth.worker import Worker

from .app import POOL, Place, logging_of

WORKER_LOGLEVEL = os.environ.get("WORKER_LOGLEVEL", "error")
POOLS = (POOL, "threads")


@contextmanager
def start_worker(
    app: Celery,
    concurrency: int = 1,
    pool: str = POOL,
    loglevel: str | int = WORKER_LOGLEVEL,
    logfile: None = None,
    perform_ping_check: bool = True,
    ping_task_timeout: float = 10.0,
    shutdown_timeout: float = 10.0,
    *,
    queues: str | Sequence[str] | None = None,
    hostname: str | None = None,
    **others: Any,
) -> Iterator[TestWorker]:
    """A worker in this process: of the app, and where its jobs live in a test's place (the fixture celery_app, or
    setup_default_app) of all apps there. Outside of such a place it works on the store that the app itself names.

    concurrency:      jobs at once of each queue.  queues: those served, also as "a,b"; else all that the apps name.
    loglevel:         from which on the log is written to stderr, if the app was made with enable_logging.
    shutdown_timeout: seconds of real time that running jobs get at the end.
    Raises NotSupported (E105) for child processes and log files. Warns of what has no effect.
    """
    if pool not in POOLS:
        raise NotSupported(
            f"a test's worker with pool={pool!r} is not supported: what a test patches would not reach its processes",
            hint="jobs_real has a worker process",
        )
    if logfile is not None:
        raise NotSupported("logfile= is not supported", hint="caplog, or a handler of your own")
    for name, value in others.items():
        differs(f"start_worker({name}={value!r}) has no effect here")
    names = [name.strip() for name in queues.split(",")] if isinstance(queues, str) else queues
    worker = TestWorker(app, concurrency, names, hostname or f"gen.{new_id()[-8:]}", shutdown_timeout)
    app.set_current()
    with logging_of(app, loglevel), worker.working():
        if perform_ping_check and not app.control.ping(timeout=ping_task_timeout):
            raise RuntimeError("the worker was started, and does not answer")
        yield worker


class TestWorker:
    """What `celery_worker` is: a worker for each app whose tasks have jobs in the test's place.

    concurrency: jobs at once of each queue.  queues: those served; all that the apps name if None.
    """

    __test__ = False

    def __init__(
        self, app: Celery, concurrency: int, queues: Sequence[str] | None, hostname: str, shutdown_timeout: float
    ) -> None:
        self.app = app
        self.concurrency = concurrency
        self.queues = queues
        self.hostname = hostname
        self._grace = shutdown_timeout
        self._place = Place.of(app)
        self._serving: dict[Celery, _Served] = {}
        self._lock = threading.Lock()
        self._asked: list[tuple[str, str]] = []  # tasks that have jobs, with their queues
        self._stopped = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """Within the block there are workers."""
        with ExitStack() as stack:
            stack.callback(self.stop)
            self.reload()
            if self._place is not None:
                stack.enter_context(self._place.waiting(None))  # what runs may take its time
                self._place.stored.append(self._heard)
                stack.callback(self._place.stored.remove, self._heard)
                if self._place.clock is not None:
                    rider = _Rider(self, self._place.clock)
                    self._place.clock.board(rider)
                    stack.callback(self._place.clock.leave, rider)
            yield

    def reload(self, modules: Sequence[str] | None = None, reload: bool = False, reloader: Any = None) -> None:
        """Take up what has been declared since. Whoever enqueues has that done anyway. modules: imported before."""
        if reload or reloader is not None:
            raise NotSupported("a module that is imported is not imported again", hint="leave out reload=")
        for name in modules or ():
            importlib.import_module(name)
        with self._lock:  # the app itself has a worker in any case: somebody may want to inspect it
            if not self._stopped:
                self._give_worker(self.app)
        self._serve([(job.task, job.queue) for job in self.app.jobs.find(states=list(LIVE), limit=None)])

    def _heard(self, jobs: Sequence[NewJob]) -> None:
        self._serve([(job.task, job.queue) for job in jobs])

    def _serve(self, asked: Sequence[tuple[str, str]]) -> None:
        """See to it that for each of these there is a worker of an app that has them."""
        self._asked += asked
        # A handler does not wait for whoever is at it, for that may wait for the handler; and looks again afterwards.
        while self._asked and self._lock.acquire(blocking=not in_a_worker()):
            try:
                wanted, self._asked = dict.fromkeys(self._asked), []
                for task, queue in wanted:
                    if not self._stopped and not self.runs(task, queue):
                        self._see_to(task, queue)
            finally:
                self._lock.release()

    def _see_to(self, task: str, queue: str) -> None:
        for app in [self.app] if self._place is None else self._place.apps:
            if task in app.jobs.tasks and queue in self._slots_of(app):
                self._give_worker(app)
                return

    def _give_worker(self, app: Celery) -> None:
        """One that knows all the app's tasks and queues."""
        served, slots = self._serving.get(app), self._slots_of(app)
        if served is not None and (in_a_worker() or (served.tasks == app.jobs.tasks and served.slots == slots)):
            return  # a handler that ends its own worker would wait for itself
        if served is not None:
            del self._serving[app]
            served.end()
        if slots:
            self._serving[app] = _Served(app, slots, self.hostname, self._grace)

    def _slots_of(self, app: Celery) -> dict[str, int]:
        for name in self.queues or ():
            if name not in app.jobs.queues:  # it is asked for here, though the app does not name it
                app.jobs.add(CeleryQueue(app, name))
        return {name: self.concurrency for name in app.jobs.queues if self.queues is None or name in self.queues}

    def stop(self) -> None:
        """Finish what runs and take no more; so it is done at the end of the test anyway."""
        with self._lock, ExitStack() as stack:
            self._stopped = True
            for served in self._serving.values():
                stack.callback(served.end)
            self._serving.clear()

    def look(self) -> None:
        """Look now what is due."""
        for served in list(self._serving.values()):
            served.worker.look()

    def runs(self, task: str, queue: str) -> bool:
        """Whether it runs jobs of that task in that queue."""
        return any(task in each.tasks and queue in each.slots for each in list(self._serving.values()))

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"a test's worker has no {name!r} here: it has app, hostname, concurrency, reload(), stop()"
        )


class _Served:
    """One app's worker, and what it knows of."""

    def __init__(self, app: Celery, slots: Mapping[str, int], hostname: str, grace: float) -> None:
        self.tasks, self.slots = dict(app.jobs.tasks), dict(slots)
        self.worker: Worker = app.jobs.worker(
            slots, grace=grace, name=hostname.replace("@", "."), listener=read_traceback_aloud
        )
        self.worker.__enter__()

    def end(self) -> None:
        self.worker.__exit__(None, None, None)


class _Rider:
    """Goes along with the clock: what comes due on the way runs at its own moment, as with real time."""

    def __init__(self, worker: TestWorker, clock: HandClock) -> None:
        self._worker = worker
        self._clock = clock
        self._bridge = worker.app.jobs.bridge

    def next_stop(self) -> float | None:
        __tracebackhide__ = True
        if in_a_worker():
            return None
        self._wait()
        return self._bridge.call(self._next)

    def arrived(self) -> None:
        __tracebackhide__ = True
        if not in_a_worker():
            self._worker.look()
            self._wait()

    def _wait(self) -> None:
        """Until all that is due has run."""
        __tracebackhide__ = True
        if self._bridge.wait(self._idle, PATIENCE) is None:
            raise AssertionError(f"the worker was still busy after {PATIENCE:g} s, while the clock was moved")

    async def _idle(self, engine: Engine) -> bool | None:
        now = self._clock.now
        return not any(job.state in HELD or (job.run_at or 0.0) <= now for job in await self._jobs(engine)) or None

    async def _next(self, engine: Engine) -> float | None:
        waiting = [job.run_at or 0.0 for job in await self._jobs(engine) if job.state is State.SCHEDULED]
        return min(waiting, default=None)

    async def _jobs(self, engine: Engine) -> list[Job]:
        paused = {status.queue for status in await engine.queues(brief=True) if status.paused}
        live = await engine.find(Where(states=tuple(LIVE), limit=None))
        return [
            job
            for job in live
            if job.state in HELD or (self._worker.runs(job.task, job.queue) and job.queue not in paused)
        ]
