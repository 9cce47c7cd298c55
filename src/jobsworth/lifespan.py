"""What `jobs.lifespan` is: a Jobsworth opened and closed with a web app, and a worker beside it for who wants one.

It is what ASGI frameworks take as `lifespan=`: called with the app it gives an async context manager. It knows no
framework; of an app it knows that there may be a `state` to leave the Jobsworth in.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, overload

from .errors import BadOption

if TYPE_CHECKING:
    from .app import Jobsworth
    from .worker import Worker

STATE = "jobsworth"  # the attribute of `app.state`
Queues = str | Sequence[str] | Mapping[str, int]


class Lifespan:
    """`FastAPI(lifespan=jobs.lifespan)`, or with a worker in the same process: `lifespan=jobs.lifespan(worker=True)`.

    worker: True for a worker in the web app's own loop, or one that was made with `jobs.worker(...)`.
    queues and the other options: those of `jobs.worker()`.

    Beside what else is to live as long as the app: `async with jobs.lifespan(app): ...` in a lifespan of your own.
    Entered for several apps, the engine is closed when the last of them ends.
    """

    def __init__(self, jobs: Jobsworth) -> None:
        self._jobs = jobs
        self._worker: bool | Worker = False
        self._options: dict[str, Any] = {}
        self._entered = _Count()

    def __repr__(self) -> str:
        return f"<Lifespan of {self._jobs!r}{', with a worker' if self._worker else ''}>"

    @overload
    def __call__(self, app: object, /) -> AbstractAsyncContextManager[None]: ...
    @overload
    def __call__(self, /, *, worker: bool | Worker = ..., queues: Queues | None = ..., **options: Any) -> Lifespan: ...
    def __call__(
        self, /, *app: object, worker: bool | Worker = False, queues: Queues | None = None, **options: Any
    ) -> Any:
        if app:
            return self._with(*app)
        given = options if queues is None else {"queues": queues, **options}
        if given and worker is not True:
            raise BadOption(
                f"nobody heeds {', '.join(given)} here",
                hint="jobs.lifespan(worker=True, ...); a worker that was made before has its own options",
            )
        made = Lifespan(self._jobs)
        made._worker, made._options, made._entered = worker, given, self._entered
        return made

    @asynccontextmanager
    async def _with(self, app: object) -> AsyncIterator[None]:
        import asyncio

        jobs = self._jobs
        _offer(app, jobs)
        self._entered.up()
        try:
            await asyncio.to_thread(jobs.open)
            async with AsyncExitStack() as stack:
                if self._worker:
                    worker = jobs.worker(**self._options) if self._worker is True else self._worker
                    await stack.enter_async_context(worker)
                yield
        finally:
            if self._entered.down() == 0:
                await asyncio.to_thread(jobs.close)


class _Count:
    """How many lifespans of one Jobsworth are entered, in whichever loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0

    def up(self) -> None:
        with self._lock:
            self._number += 1

    def down(self) -> int:
        with self._lock:
            self._number -= 1
            return self._number


def _offer(app: object, jobs: Jobsworth) -> None:
    """Leave the Jobsworth where an integration finds it: in the app's state, if it has such a thing."""
    state = getattr(app, "state", None)
    if state is None:
        return
    found = getattr(state, STATE, jobs)
    if found is not jobs:
        raise BadOption(
            f"this app has another Jobsworth already: {found!r}",
            hint="enter the second one with `async with jobs.lifespan(None):` and give it to views by name",
        )
    setattr(state, STATE, jobs)
