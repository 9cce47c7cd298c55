"""What `jobs.lifespan` is: a Jobsworth opened and closed with a web app, and a worker beside it for who wants one.

It is what ASGI frameworks take as `lifespan=`: called with the app it gives an async context manager. It knows no
framework; of an app it knows that there may be a `state` to leave the Jobsworth in. While it lasts, the signal that
stops the server also ends what would keep the server from stopping: the streams of those who look on.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, overload
from weakref import WeakSet

from .errors import BadOption

if TYPE_CHECKING:
    from .app import Jobsworth
    from .worker import Worker

STATE = "jobsworth"  # the attribute of `app.state`
AGAIN = 0.2  # seconds between two times that streams are ended, for browsers come back until nobody listens
Queues = str | Sequence[str] | Mapping[str, int]


class Streams(Protocol):
    """What has streams: a Site."""

    def close(self) -> None: ...


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
        self.streams: WeakSet[Streams] = WeakSet()  # of the Jobsworth; a Site adds itself

    def __repr__(self) -> str:
        return f"<Lifespan of {self._jobs!r}{', with a worker' if self._worker else ''}>"

    @overload
    def __call__(self, app: object, /) -> AbstractAsyncContextManager[None]: ...
    @overload
    def __call__(self, /, *, worker: bool | Worker = ..., queues: Queues | None = ..., **options: Any) -> Lifespan: ...
    def __call__(
        self, /, *app: object, worker: bool | Worker = False, queues: Queues | None = None, **options: Any
    ) -> Any:
        given = options if queues is None else {"queues": queues, **options}
        if app:
            if worker or given:
                raise BadOption("the options come before the app", hint="jobs.lifespan(worker=True, ...)(app)")
            return self._with(*app)
        if not isinstance(worker, (bool, AbstractAsyncContextManager)):
            raise BadOption(
                f"worker must be True, False or a Worker, not {worker!r}", hint="jobs.worker(...) makes one"
            )
        if given and worker is not True:
            raise BadOption(
                f"nobody heeds {', '.join(given)} here",
                hint="jobs.lifespan(worker=True, ...); a worker that was made before has its own options",
            )
        made = Lifespan(self._jobs)
        made._worker, made._options = worker, given
        made._entered, made.streams = self._entered, self.streams
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
                await stack.enter_async_context(_ending_at_signals(self.streams))
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


@asynccontextmanager
async def _ending_at_signals(streams: Iterable[Streams]) -> AsyncIterator[None]:
    """Servers wait for answers that are under way before they tell an app to end, and a stream goes on."""
    import asyncio
    import signal

    if threading.current_thread() is not threading.main_thread():  # where no signal is heard
        yield
        return
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    async def end_them() -> None:
        await told.wait()
        while True:
            for each in list(streams):
                await asyncio.to_thread(each.close)
            await asyncio.sleep(AGAIN)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before: dict[int, Callable[..., Any]] = {number: each for number, each in handlers.items() if callable(each)}

    def heard(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(told.set)
        before[number](number, frame)

    for number in before:
        signal.signal(number, heard)
    ending = asyncio.create_task(end_them())
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is heard:
                signal.signal(number, handler)
        ending.cancel()
        with suppress(asyncio.CancelledError):
            await ending


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
