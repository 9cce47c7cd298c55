"""The worker: puts the office and the shop together, and takes them apart in order.

Shutdown is nesting: claiming ends, then jobs (or they are handed back after the grace, at no cost), then settling, then
the pulse.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from jobsworth.completion import Completions
from jobsworth.engine import WorkerCard
from jobsworth.engines import from_url
from jobsworth.errors import BadOption, ConfigurationError, EngineError
from jobsworth.events import Event, Listener, WorkerStarted, WorkerStarting, WorkerStopped, WorkerStopping
from jobsworth.log import harmless, read_aloud
from jobsworth.naming import checked, new_id
from jobsworth.queue import QueueService
from jobsworth.runners import capture
from jobsworth.version import VERSION

from .office import Office
from .shop import Shop
from .spec import spec_of

if TYPE_CHECKING:
    from types import TracebackType

    from jobsworth.app import Jobsworth

LEASE = 30.0
GRACE = 30.0
HEALTHY = 60.0  # seconds: outages shorter than this are no reason to restart a worker


class Worker:
    """Runs the jobs of a Jobsworth's queues, in this process.

    queues: names, {"name": slots} or "name:slots,name"; all of the app's queues if not given.
    lease:  seconds after which a worker that has died loses its jobs to others (at least 1; 5 is a good short one).
    grace:  seconds that running jobs get at shutdown before they are handed back.
    name:   what people know it by, host and pid if not given. Its id is that and a random part: no two share an id.
    spec:   where child processes find the app ("app:jobs"); found by itself if the app is a module's attribute.
    listener: hears the worker's events; by default they become log lines.
    capture_logs: what handlers log is kept with their jobs, as far as their queue's or task's log_level says.

    Use it as `async with` in a running loop (async handlers then run in that loop), as `with` in sync code (they run in
    a loop on a thread of its own), or call `run()` to work until a signal comes.
    """

    def __init__(
        self,
        app: Jobsworth,
        queues: str | Sequence[str] | Mapping[str, int] | None = None,
        *,
        lease: float = LEASE,
        grace: float = GRACE,
        name: str | None = None,
        spec: str | None = None,
        listener: Listener = read_aloud,
        capture_logs: bool = True,
    ) -> None:
        if not 1 <= lease < 86_400:
            raise BadOption(f"lease must be between 1 second and a day, not {lease!r}")
        if grace < 0:
            raise BadOption(f"grace must be at least 0 seconds, not {grace!r}")
        app.prepare()
        self.app = app
        self.slots = slots_from(app, queues)
        self._name = checked(name, "worker name") if name else None
        self._name_yourself()
        self._lease = lease
        self._grace = grace
        self._spec = spec
        self._tell = harmless(_all(listener, app.listeners))
        self._captures = capture_logs
        self._stop: asyncio.Event | None = None
        self._thread: _WorkerThread | None = None
        self._age: Callable[[], float] = lambda: math.inf
        self._check()

    def _check(self) -> None:
        tasks = [task for task in self.app.tasks.values() if any(map(task.runs_in, self.slots))]
        for task in tasks:
            letters = task.queue.dead_letter
            if letters and not isinstance(self.app.queues.get(letters), QueueService):
                raise ConfigurationError(
                    f"queue {task.queue.name!r} sends its dead letters to {letters!r}, which is no QueueService here",
                    hint="add a QueueService of that name to the same Jobsworth",
                )
        if any(task.isolation == "process" for task in tasks):
            self._spec = self._spec or spec_of(self.app)
            if self._spec is None:
                raise ConfigurationError(
                    'isolation="process" needs an app that a child process can import',
                    hint='make the Jobsworth a module\'s top-level variable, or pass spec="module:name"',
                )

    def _name_yourself(self) -> None:
        self._pid = os.getpid()
        self.id = f"{(self._name or _host_and_pid())[:121]}.{new_id()[-6:]}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if os.getpid() != self._pid:  # forked since
            self._name_yourself()
        tasks = [name for name, task in self.app.tasks.items() if any(map(task.runs_in, self.slots))]
        card = WorkerCard(
            id=self.id, host=socket.gethostname()[:128], pid=os.getpid(), version=VERSION, queues=dict(self.slots),
            tasks=tuple(sorted(tasks)),
        )  # fmt: skip
        # A blocking engine is shared with the program; an async one lives on one loop, so the office has its own.
        engine = self.app.engine if self.app.engine.blocking else from_url(self.app.url)
        queues, every_task = dict(self.app.queues), dict(self.app.tasks)
        self._office = Office(engine, card, self.slots, queues, every_task, self._lease, self._tell)
        self._age = lambda: self._office.last_round_age
        self._office.on_death = self.stop  # a worker that takes no jobs must not look alive
        # All the app's tasks, for a dead-letter queue that this worker does not serve.
        completions = Completions(engine, every_task)
        self._shop = Shop(
            every_task, self._office.ring, self._tell, self._spec, completions.begin, capture_logs=self._captures
        )
        if self._captures:
            capture.begin()  # before the first job is taken
        self._tell(WorkerStarting(self.id))
        try:
            await loop.run_in_executor(None, self._office.start, self._shop, loop)
        except BaseException:
            self._end_capture()
            raise
        self._tell(WorkerStarted(self.id, dict(self.slots)))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.shield(asyncio.ensure_future(self._leave()))

    async def _leave(self) -> None:
        await self._office.stop_claiming()
        self._tell(WorkerStopping(self.id, len(self._shop.runs), self._grace))
        await self._shop.drain(self._grace)
        await self._office.finish()
        await self._shop.close(self._grace)
        self._end_capture()
        self._tell(WorkerStopped(self.id))

    def _end_capture(self) -> None:
        if self._captures:
            capture.end()

    @property
    def last_turn_age(self) -> float:
        """Seconds since the worker last did, and was answered, all it had to do with the engine: at most a few while
        all is well, also when there are no jobs. Infinity before the first time and after the end. From any thread.
        """
        return self._age()

    def healthy(self, max_age: float = HEALTHY) -> bool:
        """True while the worker works: its last turn is at most `max_age` seconds old.

        To live, or to hold a connection, is not enough. False too when the engine has been away for longer than that.
        """
        return self._age() <= max_age

    async def run(self, *, signals: bool = False) -> None:
        """Work until stop() is called; with `signals`, until SIGTERM or SIGINT (twice: at once).

        Raises EngineError if the thread that talks to the engine has died.
        """
        loop = asyncio.get_running_loop()
        caught = (signal.SIGTERM, signal.SIGINT) if signals else ()
        for number in caught:  # before the first job is taken: from then on a signal must not just end the process
            loop.add_signal_handler(number, self._on_signal)
        try:
            async with self:
                await self.stopped()
        finally:
            for number in caught:
                loop.remove_signal_handler(number)
        if self._office.failure is not None:
            raise EngineError(
                f"worker {self.id} lost the thread that talks to the engine: {self._office.failure!r}",
                hint="its jobs run again elsewhere when their leases have run out; start it anew",
            ) from self._office.failure

    def look(self) -> None:
        """Look at the engine now, without waiting for a ring: its clock was moved, say. From any thread."""
        self._office.ring()

    async def stopped(self) -> None:
        """Wait until stop() is called."""
        assert self._stop is not None
        await self._stop.wait()

    def stop(self) -> None:
        """End run(). From the worker's own loop; from elsewhere use loop.call_soon_threadsafe."""
        if self._stop is not None:
            self._stop.set()

    def _on_signal(self) -> None:
        assert self._stop is not None
        if self._stop.is_set():
            self._shop.hurry()
        self._stop.set()

    # For sync code: the same worker in a thread.
    def __enter__(self) -> Self:
        self._thread = _WorkerThread(self)
        self._thread.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._thread is not None:
            self._thread.end()
            self._thread = None


class _WorkerThread(threading.Thread):
    """A loop on a thread of its own, for `with jobs.worker():` in sync code."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(name="jobsworth-worker", daemon=True)
        self._worker = worker
        self._ready = threading.Event()
        self._failed: BaseException | None = None

    def begin(self) -> None:
        self.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._worker.stop)
        self.join()

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:  # noqa: BLE001 (raised in begin())
            self._failed = exc
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._worker:
            self._ready.set()
            await self._worker.stopped()


def _all(listener: Listener, others: Sequence[Listener]) -> Listener:
    """What the worker tells: its own listener, and those of the program."""
    if not others:
        return listener
    each_harmless = [harmless(each) for each in (listener, *others)]

    def tell(event: Event) -> None:
        for each in each_harmless:
            each(event)

    return tell


def slots_from(app: Jobsworth, queues: str | Sequence[str] | Mapping[str, int] | None) -> dict[str, int]:
    """Slots by queue. Raises UnknownQueue (E107) or BadOption (E105)."""
    if queues is None:
        chosen: dict[str, Any] = dict.fromkeys(app.queues)
    elif isinstance(queues, Mapping):
        chosen = dict(queues)
    else:
        names = queues.split(",") if isinstance(queues, str) else queues
        parts = [name.strip().rpartition(":") for name in names if name.strip()]
        # "a:b" could be a queue of that very name: what follows the colon counts only if it is a number.
        chosen = {
            (name if name and count.isdigit() else f"{name}{colon}{count}"): int(count)
            if name and count.isdigit()
            else None
            for name, colon, count in parts
        }
    if not chosen:
        raise BadOption("there is no queue to work on", hint="add one with jobs.add(...) or declare a task")
    slots = {}
    for name, count in chosen.items():
        queue = app.queue_to_serve(name)
        slots[name] = queue.worker_count if count is None else count
        if not isinstance(slots[name], int) or slots[name] < 1:
            raise BadOption(f"queue {name!r} needs at least 1 slot, not {count!r}")
    return slots


def _host_and_pid() -> str:
    host = "".join(char if char.isalnum() or char in "_.-" else "-" for char in socket.gethostname())[:64] or "host"
    return f"{host}.{os.getpid()}"
