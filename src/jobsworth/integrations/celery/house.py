"""The Jobsworth behind a Celery app: its queues, and each task as a worker knows it."""

from __future__ import annotations

import inspect
import os
import types
import typing
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jobsworth.app import Jobsworth
from jobsworth.codec import decode
from jobsworth.errors import TimedOut
from jobsworth.job import Claim, Job
from jobsworth.queue import Isolation, Keep, Queue
from jobsworth.retry import Retry
from jobsworth.task import Task as JobsworthTask
from jobsworth.worker.spec import spec_of

from . import run, signals
from .calls import CallSignature, as_called, from_elsewhere
from .exceptions import MaxRetriesExceededError, differs
from .failures import exception_of
from .hearing import Hearing
from .request import kept_in
from .sending import NO_SOFT_LIMIT
from .tags import KNOWN

if TYPE_CHECKING:
    from jobsworth.worker import Worker

    from .app import Celery
    from .request import Context
    from .task import Task

UNBOUNDED = 2**31 - 1  # attempts of a task whose max_retries is None
UNTOLD = ("timeout", "crashed", "incompatible")  # reasons of failures that no run has told of
IN_PROCESSES = ("prefork", "processes")
# Annotations that say nothing to us: a value of these travels as it is, whatever stands there.
_JSON = (int, float, str, bool, list, dict, tuple, type(None), Any, object, *KNOWN)


class CeleryJobs(Jobsworth):
    """Where a Celery app's jobs live. Its workers send the app's signals."""

    def __init__(self, celery: Celery, url: str) -> None:
        super().__init__(url)
        self.celery = self.front = celery
        self._served: set[str] = set()  # queues that only a worker's command line named
        self.hearing = Hearing(celery, self._described)
        self.listeners.append(self.hearing.hear)

    def declare(self, task: Task) -> Handled:
        """A task of the app as one of the house's."""
        made = Handled(task, self._queue_for(task.home_queue))
        self._register(made)
        return made

    def elsewhere(self, task: Task) -> Handled:
        """A task that only other processes know: it can be sent to, and is no task of the house."""
        return Handled(task, super()._queue_for(self.celery.conf.task_default_queue))

    def _queue_for(self, queue: str | Queue) -> Queue:
        if isinstance(queue, str) and queue not in self.queues:
            self.add(CeleryQueue(self.celery, queue))
        return super()._queue_for(queue)

    def settle_in(self) -> None:
        """The app's settings have changed: its queues and tasks follow them."""
        for name in self.celery.queue_names():
            self._queue_for(name)
        for task in self.tasks.values():
            if isinstance(task, Handled):
                task.queue = self._queue_for(task.celery.home_queue)
                task.isolation = _isolation(task.celery)
                before, task.was_without_soft_limit = task.was_without_soft_limit, task.without_soft_limit
                if task.without_soft_limit and not before:
                    differs(NO_SOFT_LIMIT.format(task.name))
        for queue in self.queues.values():
            if isinstance(queue, CeleryQueue):
                queue.heed()
        used = {task.queue.name for task in self.tasks.values()} | set(self.celery.queue_names()) | self._served
        for name in [name for name, queue in self.queues.items() if isinstance(queue, CeleryQueue)]:
            if name not in used:
                del self.queues[name]

    def prepare(self) -> None:
        """Import what the settings `imports` and `include` name."""
        signals.import_modules.send(sender=self.celery)
        self.celery.import_modules()

    def prepare_child(self) -> None:
        """Tell whoever sets up processes in which tasks run."""
        self.hearing.in_child()

    def queue_to_serve(self, name: str) -> Queue:
        """Any queue may be served, also one that only other programs name, unless task_create_missing_queues says no.

        Raises UnknownQueue (E107).
        """
        if name not in self.queues and self.celery.conf.task_create_missing_queues:
            self._served.add(name)
            return self._queue_for(name)
        return super().queue_to_serve(name)

    def worker(self, queues: Any = None, **options: Any) -> Worker:
        """See Jobsworth.worker. Child processes find the app where this process has it."""
        return super().worker(queues, **{"spec": spec_of(self.celery), **options})

    def _described(self, claim: Claim) -> tuple[Handled, Context] | None:
        task = self.tasks.get(claim.task)
        if not isinstance(task, Handled):
            return None
        return task, run.described(task.celery, claim, *arguments_of(task, claim))


class CeleryQueue(Queue):
    """A queue of a Celery app. A job that is given up is told to its task's on_dead_letter."""

    grace = 0.0  # seconds: in Celery the time limit is the end

    def __init__(self, celery: Celery, name: str) -> None:
        self._celery = celery
        super().__init__(name)
        self.heed()

    def heed(self) -> None:
        """Its size and how long it keeps results, as the settings say."""
        conf = self._celery.conf
        solo = conf.worker_pool == "solo"
        chosen = None if conf.worker_concurrency == "auto" else conf.worker_concurrency
        self.worker_count = 1 if solo else int(chosen or os.cpu_count() or 1)
        self.keep = _kept_for(conf.result_expires)
        self.keep_failed = _kept_for(conf.result_failure_expires)
        self.check()

    def on_exhausted(self, job: Job, error: str) -> None:
        """Tell the task's own hook, in the words of Celery."""
        task = self._celery.jobs.tasks.get(job.task)
        if not isinstance(task, Handled):
            return
        args, kwargs = arguments_of(task, job)
        task_id = kept_in(meta_of(job)).get("id", job.id)
        why = exception_of(job, task.celery)
        reason = job.failure.reason if job.failure is not None else ""
        if reason in UNTOLD:
            einfo = run.ExceptionInfo(why, job.failure.traceback if job.failure else None)
            run.told_of(task.celery, job, args, kwargs, why, einfo)
        if reason == "exhausted":
            cause, text = why, f"{task.name}[{task_id}] has no retries left: {error}"
            why = MaxRetriesExceededError(text, task_args=args, task_kwargs=kwargs)
            why.__cause__ = cause
        einfo = run.ExceptionInfo(why, job.failure.traceback if job.failure else None)
        task.celery.on_dead_letter(why, task_id, args, kwargs, einfo)


def _kept_for(seconds: float | timedelta | None) -> Keep:
    """Celery's way to say how long; 0 and None are for ever."""
    age = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds or 0)
    return Keep(age=age) if age else Keep()


class Handled(JobsworthTask[..., Any]):
    """A Celery task as the house knows it: limits and retries are asked of the task when they are needed."""

    def __init__(self, celery: Task, queue: Queue) -> None:
        self.celery = celery
        super().__init__(
            handler_of(celery), name=celery.name, queue=queue, outlet=celery.app.jobs, isolation=_isolation(celery)
        )
        self.anywhere = True  # a task may be sent to any queue
        self.signature: CallSignature = CallSignature.of(self.fn)
        self.signature.converts = celery.pydantic
        self.hold = lambda job_id: celery.app.rates.wait(celery, job_id)

        self.was_without_soft_limit = self.without_soft_limit

    @property
    def without_soft_limit(self) -> bool:
        """Whether it has a soft limit that nothing can hold it to."""
        return bool(self.celery.soft_limit) and self.isolation != "process"

    @property
    def retry(self) -> Retry:
        """Only what the task itself asks for is tried again, and nothing whose time was over."""
        return Retry(max_attempts=self.max_attempts, retry_on=(), give_up_on=(TimedOut,))

    @property
    def max_attempts(self) -> int:
        bounds = [self.celery.max_retries, self.celery.retry_kwargs.get("max_retries", self.celery.max_retries)]
        return UNBOUNDED if None in bounds else 1 + max(0, *(int(each) for each in bounds if each is not None))

    @property
    def timeout(self) -> float | None:
        return self.celery.hard_limit


def _isolation(task: Task) -> Isolation:
    """Child processes where the settings name Celery's, or where a limit needs something that can be killed."""
    if task.is_async:
        return "loop"
    pool = task.app.conf.worker_pool if task.app.conf.given("worker_pool") else None
    limited = pool is None and (task.hard_limit or task.soft_limit)
    return "process" if limited or pool in IN_PROCESSES else "thread"


def handler_of(task: Task) -> Callable[..., Any]:
    """What a worker calls. It has the task's parameters, of which only such types are kept as JSON does not know:
    Celery checks no annotations, and its programs may not keep to theirs."""

    async def in_loop(*args: Any, **kwargs: Any) -> Any:
        return await run.acall(task, args, kwargs)

    def in_thread(*args: Any, **kwargs: Any) -> Any:
        return run.call(task, args, kwargs)

    handle: Any = in_loop if task.is_async else in_thread
    handle.__name__, handle.__doc__, handle.__module__ = task.name.rpartition(".")[2], task.__doc__, task.__module__
    handle.__signature__ = _plain(task.run)
    handle.__wrapped__ = getattr(task, "__wrapped__", task.run)  # whose lines it has
    made: Callable[..., Any] = handle
    return made


def _plain(fn: Callable[..., Any]) -> inspect.Signature:
    found = inspect.signature(fn)
    try:
        hints = typing.get_type_hints(fn, include_extras=True)
    except Exception:  # noqa: BLE001 (an annotation may run any code; one that cannot be read counts for nothing)
        hints = {}

    def kept(name: str) -> Any:
        hint = hints.get(name, inspect.Parameter.empty)
        return inspect.Parameter.empty if _json_only(hint) else hint

    parameters = [each.replace(annotation=kept(each.name)) for each in found.parameters.values()]
    return found.replace(parameters=parameters, return_annotation=kept("return"))


def _json_only(hint: Any) -> bool:
    if any(hint is each for each in _JSON) or hint is inspect.Parameter.empty:
        return True
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return True
    if origin in (list, dict, tuple, typing.Union, types.UnionType):
        return all(_json_only(each) for each in typing.get_args(hint) if each is not ...)
    return False


def arguments_of(task: Handled | None, job: Job | Claim) -> tuple[list[Any], dict[str, Any]]:
    """A job's arguments as they were given, to be shown; as stored where they no longer fit the task."""
    if task is not None:
        try:
            args, kwargs = task.signature.unpack(job.args)
            return as_called(task.signature, args, kwargs, kept_in(meta_of(job)).get("named", ()))
        except Exception:  # noqa: BLE001 (it is told of because something is wrong with it)
            return from_elsewhere(job.args)
    return from_elsewhere(job.args)


def meta_of(job: Job | Claim) -> dict[str, Any]:
    return decode(job.meta) if job.meta else {}
