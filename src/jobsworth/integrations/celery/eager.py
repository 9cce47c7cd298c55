"""`task.apply()` and task_always_eager: a run here and now, its retries one after another without their waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobsworth.errors import Ending

from . import states
from .canvas import Signature
from .exceptions import Ignore, NotSupported, Reject, Retry
from .naming import new_task_id
from .request import Context
from .result import EagerResult
from .run import ExceptionInfo, attempt

if TYPE_CHECKING:
    from .task import Task


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
    headers: Mapping[str, Any] | None = None,
    **_options: Any,
) -> EagerResult:
    """Run it. With throw (else: with task_eager_propagates) its exception is raised and not only kept."""
    if task.is_async:
        raise NotSupported(f"{task.name} is an `async def`", hint="await it, or let a worker run it: apply_async()")
    task.app.handled(task).signature.pack(args, kwargs)  # what a worker could not be sent is refused here too
    task_id = task_id or new_task_id()
    throw = bool(task.app.conf.task_eager_propagates if throw is None else throw)
    while True:
        run = Context(
            id=task_id, task=task.name, args=list(args), kwargs=kwargs, retries=retries, is_eager=True,
            called_directly=False, hostname="eager", headers=dict(headers) if headers else None, root_id=task_id,
            callbacks=_signatures(link), errbacks=_signatures(link_error),
            delivery_info={"is_eager": True, "exchange": "", "routing_key": task.home_queue, "redelivered": False},
            ignore_result=task.ignored,
        )  # fmt: skip
        try:
            value = attempt(task, run, args, kwargs)
        except Retry:
            retries += 1
        except (Ignore, Reject, Ending) as exc:
            return EagerResult(task_id, exc, states.IGNORED, name=task.name)
        except Exception as exc:
            if throw:
                raise
            return EagerResult(task_id, exc, states.FAILURE, ExceptionInfo(exc).traceback, task.name)
        else:
            return EagerResult(task_id, value, states.SUCCESS, name=task.name)


def _signatures(given: Any) -> list[Any]:
    many = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
    return [each if isinstance(each, (Signature, dict)) else each.s() for each in many]
