"""Jobsworth: an engine, its queues and tasks, and everything a program asks of them."""

from __future__ import annotations

import inspect
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar, overload

import msgspec

from .context import Around, CurrentJob
from .dead import DeadLetters
from .decorator import TaskDecorator
from .defer import Deferrals
from .engine import Engine, QueueSettings, QueueStatus, Where, WorkerCard
from .errors import BadOption, UnknownQueue, UnknownTask
from .events import Listener
from .handle import JobHandle, cancelling, find_one, status_of, where_from
from .home import AtHome, Home
from .job import Job, JobId, NewJob, State
from .lifespan import Lifespan
from .naming import checked
from .queue import Isolation, Queue, QueueService
from .retry import Retry
from .snapshot import queue_part
from .suggest import did_you_mean
from .task import AsyncTask, Task
from .tokens import Tokens
from .totals import Totals, totals
from .transaction import aenqueue_within, enqueue_within

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .transaction import UserConnection
    from .why import Why
    from .worker import Worker

P = ParamSpec("P")
R = TypeVar("R")
DEFAULT_QUEUE = "default"


class Jobsworth(AtHome):
    """A program's queues and where their jobs live.

    url:       the engine's URL; else the variable JOBSWORTH_URL, else an SQLite file in the working directory.
    queues:    queues to add.  providers: the same as a dict, whose keys are the queues' names.
    engine:    an engine made by hand, instead of a URL.
    secret:    what job.token() signs with, at least 16 characters; several, newest first, while one is replaced. Else
               the variable JOBSWORTH_SECRET (several with commas between them).

    around:    a list to add to: what stands around every run of a handler. Each is called with the CurrentJob and gives
               a context manager, entered in the run's own thread, coroutine or child process; one that is asynchronous
               too is entered as such around coroutines.
    listeners: a list to add to: what hears the events of this program's workers, beside their own listener.

    Nothing is opened before the first use. It may be used from any thread, from a running loop (the a-prefixed verbs)
    and after a fork.
    """

    made: ClassVar[weakref.WeakSet[Jobsworth]] = weakref.WeakSet()  # all of this process that are still in use
    front: object | None = None  # what a program's module holds instead of this: a Celery, say

    def __init__(
        self,
        url: str | None = None,
        queues: Sequence[Queue] = (),
        *,
        providers: Mapping[str, Queue] | None = None,
        engine: Engine | None = None,
        secret: str | Sequence[str] | None = None,
    ) -> None:
        self._home = Home.given(url, engine)
        self.tokens = Tokens(os.environ.get("JOBSWORTH_SECRET") if secret is None else secret)
        self.queues: dict[str, Queue] = {}
        self.tasks: dict[str, Task[..., Any]] = {}
        self.around: list[Around] = []
        self.listeners: list[Listener] = []
        self.lifespan = Lifespan(self)  # FastAPI(lifespan=jobs.lifespan), and so on
        self._implied: set[str] = set()  # queues that exist only because a task named them
        self._deferrals = Deferrals()
        for queue in queues:
            self.add(queue)
        for name, queue in (providers or {}).items():
            queue.name = name
            self.add(queue)
        self.made.add(self)

    def __repr__(self) -> str:
        return f"<Jobsworth on {self.engine!r}, {len(self.queues)} queues>"

    # Declaring.
    def add(self, queue: QueueT) -> QueueT:
        """Add a queue; returns it. Raises BadOption if its name is taken or the declaration makes no sense."""
        if not queue.name:
            raise BadOption(f"{type(queue).__name__} has no name", hint='set `name = "..."` in the class')
        queue.check()
        known = self.queues.get(queue.name)
        if known is not None and known is not queue and not (type(known) is Queue and known.name in self._implied):
            raise BadOption(f"there is already a queue named {queue.name!r}")
        if known is not None and known is not queue:
            for declared in self.tasks.values():
                if declared.queue is known:
                    declared.queue = queue
        self.queues[queue.name] = queue
        self._implied.discard(queue.name)
        if isinstance(queue, QueueService):
            task: Task[..., Any] = Task(queue.handle_item, name=queue.name, queue=queue, outlet=self)
            queue.bind(task)
            self._register(task)
        return queue

    @overload
    def task(self, fn: Callable[Concatenate[CurrentJob, P], Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def task(self, fn: Callable[Concatenate[CurrentJob, P], R], /) -> Task[P, R]: ...
    @overload
    def task(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def task(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        fn: None = None,
        /,
        *,
        queue: str | Queue = ...,
        name: str | None = ...,
        isolation: Isolation | None = ...,
        retry: Retry | None = ...,
        max_attempts: int | None = ...,
        timeout: float | None = ...,
        log_level: str | int | None = ...,
    ) -> TaskDecorator: ...
    def task(
        self,
        fn: Callable[..., Any] | None = None,
        /,
        *,
        queue: str | Queue = DEFAULT_QUEUE,
        name: str | None = None,
        isolation: Isolation | None = None,
        retry: Retry | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        log_level: str | int | None = None,
    ) -> Any:
        """Declare a function as a task: `@jobs.task` or `@jobs.task(queue="mailers", max_attempts=5)`.

        queue: its queue ("default" if not given), which is added with its defaults if nobody declared it.
        name: the function's name if not given; it is what is stored, so it must stay the same.
        isolation, retry, max_attempts, timeout, log_level: instead of the queue's ("OFF" keeps no log).
        """

        def declare(fn: Callable[..., Any]) -> Task[..., Any]:
            kind = AsyncTask if inspect.iscoroutinefunction(fn) else Task
            task: Task[..., Any] = kind(
                fn, name=name or fn.__name__, queue=self._queue_for(queue), outlet=self, isolation=isolation,
                retry=retry, max_attempts=max_attempts, timeout=timeout, log_level=log_level,
            )  # fmt: skip
            self._register(task)
            return task

        return TaskDecorator(declare) if fn is None else declare(fn)

    def _queue_for(self, queue: str | Queue) -> Queue:
        if isinstance(queue, Queue):
            return self.queues[queue.name] if queue is self.queues.get(queue.name) else self.add(queue)
        if queue not in self.queues:
            self.queues[checked(queue, "queue name")] = Queue(queue)
            self._implied.add(queue)
        return self.queues[queue]

    def _register(self, task: Task[..., Any]) -> None:
        known = self.tasks.get(task.name)
        if known is not None and known.fn != task.fn:
            raise BadOption(
                f"there is already a task named {task.name!r}", hint='give one of them another: @jobs.task(name="...")'
            )
        self.tasks[task.name] = task

    def find_task(self, name: str) -> Task[..., Any]:
        """The task of that name. Raises UnknownTask (E106)."""
        if name not in self.tasks:
            raise UnknownTask(f"there is no task {name!r} here", hint=did_you_mean(name, self.tasks))
        return self.tasks[name]

    def find_queue(self, name: str) -> Queue:
        """The queue of that name. Raises UnknownQueue (E107)."""
        if name not in self.queues:
            raise UnknownQueue(f"there is no queue {name!r} here", hint=did_you_mean(name, self.queues))
        return self.queues[name]

    def queue_to_serve(self, name: str) -> Queue:
        """The queue of that name, for a worker that was told to serve it. For a subclass: to add one.

        Raises UnknownQueue (E107).
        """
        return self.find_queue(name)

    # Enqueueing.
    def enqueue_many(
        self, jobs: Sequence[NewJob], *, transaction: UserConnection | None = None
    ) -> list[JobHandle[Any]]:
        """Store jobs made with task.new_job(...) in one transaction: all of them or none. transaction: see Options."""
        return self.store([self.find_task(job.task) for job in jobs], jobs, transaction)

    async def aenqueue_many(
        self, jobs: Sequence[NewJob], *, transaction: UserConnection | None = None
    ) -> list[JobHandle[Any]]:
        """The async twin of enqueue_many."""
        return await self.astore([self.find_task(job.task) for job in jobs], jobs, transaction)

    def store(
        self, tasks: Sequence[Task[..., Any]], jobs: Sequence[NewJob], transaction: UserConnection | None = None
    ) -> list[JobHandle[Any]]:
        """Store built jobs and give their handles; tasks[i] is the task of jobs[i]."""
        if transaction is not None:
            return self._handles(tasks, enqueue_within(self.bridge, transaction, jobs))
        return self._handles(tasks, self.bridge.enqueue(jobs) if jobs else [])

    async def astore(
        self, tasks: Sequence[Task[..., Any]], jobs: Sequence[NewJob], transaction: UserConnection | None = None
    ) -> list[JobHandle[Any]]:
        """The async twin of store."""
        if transaction is not None:
            return self._handles(tasks, await aenqueue_within(self.bridge, transaction, jobs))
        return self._handles(tasks, await self.bridge.aenqueue(jobs) if jobs else [])

    def _handles(self, tasks: Sequence[Task[..., Any]], receipts: Sequence[Any]) -> list[JobHandle[Any]]:
        return [
            JobHandle(self.bridge, receipt.id, task.signature.unpack_result, self.tokens, created=receipt.created)
            for task, receipt in zip(tasks, receipts, strict=True)
        ]

    def defer(self, fn: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run `fn` soon, in this process: not stored, not retried, no history; drained when the program ends.

        For what may be lost and needs no slot. Its exception is logged and given to `on_deferred_error`.
        """
        self._deferrals.submit(fn, *args, **kwargs)

    @property
    def on_deferred_error(self) -> Callable[[Callable[..., Any], BaseException], None] | None:
        """Called with the function and its exception when a deferred action fails. None by default."""
        return self._deferrals.on_error

    @on_deferred_error.setter
    def on_deferred_error(self, hook: Callable[[Callable[..., Any], BaseException], None] | None) -> None:
        self._deferrals.on_error = hook

    # Asking.
    def handle(self, job_id: JobId) -> JobHandle[Any]:
        """A handle for a job's id; the job is looked up at the first question."""
        return JobHandle(self.bridge, job_id, self._read, self.tokens)

    def _read(self, data: bytes) -> Any:
        return msgspec.json.decode(data)

    def job_status(self, queue: str, job_id: JobId) -> dict[str, Any]:
        """The status snapshot of a job in a queue (see jobsworth.snapshot). Raises JobNotFound (E301)."""
        return self.bridge.call(lambda engine: self._job_status(engine, queue, job_id))

    async def ajob_status(self, queue: str, job_id: JobId) -> dict[str, Any]:
        """The async twin of job_status."""
        return await self.bridge.acall(lambda engine: self._job_status(engine, queue, job_id))

    async def _job_status(self, engine: Engine, queue: str, job_id: JobId) -> dict[str, Any]:
        return await status_of(engine, await find_one(engine, job_id, queue))

    def request_job_cancel(self, queue: str, job_id: JobId, reason: str | None = None) -> dict[str, Any]:
        """Ask a job to stop; returns its snapshot, `accepted` telling whether that changed anything.

        Raises JobNotFound (E301).
        """
        return self.bridge.call(lambda engine: self._request_job_cancel(engine, queue, job_id, reason))

    async def arequest_job_cancel(self, queue: str, job_id: JobId, reason: str | None = None) -> dict[str, Any]:
        """The async twin of request_job_cancel."""
        return await self.bridge.acall(lambda engine: self._request_job_cancel(engine, queue, job_id, reason))

    async def _request_job_cancel(
        self, engine: Engine, queue: str, job_id: JobId, reason: str | None
    ) -> dict[str, Any]:
        moved = await engine.move(Where(ids=(job_id,), queue=queue), cancelling(reason))
        return await status_of(engine, await find_one(engine, job_id, queue), accepted=bool(moved))

    def why(self, job_id: JobId) -> Why:
        """Why a job is not running, or what it does instead; see JobHandle.why. Raises JobNotFound (E301)."""
        return self.handle(job_id).why()

    async def awhy(self, job_id: JobId) -> Why:
        """The async twin of why."""
        return await self.handle(job_id).awhy()

    def find(self, **filters: Any) -> list[Job]:
        """Jobs by queue, task, states, tag, owner, text, ids...: the fields of Where. Newest first, at most 100."""
        where = where_from(filters)
        return self.bridge.call(lambda engine: engine.find(where))

    async def afind(self, **filters: Any) -> list[Job]:
        """The async twin of find."""
        where = where_from(filters)
        return await self.bridge.acall(lambda engine: engine.find(where))

    def queue_snapshot(self, name: str) -> dict[str, Any]:
        """A queue in numbers: its name, paused, pending, active, active_jobs, workers, slots, counts per state, oldest
        (seconds), in_rate and out_rate (jobs in the last minute), unroutable (queued jobs by unknown task)."""
        return self.bridge.call(lambda engine: self._queue_snapshot(engine, name))

    async def aqueue_snapshot(self, name: str) -> dict[str, Any]:
        """The async twin of queue_snapshot."""
        return await self.bridge.acall(lambda engine: self._queue_snapshot(engine, name))

    async def _queue_snapshot(self, engine: Engine, name: str) -> dict[str, Any]:
        (status,) = await engine.queues([checked(name, "queue name")])
        held = Where(queue=name, states=(State.RUNNING, State.CANCELLING), newest_first=False)
        active = [job.id for job in await engine.find(held)]
        return {
            "queue": name, "paused": status.paused, **queue_part(status, active), "slots": status.slots,
            "counts": {state.value: status.counts.get(state, 0) for state in State}, "oldest": status.oldest,
            "in_rate": status.in_rate, "out_rate": status.out_rate, "unroutable": status.unroutable,
        }  # fmt: skip

    def totals(self, queue: str | None = None) -> Totals:
        """Processed, failed, active, queued, scheduled, retrying and dead, of one queue or of all: see Totals."""
        return self.bridge.call(lambda engine: totals(engine, queue))

    async def atotals(self, queue: str | None = None) -> Totals:
        """The async twin of totals."""
        return await self.bridge.acall(lambda engine: totals(engine, queue))

    def queue_statuses(self) -> list[QueueStatus]:
        """Every queue that holds jobs, has settings or has live workers."""
        return self.bridge.call(lambda engine: engine.queues())

    def workers(self) -> list[WorkerCard]:
        """The live workers, wherever they run."""
        return self.bridge.call(lambda engine: engine.workers())

    # Operating.
    def pause(self, queue: str) -> None:
        """Stop all workers from taking jobs of a queue; running ones go on."""
        self._configure(queue, paused=True)

    def resume(self, queue: str) -> None:
        """Let workers take jobs of a queue again."""
        self._configure(queue, paused=False)

    def purge(self, queue: str) -> int:
        """Delete every waiting job of a queue; returns how many. Running and finished ones stay."""
        where = Where(queue=checked(queue, "queue name"), states=(State.SCHEDULED, State.QUEUED), limit=None)
        return self.bridge.call(lambda engine: engine.delete(where))

    def _configure(self, queue: str, *, paused: bool) -> None:
        name = checked(queue, "queue name")
        self.bridge.call(lambda engine: engine.configure(name, QueueSettings(paused=paused)))

    def dead_letters(self, queue: str | None = None) -> DeadLetters:
        """The jobs that were given up, of one queue or of all."""
        return DeadLetters(self.bridge, self.find_task, queue)

    def waiting_for(self) -> str | None:
        """What keeps jobs that were enqueued here from being stored yet, in words. For a subclass."""
        return None

    def prepare(self) -> None:
        """Called before a worker of this program is made. For a subclass: to load what declares its tasks."""

    def prepare_child(self) -> None:
        """Called after that in each child process of a worker, before its first job. For a subclass."""

    def worker(self, queues: str | Sequence[str] | Mapping[str, int] | None = None, **options: Any) -> Worker:
        """A worker for this program: `with jobs.worker(): ...`, `async with jobs.worker(): ...` or `.run()`.

        queues: names, or names with slots ({"images": 4} or "images:4,mailers"); all queues if not given.
        options: those of jobsworth.worker.Worker (lease, grace, name...).
        """
        from .worker import Worker

        return Worker(self, queues, **options)

    def open(self) -> None:
        """Connect and bring the schema up to date now, and not at the first use."""
        self.bridge.open()

    def close(self) -> None:
        """Finish what was deferred and let go of the engine. Using the Jobsworth again opens it again."""
        self._deferrals.drain()
        self.bridge.close()


QueueT = TypeVar("QueueT", bound=Queue)
