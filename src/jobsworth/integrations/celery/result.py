"""A task's result as its caller holds it: of a job (`AsyncResult`), or of a run that is over (`EagerResult`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from jobsworth.codec import decode
from jobsworth.context import running_job
from jobsworth.engine import Where
from jobsworth.errors import LONGEST_WAIT, WaitTimeout
from jobsworth.handle import cancelling
from jobsworth.job import FINAL, HELD, PENDING, Failure, Job, State

from . import current, exceptions, request, states
from .exceptions import NotSupported, TaskFailed, TaskRevokedError, TimeLimitExceeded, WorkerLostError
from .settings import CANVAS

if TYPE_CHECKING:
    from .app import Celery
    from .task import Task

_OURS = {
    f"{each.__module__}.{each.__qualname__}": each
    for each in (exceptions.SoftTimeLimitExceeded, exceptions.MaxRetriesExceededError)
}


class _Result:
    """What both kinds have in common."""

    id: str

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def status(self) -> str:
        return self.state

    @property
    def state(self) -> str:
        raise NotImplementedError

    @property
    def result(self) -> Any:
        raise NotImplementedError

    @property
    def info(self) -> Any:
        return self.result

    def ready(self) -> bool:
        """Whether it has ended, whichever way."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, Any], Any] | None = None) -> Any:
        """Raise its exception if it failed; else give its result."""
        state, value = self.state, self.result
        if callback is not None:
            callback(self.id, value)
        if propagate and state in states.PROPAGATE_STATES:
            raise value
        return value

    maybe_reraise = maybe_throw

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __eq__(self, other: object) -> bool:
        return other.id == self.id if isinstance(other, _Result) else other == self.id

    def __hash__(self) -> int:
        return hash(self.id)


class AsyncResult(_Result):
    """A job by its id. Every question reads the engine, until the job has ended.

    An id that is not known is PENDING, as in Celery; waiting for one raises JobNotFound (E301) instead of hanging.
    """

    def __init__(
        self,
        id: Any,  # noqa: A002 (Celery's name)
        backend: Any = None,
        task_name: str | None = None,
        app: Celery | None = None,
        parent: Any = None,
    ) -> None:
        del backend  # results live with their jobs
        self.id = str(id)
        self.app = app or current.app()
        self.parent = parent
        self._name = task_name
        self._ended: Job | None = None

    def _job(self) -> Job | None:
        if self._ended is not None:
            return self._ended
        found = self.app.jobs.find(ids=[self.id])
        if found and found[0].state in FINAL:
            self._ended = found[0]
        return found[0] if found else None

    @property
    def state(self) -> str:
        job = self._job()
        if job is None:
            return states.PENDING
        said = _said(job)
        return said[0] if said else states.of(job, tracked=self._tracked(job))

    def _tracked(self, job: Job) -> bool:
        task = self.app.tasks.get(job.task)
        return bool(task.tracked if task is not None else self.app.conf.task_track_started)

    @property
    def result(self) -> Any:
        """What it returned, the exception with which it failed, or what it said with update_state()."""
        job = self._job()
        if job is None:
            return None
        if job.state is State.COMPLETED:
            return self._value(job)
        if job.state in FINAL or (job.state in PENDING and job.failure is not None and job.errors):
            return exception_of(job, self.app.tasks.get(job.task))
        said = _said(job)
        return said[1] if said else None

    def _value(self, job: Job) -> Any:
        if job.result is None:
            return None
        task = self.app.jobs.tasks.get(job.task)
        return task.signature.unpack_result(job.result) if task is not None else decode(job.result)

    @property
    def traceback(self) -> str | None:
        job = self._job()
        return job.failure.traceback if job is not None and job.failure is not None else None

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
        on_message: Any = None,
        on_interval: Any = None,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """Wait for it. Raises its exception, TimeoutError, TaskRevokedError or JobNotFound (E301).

        Within a task RuntimeError, as in Celery: a slot that waits for another may wait for ever.
        """
        del interval, no_ack, follow_parents  # how Celery polls: the engine rings here
        if on_message is not None or on_interval is not None:
            raise NotSupported("get(on_message=, on_interval=) is not supported", hint="jobs.handle(id).wait(timeout=)")
        if disable_sync_subtasks and running_job() is not None:
            raise RuntimeError("never call result.get() within a task: it may wait for the very slot it holds")
        try:
            self._ended = self.app.jobs.handle(self.id).wait(timeout)
        except WaitTimeout as exc:
            raise exceptions.TimeoutError(exc.message) from exc
        return self.maybe_throw(propagate, callback)

    wait = get

    def forget(self) -> None:
        """Delete it, if it has ended. One that waits or runs stays, as in Celery."""
        where = Where(ids=(self.id,), states=tuple(FINAL))
        self.app.jobs.bridge.call(lambda engine: engine.delete(where))
        self._ended = None

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: Any = None,
        wait: bool = False,
        timeout: Any = None,
    ) -> None:
        """Never start it. With terminate also end a run: see `control.revoke`."""
        del connection, wait, timeout  # nobody needs to answer: it stands in the engine when this returns
        revoke(self.app, [self.id], terminate=terminate, signal=signal)

    @property
    def name(self) -> str | None:
        job = self._job()
        return job.task if job is not None else self._name

    @property
    def date_done(self) -> datetime | None:
        job = self._job()
        return datetime.fromtimestamp(job.finished_at, UTC) if job is not None and job.finished_at else None

    @property
    def retries(self) -> int | None:
        job = self._job()
        return None if job is None else max(0, job.errors - (job.state is State.FAILED))

    @property
    def worker(self) -> str | None:
        job = self._job()
        return None if job is None else job.worker

    @property
    def queue(self) -> str | None:
        job = self._job()
        return None if job is None else job.queue

    @property
    def args(self) -> list[Any] | None:
        return self._arguments()[0]

    @property
    def kwargs(self) -> dict[str, Any] | None:
        return self._arguments()[1]

    def _arguments(self) -> tuple[list[Any] | None, dict[str, Any] | None]:
        job = self._job()
        return (None, None) if job is None else self.app.arguments_of(job)

    @property
    def children(self) -> None:
        """What a task has sent is not kept with it: a job's meta knows its parent."""
        return

    def as_tuple(self) -> tuple[tuple[str, Any], None]:
        return (self.id, self.parent), None

    def then(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotSupported("then() is not supported", hint="link= in apply_async")

    def collect(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotSupported("collect(): " + CANVAS)

    def __iter__(self) -> Iterator[Any]:
        raise NotSupported("a result is one: " + CANVAS)

    def __reduce__(self) -> NoReturn:
        raise TypeError("store result.id, and ask AsyncResult(id) for it again")


class EagerResult(_Result):
    """Of a run in this process that is over."""

    def __init__(
        self,
        id: str,  # noqa: A002 (Celery's name)
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        self.id = id
        self._result = ret_value
        self._state = state
        self.traceback = traceback
        self.name = name
        self.date_done = datetime.fromtimestamp(time.time(), UTC)

    @property
    def state(self) -> str:
        return self._state

    @property
    def result(self) -> Any:
        return self._result

    def ready(self) -> bool:
        return True

    def get(
        self, timeout: float | None = None, propagate: bool = True, disable_sync_subtasks: bool = True, **_kwargs: Any
    ) -> Any:
        """Its result; raises its exception."""
        del timeout
        if disable_sync_subtasks and request.running() is not None and running_job() is not None:
            raise RuntimeError("never call result.get() within a task: it may wait for the very slot it holds")
        if self.state in states.PROPAGATE_STATES and propagate:
            raise self.result if isinstance(self.result, BaseException) else TaskFailed("Exception", str(self.result))
        return self.result

    wait = get

    def forget(self) -> None:
        """There is nothing to forget."""

    def revoke(self, *_args: Any, **_kwargs: Any) -> None:
        self._state = states.REVOKED


def revoke(app: Celery, ids: list[str], *, terminate: bool, signal: Any = None) -> list[str]:
    """Waiting jobs never start. Running ones end with terminate; without it they are let run, but not again.

    With terminate a child process is killed, a coroutine cancelled, and a thread asked: nothing can end a thread.
    """
    if signal not in (None, "SIGTERM", "TERM", 15, "SIGKILL", "KILL", 9):
        raise NotSupported(f"revoke(signal={signal!r}) is not supported", hint="a child process is ended by SIGKILL")
    move = cancelling("revoked", 0.0 if terminate else LONGEST_WAIT)
    waiting = Where(ids=tuple(ids), states=tuple(PENDING), limit=None)
    moved = app.jobs.bridge.call(lambda engine: engine.move(waiting, move))
    app.jobs.hearing.revoked_waiting(moved)
    if not terminate:  # a coroutine would be cancelled by asking
        held = app.jobs.find(ids=ids, states=[str(each) for each in HELD], limit=None)
        asynchronous = {task.name for task in app.tasks.values() if task.is_async}
        ids = [job.id for job in held if job.task not in asynchronous]
        if not ids:
            return moved
    where = Where(ids=tuple(ids), limit=None)
    return [*moved, *app.jobs.bridge.call(lambda engine: engine.move(where, move))]


def _said(job: Job) -> tuple[str, Any] | None:
    """The state and meta of update_state(), while it runs."""
    if job.state not in HELD or job.progress is None or job.progress.result is None:
        return None
    try:
        found = decode(job.progress.result.encode())
    except (msgspec.DecodeError, ValueError):
        return None
    if not isinstance(found, dict) or set(found) != {"state", "meta"}:
        return None
    return found["state"], found["meta"]


def exception_of(job: Job, task: Task | None) -> BaseException:
    """What a job failed with. A class is looked for among those that its task declares, never by a stored name."""
    failure = job.failure or Failure("Exception", "")
    known: dict[str, Callable[[str], BaseException]] = {
        "cancelled": TaskRevokedError, "expired": TaskRevokedError, "timeout": TimeLimitExceeded,
        "crashed": WorkerLostError,
    }  # fmt: skip
    made = known.get(failure.reason)
    if made is not None:
        return made(failure.message)
    if failure.type in _OURS:
        return _OURS[failure.type](failure.message)
    for declared in task.declared if task is not None else ():
        if _name(declared) == failure.type:
            try:
                return declared(failure.message)
            except Exception:  # noqa: BLE001 (it takes other arguments: then its text must do)
                break
    return TaskFailed(failure.type, failure.message, failure.traceback)


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Refused:
    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise NotSupported(f"{type(self).__name__}: {CANVAS}")


class GroupResult(_Refused):
    """Refused."""


class ResultSet(_Refused):
    """Refused."""


def allow_join_result() -> NoReturn:
    """Refused: pass disable_sync_subtasks=False to get()."""
    raise NotSupported("allow_join_result() is not supported", hint="result.get(disable_sync_subtasks=False)")
