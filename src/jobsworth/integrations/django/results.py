"""From a stored job to the TaskResult of django.tasks. Nothing is imported by a name that stands in a job."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings as djangos
from django.utils import timezone

from jobsworth.codec import decode
from jobsworth.job import Attempt, Failure, Job, State

from .contract import TaskError, TaskResult, TaskResultStatus

STATUS = {
    State.SCHEDULED: TaskResultStatus.READY, State.QUEUED: TaskResultStatus.READY,
    State.RUNNING: TaskResultStatus.RUNNING, State.CANCELLING: TaskResultStatus.RUNNING,
    State.COMPLETED: TaskResultStatus.SUCCESSFUL,
    State.FAILED: TaskResultStatus.FAILED, State.CANCELLED: TaskResultStatus.FAILED,
}  # fmt: skip


class StoredError(TaskError):  # type: ignore[misc]
    """What an attempt raised. Its class is only looked for in modules that are imported already."""

    __slots__ = ()

    @property
    def exception_class(self) -> type[BaseException]:
        """The class. Raises ImportError where its module is not imported here, ValueError where it is no exception."""
        module, _, name = self.exception_class_path.rpartition(".")
        if module not in sys.modules:
            raise ImportError(f"the module {module!r} is not imported here")
        found = getattr(sys.modules[module], name, None)
        if not (isinstance(found, type) and issubclass(found, BaseException)):
            raise ValueError(f"{self.exception_class_path!r} does not reference a valid exception.")
        return found


def fresh(task: Any, job_id: str, alias: str, args: Any, kwargs: Any) -> Any:
    """The result of a job that is about to be stored. Raises TypeError or ValueError for what is not JSON."""
    return TaskResult(
        task=task, id=job_id, status=TaskResultStatus.READY, enqueued_at=None, started_at=None, last_attempted_at=None,
        finished_at=None, args=args, kwargs=kwargs, backend=alias, errors=[], worker_ids=[],
    )  # fmt: skip


def about(run_after: datetime | None, alias: str, moment: datetime) -> dict[str, Any]:
    """What a job remembers of how it was enqueued, for result_of()."""
    told = None if run_after is None else run_after.isoformat()
    return {"backend": alias, "run_after": told, "enqueued_at": moment.isoformat()}


def result_of(job: Job, task: Any, alias: str) -> Any:
    """A job as django.tasks sees it; `task` is the declared one."""
    call, meta = decode(job.args), decode(job.meta) if job.meta else {}
    begun = [each for each in job.attempts if each.worker is not None]
    result = TaskResult(
        task=_as_enqueued(task, job, meta, alias), id=job.id, status=STATUS[job.state],
        enqueued_at=datetime.fromisoformat(meta["enqueued_at"]) if "enqueued_at" in meta else _moment(job.created_at),
        started_at=_moment(begun[0].started_at if begun else None),
        last_attempted_at=_moment(begun[-1].started_at if begun else None), finished_at=_moment(job.finished_at),
        args=call["args"], kwargs=call["kwargs"], backend=meta.get("backend", alias), errors=_errors(job, begun),
        worker_ids=[str(each.worker) for each in begun],
    )  # fmt: skip
    if job.state is State.COMPLETED:
        object.__setattr__(result, "_return_value", decode(job.result) if job.result else None)
    return result


def succeeded(result: Any, value: Any) -> None:
    """The result of a run that goes on to be written down as completed."""
    _set(result, status=TaskResultStatus.SUCCESSFUL, finished_at=timezone.now(), _return_value=value)


def failed(result: Any, failure: Failure | None) -> None:
    """The result of a run that goes on to be written down as failed, or as cancelled."""
    if failure is not None:
        result.errors.append(_error(failure))
    _set(result, status=TaskResultStatus.FAILED, finished_at=timezone.now())


def enqueued(result: Any, moment: datetime) -> None:
    """The result of a job that is stored by now."""
    _set(result, enqueued_at=moment)


def _set(result: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(result, name, value)


def _as_enqueued(task: Any, job: Job, meta: Mapping[str, Any], alias: str) -> Any:
    """The declared task with what `using()` had changed. No setting of today refuses what is stored already."""
    told = meta.get("run_after")
    found = copy.copy(task)
    _set(
        found, priority=job.priority, queue_name=job.queue, backend=meta.get("backend", alias),
        run_after=None if told is None else datetime.fromisoformat(told),
    )  # fmt: skip
    return found


def _errors(job: Job, begun: Sequence[Attempt]) -> list[StoredError]:
    found = [each.error for each in begun if each.error is not None]
    if not found and job.failure is not None:  # it never began: cancelled, or too late
        found = [job.failure]
    return [_error(each) for each in found]


def _error(failure: Failure) -> StoredError:
    """Failures name classes of builtins and of ours by their bare names."""
    from jobsworth import errors

    home = "jobsworth.errors" if hasattr(errors, failure.type) else "builtins"
    path = failure.type if "." in failure.type else f"{home}.{failure.type}"
    return StoredError(exception_class_path=path, traceback=failure.traceback or failure.message)


def _moment(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment if djangos.USE_TZ else timezone.make_naive(moment)
