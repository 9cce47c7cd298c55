"""What a caller gets for a job that failed. No class is ever looked for by a stored name."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobsworth.job import Failure, Job

from . import exceptions
from .exceptions import TaskFailed, TaskRevokedError, TimeLimitExceeded, WorkerLostError

if TYPE_CHECKING:
    from .task import Task

_OURS = {
    f"{each.__module__}.{each.__qualname__}": each
    for each in (exceptions.SoftTimeLimitExceeded, exceptions.MaxRetriesExceededError)
}


def exception_of(job: Job, task: Task | None) -> Exception:
    """What a job failed with. A class is looked for among those that its task declares, never by a stored name."""
    failure = job.failure or Failure("Exception", "")
    known: dict[str, Callable[[str], Exception]] = {
        "cancelled": TaskRevokedError, "expired": TaskRevokedError, "timeout": TimeLimitExceeded,
        "crashed": WorkerLostError,
    }  # fmt: skip
    made = known.get(failure.reason)
    if made is not None:
        return made(failure.message)
    if failure.type in _OURS:
        return _OURS[failure.type](failure.message)
    for declared in task.declared if task is not None else ():
        if issubclass(declared, Exception) and _name(declared) == failure.type:
            try:
                return declared(_unquoted(failure.message) if issubclass(declared, KeyError) else failure.message)
            except Exception:  # noqa: BLE001 (it takes other arguments: then its text must do)
                break
    return TaskFailed(failure.type, failure.message, failure.traceback)


def _unquoted(message: str) -> object:
    """A KeyError's message is its argument as Python writes it."""
    try:
        return ast.literal_eval(message)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return message


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
