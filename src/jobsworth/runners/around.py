"""A run with what the program has put around its handlers (`jobs.around`): a framework's context, for example.

All are entered where the handler runs, first to last, and left in the other order. What one of them raises ends the
run; but none can make a failed run a good one: what was raised goes on, whatever they say to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from typing import Any

from jobsworth.context import CurrentJob
from jobsworth.task import Task


def call(task: Task[..., Any], context: CurrentJob, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a handler in its thread."""
    with _Honest() as stack:
        for around in task.around:
            stack.enter_context(around(context))
        return task.fn(*args, **kwargs)


async def acall(task: Task[..., Any], context: CurrentJob, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a coroutine function. A manager that is asynchronous, too, is entered as such."""
    async with _AsyncHonest() as stack:
        for around in task.around:
            manager = around(context)
            if isinstance(manager, AbstractAsyncContextManager):
                await stack.enter_async_context(manager)
            else:
                stack.enter_context(manager)
        return await task.fn(*args, **kwargs)


class _Honest(ExitStack[bool | None]):
    """Swallows no exception, although those in it may want to."""

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)


class _AsyncHonest(AsyncExitStack[bool | None]):
    """The same for coroutines."""

    async def __aexit__(self, *raised: Any) -> None:
        await super().__aexit__(*raised)
