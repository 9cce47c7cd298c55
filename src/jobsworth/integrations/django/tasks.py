"""A backend for django.tasks (Django 6.0, or the package django-tasks): its tasks become jobs of the project.

    TASKS = {"default": {"BACKEND": "jobsworth.integrations.django.tasks.JobsworthBackend", "QUEUES": ["default"]}}

A stored job names its task by module path, but nothing is imported by that name: it is looked up among the tasks that
this program has declared.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core import checks
from django.utils import timezone

from jobsworth.engine import Engine
from jobsworth.errors import BadName, ConfigurationError, JobNotFound
from jobsworth.handle import find_one
from jobsworth.job import Job
from jobsworth.naming import checked, new_id
from jobsworth.task import options_from

from . import results
from .contract import DEFAULT_TASK_QUEUE_NAME, BaseTaskBackend, TaskResultDoesNotExist, task_enqueued
from .running import runner_of

if TYPE_CHECKING:
    from jobsworth.task import Task

OPTIONS = ("max_attempts", "timeout")
APP, OPTION = "jobsworth.E008", "jobsworth.E009"  # ids of checks
_declared: dict[str, Any] = {}  # Django's tasks, by the names that are stored


class JobsworthBackend(BaseTaskBackend):  # type: ignore[misc]
    """OPTIONS: max_attempts (1, for django.tasks promises no second attempt), and timeout in seconds."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._given = {"max_attempts": 1, **self.options}

    def validate_task(self, task: Any) -> None:
        """Called for every task that is made: from its declaration on it is known to workers, in each queue."""
        super().validate_task(task)
        for queue in {task.queue_name, *self.queues}:
            self._declare(task, queue)

    def _declare(self, task: Any, queue: str) -> Task[..., Any]:
        from jobsworth.integrations.django import jobs

        name = name_of(task, queue)
        if name not in _declared or _declared[name].func is not task.func:
            jobs.tasks.pop(name, None)  # the same function, imported anew
            jobs.task(name=name, queue=queue)(runner_of(task, self))
            _declared[name] = task
        return jobs.find_task(name)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Store a job when the transaction commits that is open; `enqueued_at` is None until then."""
        from jobsworth.integrations.django import jobs

        self.validate_task(task)
        result = results.fresh(task, new_id(), self.alias, args, kwargs)
        now, run_at = timezone.now(), None if task.run_after is None else _aware(task.run_after)
        self._declare(task, task.queue_name).options(
            **self._given, id=result.id, priority=int(task.priority), run_at=run_at,
            meta=results.about(task.run_after, self.alias, now),
        ).enqueue(result.args, result.kwargs)  # fmt: skip

        def tell() -> None:
            results.enqueued(result, now)
            task_enqueued.send(type(self), task_result=result)

        jobs.once_stored(tell)
        return result

    def get_result(self, result_id: str) -> Any:
        """Raises TaskResultDoesNotExist, also for a job whose task is not declared here."""
        from jobsworth.integrations.django import jobs

        return self._result_of(jobs.bridge.call(lambda engine: _find(engine, result_id)))

    async def aget_result(self, result_id: str) -> Any:
        """The async twin of get_result."""
        from jobsworth.integrations.django import jobs

        return self._result_of(await jobs.bridge.acall(lambda engine: _find(engine, result_id)))

    def _result_of(self, job: Job) -> Any:
        if job.task not in _declared:
            raise TaskResultDoesNotExist(job.id)
        return results.result_of(job, _declared[job.task], self.alias)

    def check(self, **_: Any) -> list[checks.CheckMessage]:
        """For `manage.py check`."""
        where = f"TASKS[{self.alias!r}]"
        found = []
        if not apps.is_installed("jobsworth.integrations.django"):
            hint = 'add "jobsworth.integrations.django" to INSTALLED_APPS'
            found.append(checks.Error(f"{where} needs Jobsworth's app, which is not there", hint=hint, id=APP))
        unknown = [name for name in self.options if name not in OPTIONS]
        if unknown:
            hint = f"it takes {' and '.join(OPTIONS)}"
            found.append(checks.Error(f'{where}["OPTIONS"] has no {unknown[0]!r}', hint=hint, id=OPTION))
            return found
        try:
            options_from(self.options)
        except ConfigurationError as exc:
            found.append(checks.Error(f'{where}["OPTIONS"]: {exc.message}', hint=exc.hint, id=OPTION))
        return found


def name_of(task: Any, queue: str) -> str:
    """What its jobs in that queue are called: a worker takes a job from the queue for which its task is declared."""
    return str(task.module_path) if queue == DEFAULT_TASK_QUEUE_NAME else f"{task.module_path}:{queue}"


async def _find(engine: Engine, result_id: str) -> Job:
    try:
        return await find_one(engine, checked(result_id, "result id"))
    except (JobNotFound, BadName):
        raise TaskResultDoesNotExist(result_id) from None


def _aware(moment: datetime) -> datetime:
    """With USE_TZ = False a moment without a zone is meant in the project's."""
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
