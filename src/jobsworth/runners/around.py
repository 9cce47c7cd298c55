"""What a program has put around each run of its handlers (`jobs.around`): a framework's context, for example."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from types import TracebackType
from typing import Any

from jobsworth.context import CurrentJob
from jobsworth.task import Task

Kind = type[BaseException] | None
Raised = BaseException | None
Trace = TracebackType | None


class Surroundings:
    """Entered where the handler runs, first to last; left in the other order. What one of them raises ends the run.

    `with` in a thread, `async with` in a coroutine, around which a manager that is asynchronous, too, is entered as
    such. None of them can make a failed run a good one: what the handler raised goes on, whatever they say to it.
    """

    __slots__ = ("_context", "_left", "_task")

    def __init__(self, task: Task[..., Any], context: CurrentJob) -> None:
        self._task = task
        self._context = context
        self._left: Any = None  # the stack of those to leave; hardly ever there is one, and a run costs no more without

    def __enter__(self) -> None:
        if self._task.around:
            with ExitStack() as stack:
                for around in self._task.around:
                    stack.enter_context(around(self._context))
                self._left = stack.pop_all()

    def __exit__(self, kind: Kind, exc: Raised, trace: Trace) -> None:
        if self._left is not None:
            self._left.__exit__(kind, exc, trace)

    async def __aenter__(self) -> None:
        if self._task.around:
            async with AsyncExitStack() as stack:
                for around in self._task.around:
                    manager = around(self._context)
                    if isinstance(manager, AbstractAsyncContextManager):
                        await stack.enter_async_context(manager)
                    else:
                        stack.enter_context(manager)
                self._left = stack.pop_all()

    async def __aexit__(self, kind: Kind, exc: Raised, trace: Trace) -> None:
        if self._left is not None:
            await self._left.__aexit__(kind, exc, trace)
