"""`task.apply()` and task_always_eager: a run here and now, its retries one after another without their waits."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobsworth.errors import Ending

from . import request, states
from .canvas import stored
from .exceptions import Ignore, NotSupported, Reject, Retry
from .naming import new_task_id
from .request import Context
from .result import EagerResult
from .run import ExceptionInfo, attempt

if TYPE_CHECKING:
    from .task import Task

# Options of apply_async that an eager run heeds; the others say when and where a worker runs it.
HEEDED = ("task_id", "link", "link_error", "headers", "retries", "throw", "ignore_result", "priority", "routing_key")


def apply(
    task: Task,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    task_id: str | None = None,
    retries: int = 0,
    throw: bool | None = None,
    link: Any = None,
    link_error: Any = None,
    **options: Any,
) -> EagerResult:
    """Run it. With throw (else: with task_eager_propagates) its exception, a Retry too, is raised and not only kept."""
    if task.is_async:
        raise NotSupported(f"{task.name} is an `async def`", hint="await it, or let a worker run it: apply_async()")
    task_id = task_id or new_task_id()
    throw = bool(task.app.conf.task_eager_propagates if throw is None else throw)
    options |= {"link": stored(link, task.app) if link else None}
    options |= {"link_error": stored(link_error, task.app) if link_error else None}
    while True:
        run = _request(task, task_id, retries or 0, args, kwargs, options)
        try:
            value = attempt(task, run, args, kwargs)
        except Retry as exc:
            if throw:
                raise
            if exc.sig is None:  # raised by hand: nobody has said what is to be called again
                return EagerResult(task_id, exc, states.RETRY, ExceptionInfo(exc).traceback, task.name, task.app)
            args, kwargs = exc.sig.args, exc.sig.kwargs
            retries = (retries or 0) + 1
            throw = bool(task.app.conf.task_eager_propagates)
        except (Ignore, Reject, Ending) as exc:
            state = states.REJECTED if isinstance(exc, Reject) else states.IGNORED
            return EagerResult(task_id, exc, state, ExceptionInfo(exc).traceback, task.name, task.app)
        except Exception as exc:
            if throw:
                raise
            return EagerResult(task_id, exc, states.FAILURE, ExceptionInfo(exc).traceback, task.name, task.app)
        else:
            return EagerResult(task_id, value, states.SUCCESS, name=task.name, app=task.app)


def _request(
    task: Task, task_id: str, retries: int, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
) -> Context:
    around = request.running()
    parent = around[1] if around is not None else None
    limits = [task.hard_limit, task.soft_limit]
    return Context(
        id=task_id, task=task.name, args=args, kwargs=kwargs, retries=retries, is_eager=True, called_directly=False,
        correlation_id=None, hostname=socket.gethostname(), headers=options.get("headers"), loglevel=0,
        parent_id=parent.id if parent else None, root_id=(parent.root_id if parent else None) or task_id,
        callbacks=options["link"], errbacks=options["link_error"], timelimit=None if limits == [None, None] else limits,
        delivery_info={
            "is_eager": True, "exchange": options.get("exchange"), "routing_key": options.get("routing_key"),
            "priority": options.get("priority"),
        },
        ignore_result=bool(options.get("ignore_result", task.ignored)),
    )  # fmt: skip
