"""What a program has put around each run of its handlers (`jobs.around`): a framework's context, for example."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from jobsworth.context import CurrentJob
from jobsworth.task import Task


class Surroundings:
    """Entered where the handler runs, first to last; left in the other order. What one of them raises ends the run.

    None of them can make a failed run a good one: what the handler raised goes on, whatever they say to it.
    """

    __slots__ = ("_context", "_stack", "_task")

    def __init__(self, task: Task[..., Any], context: CurrentJob) -> None:
        self._task = task
        self._context = context
        self._stack: ExitStack | None = None

    def __enter__(self) -> None:
        if self._task.around:  # hardly ever: a run costs nothing more without
            with ExitStack() as stack:
                for enter in self._task.around:
                    stack.enter_context(enter(self._context))
                self._stack = stack.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stack is not None:
            self._stack.__exit__(kind, exc, trace)
