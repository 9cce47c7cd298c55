"""A plain coroutine function that is called again when it fails, as a job would be: no store, no queue, no history."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, ParamSpec, TypeVar

from .errors import BadOption, Ending, RetryAfter
from .retry import Retry

P = ParamSpec("P")
T = TypeVar("T")
Fn = Callable[P, Coroutine[Any, Any, T]]


def retrying(retry: Retry) -> Callable[[Fn[P, T]], Fn[P, T]]:
    """Call a coroutine function up to `max_attempts` times: `@retrying(Retry(...))`, or `await retrying(...)(fn)(x)`.

    It waits as a job would between attempts, RetryAfter's seconds included. What the last attempt raises is raised, and
    at once what the policy gives up on and what else ends a job's run (GiveUp, Snooze, Cancelled). Cancelling it ends
    it. If the program ends, so does all of this: what must not be lost is a task.

    Raises BadOption (E105) for what is no Retry or no coroutine function.
    """
    if not isinstance(retry, Retry):
        raise BadOption("retrying takes a Retry", hint="@retrying(Retry(max_attempts=3))")

    def declare(fn: Fn[P, T]) -> Fn[P, T]:
        if not inspect.iscoroutinefunction(fn):
            raise BadOption(f"retrying is for `async def` functions, not for {fn!r}", hint="or make it a task")

        @functools.wraps(fn)
        async def again(*args: P.args, **kwargs: P.kwargs) -> T:
            import asyncio  # not loaded by programs that only enqueue

            for attempt in count(1):
                try:
                    return await fn(*args, **kwargs)
                except Exception as exc:
                    if attempt >= retry.max_attempts or not _again(retry, exc):
                        raise
                    await asyncio.sleep(_wait(retry, exc, attempt))
            raise AssertionError("attempts never run out")

        return again

    return declare


def _again(retry: Retry, exc: Exception) -> bool:
    return isinstance(exc, RetryAfter) or not (isinstance(exc, Ending) or retry.gives_up_on(exc))


def _wait(retry: Retry, exc: Exception, attempt: int) -> float:
    given = exc.seconds if isinstance(exc, RetryAfter) else None
    return retry.delay(attempt) if given is None else given
