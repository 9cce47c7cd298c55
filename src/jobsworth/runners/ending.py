"""From what a handler raised to how its run ended."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

from jobsworth.context import CurrentJob
from jobsworth.errors import (
    Cancelled,
    GiveUp,
    Incompatible,
    Interrupted,
    LeaseLost,
    RetryAfter,
    Snooze,
    TimedOut,
    ValueRefused,
)
from jobsworth.job import Claim, Failure, storable
from jobsworth.outcome import Failed, Outcome, Released, Snoozed, Stopped, Succeeded
from jobsworth.task import Task

_HERE = Path(__file__).parent
TRACEBACK_BYTES = 32_768  # of a traceback, the end is kept: it says what happened


def arguments(task: Task[..., Any], claim: Claim, context: CurrentJob) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The handler's arguments as their annotated types. Raises Incompatible (E405)."""
    if claim.corrupt:
        raise Incompatible(f"the stored row is damaged: {claim.corrupt}")
    args, kwargs = task.signature.unpack(claim.args)
    return ((context, *args) if task.injects else args), kwargs


def incompatible(exc: Incompatible) -> Failed:
    """Stored arguments no longer fit: a dead letter with its bytes intact, and no attempt used."""
    return Failed(Failure(type(exc).__name__, str(exc), "incompatible"), final=True, charged=False)


def succeeded(task: Task[..., Any], value: Any, context: CurrentJob) -> Outcome:
    """The handler returned. A result that cannot travel fails the job at once: running it again would not help."""
    try:
        result = None if value is None else task.signature.pack_result(value)
    except ValueRefused as exc:
        return Failed(Failure(type(exc).__name__, str(exc)), final=True, progress=context.untold())
    return Succeeded(result, context.untold())


def ending_of(exc: BaseException, task: Task[..., Any], context: CurrentJob) -> Outcome:
    """What an exception that left a handler means."""
    why = context.why
    if why is not None and isinstance(exc, (asyncio.CancelledError, Cancelled, LeaseLost)):
        return stopped(why, context)
    progress = context.untold()
    match exc:
        case RetryAfter(seconds=seconds, max_attempts=allowed):
            failure = failure_of(exc.exc or exc.__cause__ or exc)
            return Failed(failure, delay=seconds, progress=progress, max_attempts=allowed)
        case Snooze(seconds=seconds):
            return Snoozed(seconds, progress)
        case GiveUp(why=text):
            cause = exc.__cause__
            failure = Failure("GiveUp", text, "gave_up", _text_of(cause) if cause else None)
            return Failed(failure, final=True, progress=progress)
        case Cancelled(reason=reason):
            return Stopped(None if reason is None else storable(reason), progress=progress)
        case asyncio.CancelledError():
            # Nobody asked the worker for this: the handler cancelled itself, or the program's loop is being torn down.
            return Failed(failure_of(exc), progress=progress)
        case _:
            failure = failure_of(exc)
            if task.retry.gives_up_on(exc):
                failure = Failure(failure.type, failure.message, "gave_up", failure.traceback)
                return Failed(failure, final=True, progress=progress)
            return Failed(failure, progress=progress)


def stopped(why: Cancelled | LeaseLost, context: CurrentJob) -> Outcome:
    """How a run ends that was told to stop, by why it was told."""
    progress = context.untold()
    match why:
        case TimedOut():
            return Failed(Failure("TimedOut", str(why), "timeout"), progress=progress)
        case Interrupted() | LeaseLost():
            return Released(progress=progress)
        case _:
            return Stopped(why.reason, progress=progress)


def failure_of(exc: BaseException) -> Failure:
    """An exception as text; nothing else of it is kept."""
    kind = type(exc)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return Failure(name, _message(exc), traceback=_text_of(exc))


def _message(exc: BaseException) -> str:
    try:
        return str(exc)[:10_000]
    except BaseException as broken:  # noqa: BLE001 (a user's __str__ may raise; the job's ending must not)
        return f"<its message raised {type(broken).__name__}>"


def _text_of(exc: BaseException) -> str:
    try:
        lines = traceback.TracebackException.from_exception(exc, limit=-60).format()
        return "".join(lines)[-TRACEBACK_BYTES:]
    except BaseException as broken:  # noqa: BLE001 (the same: its __repr__, its __notes__, its __cause__...)
        return f"<its traceback raised {type(broken).__name__}>"
