"""One run of a task, in a worker or eagerly: its hooks, signals and callbacks, and how its end is said to Jobsworth."""

from __future__ import annotations

import inspect
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobsworth.codec import decode
from jobsworth.context import CurrentJob, current_job
from jobsworth.errors import Ending, GiveUp, RetryAfter, Snooze
from jobsworth.job import Claim, Job

from . import limits, signals, states
from .canvas import Signature
from .exceptions import Ignore, Reject, Retry
from .request import Context, entered, kept_in, of_job
from .result import FOLLOWED
from .schedule import seconds_until
from .sending import send_again

if TYPE_CHECKING:
    from .task import Task

_log = logging.getLogger("jobsworth.integrations.celery")
UNBOUNDED = 2**31 - 1


class ExceptionInfo:
    """What Celery hands to hooks beside an exception: `traceback` as text, `exception`, `type`."""

    def __init__(self, exception: BaseException, text: str | None = None) -> None:
        self.exception = exception
        self.type = type(exception)
        self.tb = exception.__traceback__
        self.traceback = text if text is not None else "".join(traceback.format_exception(exception))
        self.internal = False

    def __str__(self) -> str:
        return self.traceback


def call(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a worker calls in a thread or a child process."""
    job = current_job()
    request = of_job(task, job, args, kwargs)
    value = None  # what it stays if the task raises Ignore
    with _ending(task, request, job):
        value = attempt(task, request, request.args or (), request.kwargs or {})
    return given_back(request, value)


async def acall(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a worker calls in its loop, for a task that is an `async def`."""
    job = current_job()
    request = of_job(task, job, args, kwargs)
    value = None
    args, kwargs = tuple(request.args or ()), dict(request.kwargs or {})
    with _ending(task, request, job), _told(task, request, args, kwargs) as tell:
        value = await task.called(*args, **kwargs)
        tell(value)
    return given_back(request, value)


def given_back(request: Context, value: Any) -> Any:
    """What is stored as a run's result."""
    if request.replaced is not None:
        return {FOLLOWED: request.replaced}
    return None if request.ignore_result else value


def attempt(task: Task, request: Context, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a task once. Raises what it raises, Retry included, when its hooks have been called."""
    with _told(task, request, args, kwargs) as tell:
        # Not around the hooks: they are not what takes too long. What runs eagerly has no limits, as in Celery.
        with limits.within(None if request.is_eager else request.soft_time_limit):
            value = task.called(*args, **kwargs)
        tell(value)
        return value


def described(task: Task, claim: Claim, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Context:
    """The request of a job that did not run, or no longer does."""
    return of_job(task, CurrentJob(claim), args, kwargs)


@contextmanager
def _ending(task: Task, request: Context, job: CurrentJob) -> Iterator[None]:
    """From how a run of Celery's may end to how one of ours does."""
    try:
        yield
    except Retry as exc:
        if exc.changed and exc.sig is not None:
            request.replaced = send_again(task, request, exc.sig)
            return
        bound = task.max_retries if exc.sig is None else exc.max_retries  # it was raised by hand
        allowed = UNBOUNDED if bound is None else bound + 1
        raise RetryAfter(_seconds(exc.when), exc.exc or exc, max_attempts=allowed) from exc.exc
    except Reject as exc:
        if exc.requeue:
            raise Snooze(0) from exc
        raise GiveUp(f"rejected: {exc.reason}") from exc
    except Ignore as exc:
        if request.state is not None and request.state[0] in states.EXCEPTION_STATES:
            raise GiveUp(f"{request.state[0]}: {request.state[1]}") from exc
        # Written it must be, or it would run again: it is completed, without a result.
    except Exception as exc:
        if exc is request.exhausted:
            raise RetryAfter(None, exc, max_attempts=job.claim.errors + 1) from exc
        raise


def _seconds(when: float | datetime | None) -> float | None:
    return seconds_until(when, UTC) if isinstance(when, datetime) else when


@contextmanager
def _told(
    task: Task, request: Context, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[Callable[[Any], None]]:
    """What is called and sent around a run. What a hook raises is logged, and changes nothing."""
    done: list[Any] = []
    state: str | None = states.FAILURE
    value: Any = None
    info: ExceptionInfo | None = None
    args = list(args)  # as Celery's receivers and hooks get them
    began = time.monotonic()
    with entered(task, request):
        signals.task_prerun.send(sender=task, task_id=request.id, task=task, args=args, kwargs=kwargs)
        try:
            task.before_start(request.id or "", args, kwargs)  # what it raises is the run's failure
            yield done.append
            state, value = states.SUCCESS, done[0]
            _succeeded(task, request, args, kwargs, value, time.monotonic() - began)
        except Retry as exc:
            state, value, info = states.RETRY, exc, ExceptionInfo(exc)
            _hook(task.on_retry, exc.exc, request.id, args, kwargs, info)
            signals.task_retry.send(sender=task, request=request, reason=exc, einfo=info)
            raise
        except (Ignore, Reject, Ending) as exc:
            state, value = states.REJECTED if isinstance(exc, Reject) else states.IGNORED, exc
            raise
        except Exception as exc:
            value, info = exc, ExceptionInfo(exc)
            _failed(task, request, args, kwargs, exc, info)
            raise
        finally:
            if state in states.READY_STATES:
                _hook(task.after_return, state, value, request.id, args, kwargs, None)
            signals.task_postrun.send(
                sender=task, task_id=request.id, task=task, args=args, kwargs=kwargs, retval=value, state=state
            )


def _succeeded(
    task: Task, request: Context, args: Sequence[Any], kwargs: Mapping[str, Any], value: Any, runtime: float
) -> None:
    for number, each in enumerate(request.callbacks or ()):
        _follow(task, request, each, (value,), f"link.{number}")
    _hook(task.on_success, value, request.id, args, kwargs)
    signals.task_success.send(sender=task, result=value, runtime=runtime)


def _failed(
    task: Task, request: Context, args: Sequence[Any], kwargs: Mapping[str, Any], exc: Exception, info: ExceptionInfo
) -> None:
    _hook(task.on_failure, exc, request.id, args, kwargs, info)
    signals.task_failure.send(
        sender=task, task_id=request.id, exception=exc, args=args, kwargs=kwargs, traceback=exc.__traceback__,
        einfo=info,
    )  # fmt: skip
    for number, each in enumerate(request.errbacks or ()):
        errback = Signature.read(each, task.app)
        known = task.app.tasks.get(errback.task)
        if known is not None and _takes_three(known):  # in Celery, too, it is called here and now
            _hook(
                known, *(() if errback.immutable else (request, exc, info.traceback)), *errback.args, **errback.kwargs
            )
        else:
            _follow(task, request, each, (request.id,), f"link_error.{number}")


def told_of(task: Task, job: Job, args: list[Any], kwargs: dict[str, Any], exc: Exception, info: ExceptionInfo) -> None:
    """Tell of a failure that no run could tell: its process was killed or died, or its arguments do not fit."""
    kept = kept_in(decode(job.meta) if job.meta else {})
    request = Context(
        id=kept.get("id", job.id), task=task.name, args=args, kwargs=kwargs, called_directly=False,
        retries=max(0, job.errors - 1) + kept.get("retries", 0), root_id=kept.get("root_id", job.id),
        parent_id=kept.get("parent_id"), errbacks=kept.get("link_error"), headers=kept.get("headers"),
        begun=True,
    )  # fmt: skip
    with entered(task, request):
        _failed(task, request, args, kwargs, exc, info)
        _hook(task.after_return, states.FAILURE, exc, request.id, args, kwargs, None)


def _follow(task: Task, request: Context, given: dict[str, Any], first: tuple[Any, ...], name: str) -> None:
    """Send a callback. Its id follows from the job's, so that a run that is repeated sends none again."""
    options: dict[str, Any] = {"root_id": request.root_id or request.id, "parent_id": request.id}
    callback = Signature.read(given, task.app)
    if not request.is_eager:
        options["task_id"] = callback.options.get("task_id") or f"{request.id}.{name}"
    callback.apply_async(first, **options)


def _takes_three(task: Task) -> bool:
    try:
        inspect.signature(task.run).bind(None, None, None)
    except TypeError:
        return False
    return True


def _hook(hook: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        hook(*args, **kwargs)
    except Exception:  # noqa: BLE001 (a user's hook, whose faults must not change how the run ends)
        _log.exception("%r raised", hook)
