"""What `@jobs.task(...)` gives: typed so that the task keeps the function's signature."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from .context import CurrentJob
from .task import AsyncTask, Task

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator:
    """Declares the function that it is called with."""

    def __init__(self, declare: Callable[[Callable[..., Any]], Task[..., Any]]) -> None:
        self._declare = declare

    @overload
    def __call__(self, fn: Callable[Concatenate[CurrentJob, P], Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[CurrentJob, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> Any:
        return self._declare(fn)
