"""Run an `async def` in the worker's loop."""

from __future__ import annotations

from typing import Any

from jobsworth.context import CurrentJob, enter
from jobsworth.errors import Incompatible
from jobsworth.job import Claim
from jobsworth.outcome import Outcome
from jobsworth.task import Task

from . import around
from .ending import arguments, ending_of, incompatible, succeeded


async def run_in_loop(task: Task[..., Any], claim: Claim, context: CurrentJob) -> Outcome:
    """One run, start to end. Must be awaited in an asyncio task of its own: its context variables stay there."""
    try:
        args, kwargs = arguments(task, claim, context)
    except Incompatible as exc:
        return incompatible(exc)
    enter(context)
    try:
        value = await (around.acall(task, context, args, kwargs) if task.around else task.fn(*args, **kwargs))
    except BaseException as exc:  # noqa: BLE001 (every ending is an outcome, cancellation included)
        return ending_of(exc, task, context)
    return succeeded(task, value, context)
