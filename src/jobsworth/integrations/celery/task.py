"""Celery's Task: a base class of tasks, and what a declared function becomes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, overload

from jobsworth.context import running_job
from jobsworth.errors import Ending

from . import current, eager, request
from .canvas import Signature
from .exceptions import Ignore, MaxRetriesExceededError, NotSupported, OperationalError, Reject, Retry, differs
from .schedule import backoff
from .sending import send
from .settings import CANVAS, EVENTS
from .tags import tag

if TYPE_CHECKING:
    from .app import Celery
    from .house import Handled
    from .request import Context
    from .result import AsyncResult, EagerResult
    from .run import ExceptionInfo

# Options of tasks that have no effect or are refused, as settings.py has them for the whole app.
AS_SETTING = {
    "serializer": "task_serializer", "compression": "task_compression", "acks_late": "task_acks_late",
    "acks_on_failure_or_timeout": "task_acks_on_failure_or_timeout",
    "reject_on_worker_lost": "task_reject_on_worker_lost",
    "store_eager_result": "task_store_eager_result", "send_events": "worker_send_task_events",
    "store_errors_even_if_ignored": "task_store_errors_even_if_ignored",
}  # fmt: skip
Limit = float | None


class Task:
    """A task. Subclass it to share options and hooks (`@app.task(base=...)`); `run` is what it does.

    Where an option is None the app's settings say.
    """

    name: str = ""
    app: Celery
    abstract: ClassVar[bool] = True
    max_retries: int | None = 3
    default_retry_delay: float = 180
    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_kwargs: Mapping[str, Any] = {}
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600
    retry_jitter: bool = True
    throws: tuple[type[BaseException], ...] = ()
    queue: str | None = None
    priority: int | None = None
    expires: Any = None
    rate_limit: Any = None
    time_limit: Limit = None
    soft_time_limit: Limit = None
    ignore_result: bool | None = None
    track_started: bool | None = None
    typing: bool | None = None
    trail: bool = True
    pydantic: bool = False
    serializer: str = "json"
    acks_late: bool | None = None
    MaxRetriesExceededError = MaxRetriesExceededError
    OperationalError = OperationalError

    @property
    def is_async(self) -> bool:
        """Whether `run` is an `async def`: it then runs in the worker's loop."""
        return inspect.iscoroutinefunction(self.run)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What it does."""
        raise NotImplementedError("Tasks must define the run method.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Just run it, here and now. A subclass may do something around it, in a worker too."""
        run = self.request
        if not run.called_directly and not run.begun:  # the run that is under way has come here
            return self._tried(*args, **kwargs)
        with request.entered(self, request.Context(args=args, kwargs=kwargs)):
            return self.run(*args, **kwargs)

    # Sending.
    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Store a job with these arguments."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, task_id: str | None = None,
        producer: Any = None, link: Any = None, link_error: Any = None, shadow: str | None = None, **options: Any,
    ) -> AsyncResult:  # fmt: skip
        """Store a job; see docs/celery.md for the options. Raises ValueRefused (a TypeError for wrong arguments)."""
        if args is not None and not isinstance(args, (list, tuple)):
            raise TypeError("task args must be a list or tuple")
        given, named = tuple(args or ()), dict(kwargs or {})
        shadow = shadow or self.shadow_name(given, named, options)
        options |= {"task_id": task_id, "producer": producer, "link": link, "link_error": link_error, "shadow": shadow}
        if not self.app.conf.task_always_eager:
            strict = self.app.strict_typing if self.typing is None else self.typing
            return send(self, given, named, options, loosely=not strict)
        signature = self.app.handled(self).signature  # as in Celery, they go through JSON
        given, named = signature.unpack(signature.pack(given, named))
        chosen = {name: options[name] for name in eager.HEEDED if name in options}
        return eager.apply(self, given, named, **chosen)

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult:
        """Run it here and now, retries included, and give its result as one that is over."""
        return eager.apply(self, tuple(args or ()), dict(kwargs or {}), **options)

    def signature(self, args: Any = (), kwargs: Any = None, **options: Any) -> Signature:
        """A call of it as data."""
        immutable = bool(options.pop("immutable", False))
        return Signature(self, args, kwargs, options, immutable=immutable)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        return Signature(self, args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        return Signature(self, args, kwargs, immutable=True)

    def AsyncResult(self, task_id: str, **options: Any) -> AsyncResult:  # noqa: N802 (Celery's name)
        return self.app.AsyncResult(task_id, task_name=self.name, **options)

    # What its run sees and says.
    @property
    def request(self) -> Context:
        """The run that is under way here; outside of one an empty request."""
        return request.request_of(self) or request.Context()

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **_kwargs: Any
    ) -> None:
        """Say how far it is. It travels with the worker's next news; `meta` is the result until the run ends.

        meta's "current" and "total", if they are numbers, are the job's progress everywhere else too.
        """
        run, job = self.request, running_job()
        if task_id is not None and task_id != run.id:
            raise NotSupported(
                "update_state(task_id=...) of another task", hint="only a run itself may say how far it is"
            )
        run.state = (state or "PROGRESS", meta)
        if job is not None and not run.is_eager:
            numbers = {} if not isinstance(meta, Mapping) else {
                name: meta[name] for name in ("current", "total")
                if isinstance(meta.get(name), (int, float)) and not isinstance(meta[name], bool) and meta[name] >= 0
            }  # fmt: skip
            job.report_progress(**numbers, result={"state": run.state[0], "meta": tag(meta)})

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | str | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Have the task run again: raises Retry, or returns it with throw=False; with no retries left raises `exc`, or
        MaxRetriesExceededError if there is none.
        """
        run = self.request
        if run.called_directly:
            raise _within(exc if isinstance(exc, BaseException) else Retry("Task can be retried", None))
        given, named = self._changed(run, args, kwargs)
        allowed = self.max_retries if max_retries is None else max_retries
        if allowed is not None and run.retries >= allowed:
            if exc is not None and not isinstance(exc, BaseException):
                raise TypeError(f"retry(exc={exc!r}): exceptions must derive from BaseException")
            run.exhausted = exc or self.MaxRetriesExceededError(
                f"Can't retry {self.name}[{run.id}] args:{given!r} kwargs:{named!r}", task_args=given, task_kwargs=named
            )
            raise _within(run.exhausted)
        if isinstance(eta, datetime):
            when: Any = eta if eta.tzinfo else eta.replace(tzinfo=self.app.zone)
        else:
            when = self.default_retry_delay if countdown is None else countdown
            when = when.total_seconds() if isinstance(when, timedelta) else when
        changed = bool(options) or (given, named) != (tuple(run.args or ()), dict(run.kwargs or {}))
        wait = {"eta": when} if isinstance(when, datetime) else {"countdown": when}
        run.asked = ret = Retry(
            exc=exc, when=when, is_eager=run.is_eager, max_retries=allowed, changed=changed,
            sig=Signature(self, given, named, {**options, **wait}),
        )  # fmt: skip
        if throw:
            raise _within(ret)
        return ret

    def _changed(self, run: Context, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The run's arguments with those that retry() was given: positions and names may mean the same ones."""
        given = list(run.args or ()) if args is None else list(args)
        named = dict(run.kwargs or {}) if kwargs is None else dict(kwargs)
        for place, name in enumerate(self.app.handled(self).signature.positions[: len(given)]):
            if name in named and args is None:
                given[place] = named.pop(name)
            elif name in named and kwargs is None:
                del named[name]
        return tuple(given), named

    def replace(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotSupported("replace() is not supported", hint="apply_async() the other task, and return")

    add_to_chord = replace

    def chunks(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotSupported(CANVAS, hint="apply_async() each")

    map = starmap = chunks

    def send_event(self, type_: str, *_args: Any, **_kwargs: Any) -> None:
        """Nobody hears it: there are no event messages."""
        differs(f"send_event({type_!r}) has no effect: {EVENTS}")

    # For tests: a request of one's own.
    def push_request(self, *args: Any, **kwargs: Any) -> None:
        """From here to pop_request(), in this thread, `self.request` is this."""
        request.push(self, request.Context(*args, **kwargs))

    def pop_request(self) -> None:
        request.pop(self)

    # For subclasses to say something to.
    def shadow_name(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> str | None:
        """What the job shall be shown as; None for the task's name."""
        del args, kwargs, options
        return None

    @classmethod
    def on_bound(cls, app: Celery) -> None:
        """Called when an app has taken the task."""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called in the worker before each run."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called in the worker when a run has returned."""

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo) -> None:
        """Called in the worker when it will be tried again."""

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo) -> None:
        """Called in the worker when a run failed for good."""

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called in the worker after each run."""

    def on_dead_letter(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo) -> None:
        """Called once, after it is stored that the job is given up, also for one whose worker died.

        exc is a MaxRetriesExceededError when its retries ran out, with what it failed with as the cause.
        """

    # What the house asks of it.
    def called(self, *args: Any, **kwargs: Any) -> Any:
        """A run: what a subclass does in `__call__`, if it says so, around `run`, tried again for autoretry_for."""
        return self._tried(*args, **kwargs) if type(self).__call__ is Task.__call__ else self(*args, **kwargs)

    def _tried(self, *args: Any, **kwargs: Any) -> Any:
        run = self.request
        run.begun = True
        if self.is_async:
            return self._tried_async(run, args, kwargs)
        try:
            value = self.run(*args, **kwargs)
        except BaseException as exc:
            self._again(run, exc)
            raise
        self._again(run, None)
        return value

    async def _tried_async(self, run: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            value = await self.run(*args, **kwargs)
        except BaseException as exc:
            self._again(run, exc)
            raise
        self._again(run, None)
        return value

    def _again(self, run: Context, exc: BaseException | None) -> None:
        """Raise Retry if the task has asked for one, or is tried again for this exception by itself."""
        if run.asked is not None and not run.is_eager and exc is not run.asked:
            raise run.asked  # in Celery it holds once it was asked for, whatever the task did then
        if isinstance(exc, (Ignore, Reject, Retry, Ending, *self.dont_autoretry_for)) or exc is run.exhausted:
            return
        if isinstance(exc, tuple(self.autoretry_for)):
            given = dict(self.retry_kwargs)
            if self.retry_backoff:
                factor = float(self.retry_backoff)
                given["countdown"] = backoff(
                    max(1.0, factor), run.retries, self.retry_backoff_max, jitter=self.retry_jitter
                )
            self.retry(exc=exc, **given)

    @property
    def declared(self) -> tuple[type[BaseException], ...]:
        """Exception classes in which a caller gets this task's failures."""
        return (*self.throws, *self.autoretry_for)

    @property
    def home_queue(self) -> str:
        """The queue it is sent to when nobody says otherwise."""
        return self.queue or self.app.router.queue_of(self)

    @property
    def jobsworth_task(self) -> Handled:
        """The same task as `app.jobs` knows it: what the testing kit and everything else of Jobsworth's takes."""
        return self.app.handled(self)

    @property
    def hard_limit(self) -> Limit:
        return self.app.conf.task_time_limit if self.time_limit is None else self.time_limit

    @property
    def soft_limit(self) -> Limit:
        return self.app.conf.task_soft_time_limit if self.soft_time_limit is None else self.soft_time_limit

    @property
    def rate(self) -> Any:
        return self.app.conf.task_default_rate_limit if self.rate_limit is None else self.rate_limit

    @property
    def ignored(self) -> bool:
        return bool(self.app.conf.task_ignore_result if self.ignore_result is None else self.ignore_result)

    @property
    def tracked(self) -> bool:
        return bool(self.app.conf.task_track_started if self.track_started is None else self.track_started)

    def __repr__(self) -> str:
        return f"<@task: {self.name} of {self.app.main or 'default'} at {id(self):#x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a task is known by its name: app.tasks[name]")


def _within(exc: BaseException) -> BaseException:
    """With what is being handled as its cause, if it is another one."""
    handled = sys.exc_info()[1]
    if handled is not None and handled is not exc:
        exc.__cause__ = handled
    return exc


@overload
def shared_task(fn: Callable[..., Any], /) -> Task: ...


@overload
def shared_task(**options: Any) -> Callable[[Callable[..., Any]], Task]: ...


def shared_task(*args: Any, **options: Any) -> Any:
    """A task for whichever app will be there: `@shared_task` or `@shared_task(bind=True, ...)`."""

    def declare(fn: Callable[..., Any]) -> Any:
        current.share(fn, lambda app: app.task(fn, **options))
        return current.Proxy(
            lambda: (app := current.app()).tasks[options.get("name") or app.gen_task_name(fn.__name__, fn.__module__)]
        )

    return declare(*args) if args else declare
