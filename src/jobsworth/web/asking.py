"""How a request asks the engine, whichever the host's colour: the same handlers run on a loop and without one.

On a loop every question suspends; in a thread of a WSGI server nothing ever does, so a handler's coroutine can be
driven to its end in place (`bridge.drive`). That is why handlers await nothing but what stands here.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from jobsworth.bridge import Bridge
from jobsworth.engine import Engine
from jobsworth.job import NewJob, Receipt

T = TypeVar("T")
Work = Callable[[Engine], Coroutine[Any, Any, T]]


class Asking(Protocol):
    """What a handler may wait for."""

    async def call(self, work: Work[T]) -> T:
        """Run `work(engine)`."""
        ...

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """Store one caller's batch, sharing commits."""
        ...

    async def wait(self, look: Work[T | None], timeout: float) -> T | None:
        """Look again at every ring until `look` finds something or `timeout` seconds are over."""
        ...

    async def run(self, function: Callable[[Any], Any], value: object) -> Any:
        """Call a function of the app's, of whichever colour."""
        ...


class OnLoop:
    """For hosts with a running loop. `answered` is called whenever the engine has answered."""

    def __init__(self, bridge: Bridge, answered: Callable[[], None]) -> None:
        self._bridge = bridge
        self._answered = answered

    async def call(self, work: Work[T]) -> T:
        found = await self._bridge.acall(work)
        self._answered()
        return found

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        return await self._bridge.aenqueue(jobs)

    async def wait(self, look: Work[T | None], timeout: float) -> T | None:
        return await self._bridge.await_(look, timeout)

    async def run(self, function: Callable[[Any], Any], value: object) -> Any:
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            return await function(value)
        found = await asyncio.to_thread(function, value)  # it may well ask a database
        return await found if inspect.isawaitable(found) else found


class InPlace:
    """For hosts that give each request a thread. Nothing here suspends. `answered`: see OnLoop."""

    def __init__(self, bridge: Bridge, answered: Callable[[], None]) -> None:
        self._bridge = bridge
        self._answered = answered

    async def call(self, work: Work[T]) -> T:
        found = self._bridge.call(work)
        self._answered()
        return found

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        return self._bridge.enqueue(jobs)

    async def wait(self, look: Work[T | None], timeout: float) -> T | None:
        return self._bridge.wait(look, timeout)

    async def run(self, function: Callable[[Any], Any], value: object) -> Any:
        found = function(value)
        if not inspect.isawaitable(found):
            return found

        async def wait_for_it() -> Any:
            return await found

        return asyncio.run(wait_for_it())
