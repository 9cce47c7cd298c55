"""A declared function, and the options a job of it may carry. Building a job does no I/O; only enqueue() does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypedDict, TypeVar, Unpack

import msgspec

from .codec import MAX_BYTES, encode
from .context import Around, CurrentJob, called_directly, running_job
from .errors import LONGEST_WAIT, BadArguments, BadOption
from .job import NewJob, storable, unique_tags
from .journal import is_level, number_of
from .naming import checked, new_id, new_ids
from .queue import ISOLATIONS, LEVEL, Isolation, Queue
from .retry import Retry
from .signature import Signature
from .transaction import checked_connection

if TYPE_CHECKING:
    from .handle import JobHandle
    from .transaction import UserConnection

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
_YEAR_9999 = 253_370_000_000  # seconds since the epoch: moments beyond it have no date


class Outlet(Protocol):
    """Where tasks send their jobs: a Jobsworth. `around` is entered around each run of a handler."""

    around: list[Around]

    def store(
        self, tasks: Sequence[Task[..., Any]], jobs: Sequence[NewJob], transaction: UserConnection | None = None
    ) -> list[JobHandle[Any]]: ...

    async def astore(
        self, tasks: Sequence[Task[..., Any]], jobs: Sequence[NewJob], transaction: UserConnection | None = None
    ) -> list[JobHandle[Any]]: ...


class OptionsGiven(TypedDict, total=False):
    """The options as a person writes them; Options says what each means."""

    delay: float | timedelta | None
    run_at: datetime | float | None
    priority: int | None
    key: str | None
    expires: float | timedelta | datetime | None
    timeout: float | timedelta | None
    max_attempts: int | None
    owner: str | None
    tags: Sequence[str] | None
    meta: Mapping[str, Any] | None
    label: str | None
    id: str | None
    transaction: UserConnection | None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What may travel with one job. It can never collide with the handler's own arguments.

    delay:        seconds (or a timedelta) before it may start.  run_at: the same as an aware datetime or epoch seconds.
    priority:     higher runs first; 0 by default.
    key:          at most one live job of the task has this key; enqueueing again returns that one's handle.
    expires:      seconds (or timedelta, or aware datetime) after which it must not start any more.
    timeout:      seconds an attempt may take.    max_attempts: attempts at most.
    owner:        whose job it is, for the app's own users ("user:7").
    tags, meta, label: for finding and showing it.    id: an id of your own, for idempotent enqueues.
    transaction:  a connection or session of yours, on the jobs' database: the job exists if and only if its open
                  transaction commits. sqlite3, psycopg 3 or SQLAlchemy; an async one needs aenqueue.
    """

    delay: float | None = None
    run_at: float | None = None
    priority: int | None = None
    key: str | None = None
    expires: float | None = None
    expires_at: float | None = None
    timeout: float | None = None
    max_attempts: int | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    meta: bytes | None = None
    label: str | None = None
    id: str | None = None
    transaction: Any = None


_NAMES = tuple(OptionsGiven.__annotations__)
NONE = Options()
NO_NAMES: dict[str, Any] = {}


def options_from(given: Mapping[str, Any]) -> Options:
    """Check and normalise what the user wrote. Raises BadOption or BadName."""
    if not given:
        return NONE
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _NAMES:
            raise BadOption(f"there is no option {name!r}", hint=f"options are {', '.join(_NAMES)}")
        if value is not None:
            values.update(_READERS[name](name, value))
    if "delay" in values and "run_at" in values:
        raise BadOption("delay and run_at exclude each other")
    return Options(**values)


def _seconds(name: str, value: Any) -> dict[str, Any]:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds <= LONGEST_WAIT:
        raise BadOption(f"{name} must be seconds (0 to a century's worth) or a timedelta, not {value!r}")
    return {name: float(seconds)}


def _moment(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise BadOption(
                f"{name}={value!r} has no time zone", hint="use datetime.now(timezone.utc) or a ZoneInfo, never naive"
            )
        value = value.timestamp()
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < _YEAR_9999:
        raise BadOption(f"{name} must be an aware datetime or seconds since the epoch, not {value!r}")
    return {name: float(value)}


def _expires(name: str, value: Any) -> dict[str, Any]:
    return _moment("expires_at", value) if isinstance(value, datetime) else _seconds(name, value)


def _timeout(name: str, value: Any) -> dict[str, Any]:
    seconds = _seconds(name, value)
    if seconds[name] == 0:
        raise BadOption(f"{name} must be above 0 seconds")
    return seconds


def _integer(name: str, value: Any) -> dict[str, Any]:
    least = 1 if name == "max_attempts" else -(2**31)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
        raise BadOption(f"{name} must be an integer of at least {least}, not {value!r}")
    return {name: value}


def _name(name: str, value: Any) -> dict[str, Any]:
    return {name: checked(value, name)}


def _tags(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        raise BadOption(f"tags must be a list of names, not {value!r}")
    return {name: unique_tags([checked(each, "tag") for each in value])}


def _meta(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadOption(f"meta must be a dict, not {value!r}")
    return {name: encode(dict(value), what="meta")}


def _label(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, str) or len(value) > 500:
        raise BadOption(f"label must be a string of at most 500 characters, not {value!r}")
    return {name: storable(value)}


def _transaction(name: str, value: Any) -> dict[str, Any]:
    return {name: checked_connection(value)}


_READERS: dict[str, Callable[[str, Any], dict[str, Any]]] = {
    "delay": _seconds, "run_at": _moment, "priority": _integer, "key": _name, "expires": _expires,
    "timeout": _timeout, "max_attempts": _integer, "owner": _name, "tags": _tags, "meta": _meta, "label": _label,
    "id": _name, "transaction": _transaction,
}  # fmt: skip


class Task(Generic[P, R_co]):
    """A declared function. Calling it just runs it; enqueue() stores a job with its arguments."""

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str,
        queue: Queue,
        outlet: Outlet,
        isolation: Isolation | None = None,
        retry: Retry | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        log_level: str | int | None = None,
        limit: int = MAX_BYTES,
    ) -> None:
        self.name = checked(name, "task name")
        self.fn = fn
        self.queue = queue
        self.anywhere = False  # True for a task whose jobs may be sent to any queue
        # Asked in the worker's process before a run: seconds that this job must wait first. They cost it no attempt.
        self.hold: Callable[[str], float] | None = None
        self.is_async = inspect.iscoroutinefunction(fn)
        self._outlet = outlet
        self._retry = retry
        self._max_attempts = max_attempts
        self._timeout = timeout
        self._log_level = log_level
        if not is_level(log_level):
            raise BadOption(f"task {name!r}: log_level must be {LEVEL}, not {log_level!r}")
        self.isolation: Isolation = isolation or queue.isolation or ("loop" if self.is_async else "thread")
        self._check_isolation()
        self.injects = _takes_job(fn)
        self.signature = Signature.of(fn, skip=int(self.injects), limit=limit)
        self.__name__ = getattr(fn, "__name__", name)
        self.__doc__ = fn.__doc__
        self.__wrapped__ = fn

    def _check_isolation(self) -> None:
        if self.isolation not in ISOLATIONS:
            raise BadOption(f"task {self.name!r}: isolation must be one of loop, thread, process")
        if self.isolation == "loop" and not self.is_async:
            raise BadOption(f"task {self.name!r}: a `def` would block the loop", hint='use isolation="thread"')
        if self.isolation == "thread" and self.is_async:
            raise BadOption(f"task {self.name!r}: an `async def` runs in the loop", hint='use isolation="loop"')

    @property
    def retry(self) -> Retry:
        """The retry policy: the task's own, else its queue's."""
        return self._retry or self.queue.retry

    @property
    def max_attempts(self) -> int:
        return self._max_attempts or self.retry.max_attempts

    @property
    def timeout(self) -> float | None:
        """Seconds an attempt may take, unless the job says otherwise."""
        return self._timeout if self._timeout is not None else self.queue.timeout

    @property
    def log_level(self) -> int:
        """The number of the level from which on what its handler logs is kept; journal.OFF for nothing."""
        return number_of(self.queue.log_level if self._log_level is None else self._log_level)

    def runs_in(self, queue: str) -> bool:
        """Whether a worker of that queue runs this task's jobs there."""
        return self.anywhere or self.queue.name == queue

    @property
    def around(self) -> Sequence[Around]:
        """What is entered around each run of the handler: see Jobsworth.around."""
        return self._outlet.around

    def __repr__(self) -> str:
        return f"<Task {self.name!r} on {self.queue.name!r}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        with self._direct() as first:
            result: R_co = self.fn(*first, *args, **kwargs)
        return result

    @contextmanager
    def _direct(self) -> Iterator[tuple[Any, ...]]:
        """A call without a queue: current_job() works, unless it is made inside another job, whose own it then is."""
        job = running_job()
        if job is not None:
            yield (job,) if self.injects else ()
            return
        with called_directly(self.queue.name, self.name, self.max_attempts) as job:
            yield (job,) if self.injects else ()

    def options(self, **options: Unpack[OptionsGiven]) -> TaskWithOptions[P, R_co]:
        """The task with options for the next enqueue: see Options. Raises BadOption or BadName."""
        return TaskWithOptions(self, options_from(options))

    def new_job(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """The job as a value, not stored; for jobs.enqueue_many()."""
        return self.build(args, kwargs, NONE)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R_co]:
        """Store a job; returns when it is durable. Raises ValueRefused, QueueFull or an EngineError."""
        return self._outlet.store([self], [self.build(args, kwargs, NONE)])[0]

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R_co]:
        """The async twin of enqueue."""
        return (await self._outlet.astore([self], [self.build(args, kwargs, NONE)]))[0]

    def enqueue_many(self, calls: Sequence[Any], options: Options = NONE) -> list[JobHandle[R_co]]:
        """Store many jobs in one transaction, all or none: each call a tuple of arguments or a dict of them."""
        jobs = self._build_many(calls, options)
        return self._outlet.store([self] * len(jobs), jobs, options.transaction)

    async def aenqueue_many(self, calls: Sequence[Any], options: Options = NONE) -> list[JobHandle[R_co]]:
        """The async twin of enqueue_many."""
        jobs = self._build_many(calls, options)
        return await self._outlet.astore([self] * len(jobs), jobs, options.transaction)

    def _build_many(self, calls: Sequence[Any], options: Options) -> list[NewJob]:
        if options is not NONE:
            return [self.build(*_arguments(call), options) for call in calls]
        pack, queue, name = self.signature.pack, self.queue.name, self.name
        attempts, room = self.max_attempts, self.queue.max_size
        packed = [pack(call, NO_NAMES) if type(call) is tuple else pack(*_arguments(call)) for call in calls]
        return [
            NewJob(id=job_id, queue=queue, task=name, args=args, max_attempts=attempts, max_size=room)
            for job_id, args in zip(new_ids(len(packed)), packed, strict=True)
        ]

    def build(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Options) -> NewJob:
        """A NewJob from arguments and options. Raises ValueRefused."""
        return self.packed_job(self.signature.pack(args, kwargs), options)

    def packed_job(self, packed: bytes, options: Options) -> NewJob:
        """A NewJob from the bytes of a call, as the signature packs one."""
        queue = self.queue
        if options is NONE:
            return NewJob(
                id=new_id(), queue=queue.name, task=self.name, args=packed, max_attempts=self.max_attempts,
                max_size=queue.max_size,
            )  # fmt: skip
        return NewJob(
            id=options.id or new_id(), queue=queue.name, task=self.name, args=packed,
            max_attempts=options.max_attempts or self.max_attempts, max_size=queue.max_size,
            delay=options.delay or 0.0, run_at=options.run_at, priority=options.priority or 0, key=options.key,
            owner=options.owner, label=options.label, tags=options.tags, meta=options.meta,
            timeout=options.timeout, expires=options.expires, expires_at=options.expires_at,
        )  # fmt: skip


class AsyncTask(Task[P, R_co]):
    """A declared coroutine function: calling it gives a coroutine, its jobs give what that returns."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:  # type: ignore[override]
        with self._direct() as first:
            result: R_co = await self.fn(*first, *args, **kwargs)
        return result


class TaskWithOptions(Generic[P, R_co]):
    """A task and the options of its next jobs."""

    def __init__(self, task: Task[P, R_co], options: Options) -> None:
        self._task = task
        self._options = options

    def new_job(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """The job as a value, not stored. Raises BadOption (E105) with `transaction`, which only storing can heed."""
        if self._options.transaction is not None:
            raise BadOption("new_job() stores nothing", hint="jobs.enqueue_many([...], transaction=conn)")
        return self._task.build(args, kwargs, self._options)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R_co]:
        """Store a job; returns when it is durable, or with `transaction` when it will be once that commits."""
        task, job = self._task, self._task.build(args, kwargs, self._options)
        return task._outlet.store([task], [job], self._options.transaction)[0]  # noqa: SLF001

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R_co]:
        """The async twin of enqueue."""
        task, job = self._task, self._task.build(args, kwargs, self._options)
        return (await task._outlet.astore([task], [job], self._options.transaction))[0]  # noqa: SLF001

    def enqueue_many(self, calls: Sequence[Any]) -> list[JobHandle[R_co]]:
        """Store many jobs with these options in one transaction."""
        return self._task.enqueue_many(calls, self._options)

    async def aenqueue_many(self, calls: Sequence[Any]) -> list[JobHandle[R_co]]:
        """The async twin of enqueue_many."""
        return await self._task.aenqueue_many(calls, self._options)


def _arguments(call: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(call, tuple):
        return call, {}
    if isinstance(call, Mapping):
        return (), dict(call)
    raise BadArguments(f"enqueue_many takes a tuple or a dict of arguments for each job, not {type(call).__name__}")


def _takes_job(fn: Callable[..., Any]) -> bool:
    """True when the first parameter is annotated as CurrentJob: it is then injected, not enqueued."""
    for parameter in inspect.signature(fn).parameters.values():
        annotation = parameter.annotation
        if isinstance(annotation, str):
            return annotation.split(".")[-1].strip("\"'") == CurrentJob.__name__
        return annotation is CurrentJob
    return False
