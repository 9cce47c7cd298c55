"""A job's result as its caller holds it: `AsyncResult`, and revoking."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from jobsworth.codec import decode
from jobsworth.context import running_job
from jobsworth.engine import Where
from jobsworth.errors import LONGEST_WAIT, JobNotFound, WaitTimeout
from jobsworth.handle import cancelling
from jobsworth.job import FINAL, HELD, PENDING, Job, State

from . import current, exceptions, request, states
from .exceptions import NotSupported
from .failures import exception_of
from .naming import CHILD_OF
from .result_base import ResultBase
from .settings import CANVAS
from .tags import untag

if TYPE_CHECKING:
    from .app import Celery

FOLLOWED = "_celery_followed_by"  # the only entry of a result: the job that goes on, after retry(args=...)


class AsyncResult(ResultBase):
    """A job by its id. Every question reads the engine, until the job has ended.

    An id that is not known is PENDING, as in Celery; waiting for one raises ResultNotFound (E301) instead of hanging.
    """

    TimeoutError = exceptions.TimeoutError

    def __init__(
        self,
        id: Any,  # noqa: A002 (Celery's name)
        backend: Any = None,
        task_name: str | None = None,
        app: Celery | None = None,
        parent: Any = None,
    ) -> None:
        del backend  # results live with their jobs
        if id is None:
            raise ValueError(f"AsyncResult requires valid id, not {type(id)}")
        self.id = str(id)
        self.app = app or current.app()
        self.parent = parent
        self.ignored = False  # whether it was sent with ignore_result: get() then gives None at once
        self._name = task_name
        self._ended: Job | None = None

    def _job(self) -> Job | None:
        if self._ended is not None:
            return self._ended
        job = _found(self.app, self.id)
        while job is not None and (follower := followed_by(job)) is not None:
            job = _found(self.app, follower)
        if job is not None and job.state in FINAL:
            self._ended = job
        return job

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
        return task.signature.unpack_result(job.result) if task is not None else untag(decode(job.result))

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
        EXCEPTION_STATES: Any = None,  # noqa: N803 (Celery's names)
        PROPAGATE_STATES: Any = None,  # noqa: N803
    ) -> Any:
        """Wait for it. Raises its exception, TaskRevokedError, TimeoutError or ResultNotFound (E301), which is one.

        Within a task RuntimeError, as in Celery: a slot that waits for another may wait for ever.
        """
        # How Celery polls: the engine rings here.
        del interval, no_ack, follow_parents, EXCEPTION_STATES, PROPAGATE_STATES
        if on_message is not None or on_interval is not None:
            raise NotSupported("get(on_message=, on_interval=) is not supported", hint="jobs.handle(id).wait(timeout=)")
        if disable_sync_subtasks and running_job() is not None:
            raise RuntimeError("never call result.get() within a task: it may wait for the very slot it holds")
        if self.ignored:
            return None
        self._await(timeout)
        return self.maybe_throw(propagate, callback)

    def _await(self, timeout: float | None) -> None:
        """Until it has ended."""
        until = None if timeout is None else time.monotonic() + timeout
        try:
            job = self.app.jobs.handle(self.id).wait(timeout)
            while (follower := followed_by(job)) is not None:
                left = None if until is None else max(0.0, until - time.monotonic())
                job = self.app.jobs.handle(follower).wait(left)
        except WaitTimeout as exc:
            raise exceptions.TimeoutError(exc.message) from exc
        except JobNotFound as exc:
            raise exceptions.ResultNotFound(exc.message, hint=exc.hint) from exc
        self._ended = job

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """The same as get()."""
        return self.get(*args, **kwargs)

    def forget(self) -> None:
        """Delete it, if it has ended. One that waits or runs stays, as in Celery."""
        where = Where(ids=tuple(_with_followers(self.app, [self.id])), states=tuple(FINAL), limit=None)
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
        if job is None:
            return None
        return max(0, job.errors - (job.state is State.FAILED)) + int(_kept(job).get("retries", 0))

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
    def children(self) -> list[AsyncResult] | None:
        """What its runs have sent, callbacks too, the eldest first; None until it has ended."""
        if not self.ready():
            return None
        where = Where(tag=f"{CHILD_OF}{self.id}", newest_first=False, limit=None)
        found = self.app.jobs.bridge.call(lambda engine: engine.find(where))
        return [AsyncResult(job.id, task_name=job.task, app=self.app, parent=self.parent) for job in found]

    def get_leaf(self) -> Any:
        """The result of the first of its first children, and so on; its own if it has none."""
        children = self.children
        return children[0].get_leaf() if children else self.get()

    def then(self, callback: Any, *_args: Any, **_kwargs: Any) -> Any:
        del callback
        raise NotSupported("then() is not supported", hint="link= in apply_async")

    def collect(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotSupported("collect(): " + CANVAS)

    def __iter__(self) -> Iterator[Any]:
        raise NotSupported("a result is one: " + CANVAS)

    def __copy__(self) -> AsyncResult:
        return AsyncResult(self.id, task_name=self._name, app=self.app, parent=self.parent)

    def __reduce__(self) -> tuple[Any, ...]:
        """Its id, for a copy that another process asks: of that one's current app, as in Celery."""
        return AsyncResult, (self.id, None, self._name)


class EagerResult(AsyncResult):
    """Of a run in this process that is over."""

    backend = None

    def __init__(
        self,
        id: str,  # noqa: A002 (Celery's name)
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
        app: Celery | None = None,
    ) -> None:
        super().__init__(id, task_name=name, app=app)
        self._result = ret_value
        self._state = state
        self._traceback = traceback

    def _job(self) -> None:
        """None: nothing is stored."""

    @property
    def state(self) -> str:
        return self._state

    @property
    def result(self) -> Any:
        return self._result

    @property
    def traceback(self) -> str | None:
        return self._traceback

    @property
    def children(self) -> None:
        return None

    def ready(self) -> bool:
        return True

    def _await(self, timeout: float | None) -> None:
        """It is over."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Its result; raises its exception."""
        value = super().get(*args, **kwargs)
        return value if self.state in (states.SUCCESS, *states.PROPAGATE_STATES) else None

    def get_leaf(self) -> Any:
        return self.get()

    def then(self, callback: Callable[[EagerResult], Any], *_args: Any, **_kwargs: Any) -> Any:
        """Call it at once: the run is over."""
        return callback(self)

    def forget(self) -> None:
        """There is nothing to forget."""

    def revoke(self, *_args: Any, **_kwargs: Any) -> None:
        self._state = states.REVOKED

    def __copy__(self) -> EagerResult:
        return EagerResult(self.id, self._result, self._state, self._traceback, self._name, self.app)

    def __reduce__(self) -> tuple[Any, ...]:
        return EagerResult, (self.id, self._result, self._state, self._traceback, self._name)


def revoke(app: Celery, ids: list[str], *, terminate: bool, signal: Any = None) -> list[str]:
    """Waiting jobs never start. Running ones end with terminate; without it they are let run, but not again.

    With terminate a child process is killed, a coroutine cancelled, and a thread asked: nothing can end a thread.
    """
    if signal not in (None, "SIGTERM", "TERM", 15, "SIGKILL", "KILL", 9):
        raise NotSupported(f"revoke(signal={signal!r}) is not supported", hint="a child process is ended by SIGKILL")
    ids = _with_followers(app, ids)
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


def result_from_tuple(r: Any, app: Celery | None = None) -> AsyncResult:
    """From what as_tuple() gave. Groups are refused (NotSupported, E105)."""
    if isinstance(r, ResultBase):
        return AsyncResult(r.id, app=app)
    (given, children) = r
    if children:
        raise NotSupported("a group's result: " + CANVAS)
    task_id, parent = given if isinstance(given, (list, tuple)) else (given, None)
    return AsyncResult(task_id, app=app, parent=result_from_tuple(parent, app) if parent else None)


def _found(app: Celery, job_id: str) -> Job | None:
    found = app.jobs.find(ids=[job_id])
    return found[0] if found else None


def followed_by(job: Job) -> str | None:
    """The job that goes on for this one; None if none does."""
    if job.state is not State.COMPLETED or job.result is None or FOLLOWED.encode() not in job.result:
        return None
    found = decode(job.result)
    return str(found[FOLLOWED]) if isinstance(found, dict) and found.keys() == {FOLLOWED} else None


def _with_followers(app: Celery, ids: list[str]) -> list[str]:
    known, new = list(ids), list(ids)
    while new:
        done = app.jobs.find(ids=tuple(new), states=[State.COMPLETED.value], limit=None)
        new = [each for job in done if (each := followed_by(job)) is not None]
        known += new
    return known


def _kept(job: Job) -> dict[str, Any]:
    return request.kept_in(decode(job.meta) if job.meta else {})


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
    return found["state"], untag(found["meta"])


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
