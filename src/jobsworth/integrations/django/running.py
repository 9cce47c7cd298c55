"""How a worker runs a task of django.tasks: with its context, its signals, and a result that Django would take."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from jobsworth.context import CurrentJob
from jobsworth.job import FINAL
from jobsworth.lifecycle import settle
from jobsworth.runners.ending import ending_of

from . import results
from .contract import TaskContext, normalize_json, task_finished, task_started

if TYPE_CHECKING:
    from .tasks import JobsworthBackend


def runner_of(task: Any, backend: JobsworthBackend) -> Callable[..., Any]:
    """The handler of its jobs. Who listens to its signals cannot make it fail."""
    func, sender = task.func, type(backend)

    def given(result: Any, args: list[Any]) -> list[Any]:
        return [TaskContext(task_result=result), *args] if task.takes_context else args

    def run(job: CurrentJob, args: list[Any], kwargs: dict[str, Any]) -> Any:
        result = backend.get_result(job.id)
        task_started.send_robust(sender, task_result=result)
        try:
            value = normalize_json(func(*given(result, args), **kwargs))
        except BaseException as exc:
            if _is_over(result, job, exc):
                task_finished.send_robust(sender, task_result=result)
            raise
        results.succeeded(result, value)
        task_finished.send_robust(sender, task_result=result)
        return value

    async def arun(job: CurrentJob, args: list[Any], kwargs: dict[str, Any]) -> Any:
        result = await backend.aget_result(job.id)
        await task_started.asend_robust(sender, task_result=result)
        try:
            value = normalize_json(await func(*given(result, args), **kwargs))
        except BaseException as exc:
            if _is_over(result, job, exc):
                await task_finished.asend_robust(sender, task_result=result)
            raise
        results.succeeded(result, value)
        await task_finished.asend_robust(sender, task_result=result)
        return value

    return arun if iscoroutinefunction(func) else run


def _is_over(result: Any, job: CurrentJob, exc: BaseException) -> bool:
    """Whether the job ends with this, and does not run again; then its result says so."""
    from jobsworth.integrations.django import jobs

    declared = jobs.find_task(job.task)
    outcome = ending_of(exc, declared, job)
    if outcome.progress is not None:
        job.untell(outcome.progress)  # whoever writes the ending down has still to carry it
    settlement = settle(job.claim, outcome, declared.retry)
    if settlement.target not in FINAL:
        return False
    results.failed(result, settlement.failure)
    return True
