"""Celery's exceptions, and those of our own: what a caller gets for a failed task, and what is not supported.

Those at the end are never raised here; programs name them in their `except` lines.
"""

from __future__ import annotations

import builtins
import inspect
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobsworth.errors import BadOption, EngineUnavailable, JobNotFound

if TYPE_CHECKING:
    from .canvas import Signature

OperationalError = EngineUnavailable  # what Celery raises where the broker cannot be reached
_BETWEEN = ("jobsworth", "contextlib", "_collections_abc")  # `with` blocks and MutableMapping.update are calls, too


class DiffersFromCelery(UserWarning):
    """A setting, option or call that has another effect here than in Celery; the text says which."""


def differs(text: str, category: type[Warning] = DiffersFromCelery) -> None:
    """Warn of it at the line of the program that asked for it, however many calls of ours are in between."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


class NotSupported(BadOption, NotImplementedError):
    """Something of Celery's that is not there, and what to do instead."""


class CeleryError(Exception):
    """The root of what Celery raises."""


class ImproperlyConfigured(CeleryError):
    """The settings make no sense."""


class TaskError(CeleryError):
    """Something about one task."""


class NotRegistered(KeyError, TaskError):
    """There is no task of that name."""

    def __str__(self) -> str:
        return f"there is no task {self.args[0]!r} here: is its module imported?" if self.args else ""


class TimeoutError(TaskError, builtins.TimeoutError):  # noqa: A001 (Celery's name for it)
    """The task had not ended when the wait did. It goes on."""


class ResultNotFound(JobNotFound, TimeoutError):
    """Ours: nothing is stored under this id. Celery would wait until the time is over, or for ever."""


class TaskPredicate(CeleryError):
    """What a task raises to say how its run ends."""


class Retry(TaskPredicate):
    """Raised by `Task.retry`: run again in `when` seconds (or at that moment)."""

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | str | None = None,
        when: float | datetime | None = None,
        is_eager: bool = False,
        sig: Signature | None = None,
        max_retries: int | None = None,
        changed: bool = False,
    ) -> None:
        self.message = message
        self.exc = exc if isinstance(exc, BaseException) else None
        self.excs = exc if isinstance(exc, str) else repr(exc) if exc is not None else None
        self.when = when
        self.is_eager = is_eager
        self.sig = sig  # the call that will be made; None if this was not made by Task.retry
        self.changed = changed  # whether that call has other arguments or options than the job
        self.max_retries = max_retries  # that this very retry was allowed by; None for no bound
        super().__init__(message, exc, when)

    def humanize(self) -> str:
        if isinstance(self.when, (int, float)):
            return f"in {self.when:g}s"
        return f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        return f"Retry {self.humanize()}" + (f": {self.excs}" if self.excs else "")


class Ignore(TaskPredicate):
    """Write nothing more of this run. A run must end somehow here: see docs/celery.md."""


class Reject(TaskPredicate):
    """Do not run it: back to its queue with `requeue`, else given up."""

    def __init__(self, reason: object = None, requeue: bool = False) -> None:
        self.reason = reason
        self.requeue = requeue
        super().__init__(reason, requeue)


class MaxRetriesExceededError(TaskError):
    """`retry` was called more often than the task allows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.task_args = kwargs.pop("task_args", ())
        self.task_kwargs = kwargs.pop("task_kwargs", {})
        super().__init__(*args)


class SoftTimeLimitExceeded(Exception):
    """The soft time limit is over: the task may still tidy up."""


class QueueNotFound(KeyError, TaskError):
    """task_queues names no such queue, and task_create_missing_queues is False."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class TimeLimitExceeded(Exception):
    """The time limit is over, and the run was ended."""


class WorkerLostError(Exception):
    """The process that ran the task died, more often than a job may lose one."""


class TaskRevokedError(TaskError):
    """The task was revoked, or was not started in time."""


class TaskFailed(CeleryError):
    """A task failed with an exception that it does not declare (`throws`, `autoretry_for`), told as text.

    Nothing is made from a class name that was stored. type: "module.Class".  text: its message.
    traceback: the text of it, if there is one.
    """

    def __init__(self, type: str, text: str, traceback: str | None = None) -> None:  # noqa: A002 (what it is)
        self.type = type
        self.text = text
        self.traceback = traceback
        super().__init__(f"{type}: {text}" if text else type)


class CeleryWarning(UserWarning):
    """The root of Celery's warnings."""


class AlwaysEagerIgnored(CeleryWarning):
    """send_task() stores a job, whatever task_always_eager says."""


class DuplicateTaskNameWarning(CeleryWarning):
    """A function was declared again under its name: the first one stays."""


class NotConfigured(CeleryWarning):
    """Never given here."""


class AlreadyRegistered(TaskError):
    """Never raised here."""


class InvalidTaskError(TaskError):
    """Never raised here."""


class IncompleteStream(TaskError):
    """Never raised here."""


class ChordError(TaskError):
    """Never raised here."""


class SecurityError(CeleryError):
    """Never raised here."""


class BackendError(Exception):
    """Never raised here."""


class BackendGetMetaError(BackendError):
    """Never raised here."""


class BackendStoreError(BackendError):
    """Never raised here."""


class Terminated(Exception):
    """Never raised here."""


class WorkerTerminate(SystemExit):
    """Never raised here."""


class WorkerShutdown(SystemExit):
    """Never raised here."""
