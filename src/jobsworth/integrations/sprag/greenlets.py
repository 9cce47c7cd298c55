"""Between the greenlets of gevent's hub, which nobody may block, and threads, in which engines and handlers are.

Where gevent has patched the standard library, what an engine takes for threads of its own are greenlets of whichever
thread it is asked in. There it is asked in one thread only, with a hub that always turns.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, TypeVar

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.threadpool import ThreadPool
from specter import bus

T = TypeVar("T")
THREADS = 12  # in which the engine is asked; one of them follows it and one has the worker
TURN = 60.0  # seconds
_one: list[_OneThread] = []
_native = monkey.get_original("_thread", "get_ident")  # tells threads apart, and not greenlets, whatever was patched
_handling: ContextVar[Home | None] = ContextVar("jobsworth_sprag_home", default=None)


class Home:
    """The thread in which a service lives, with its hub."""

    def __init__(self) -> None:
        self._thread = _native()
        self._hub: Any = None
        self._pool: Any = None
        self._asks_from: Any = None  # the hub whose greenlets the pool works for

    def open(self) -> None:
        """The service has started in this thread."""
        self._thread, self._hub = _native(), gevent.get_hub()
        _relay_the_bus()

    def close(self) -> None:
        """It has stopped: nobody waits for what is said from now on."""
        self._hub = None

    def aside(self, work: Callable[[], T]) -> T:
        """What `work` returns. For a greenlet a thread does it, and the hub goes on."""
        if _native() != self._thread:
            return work()
        # Not by an exception of the pool's task: gevent prints those.
        done: Future[T] = Future()
        self._threads().apply(_into, (done, work))
        return done.result()

    def begin_aside(self, work: Callable[[], None]) -> Any:
        """Begin `work` in a thread; `.get()` of what is returned waits for its end."""
        return self._threads().spawn(work)

    def _threads(self) -> Any:
        hub = gevent.get_hub()
        if self._pool is None or self._asks_from is not hub:
            self._pool, self._asks_from = ThreadPool(THREADS) if has_threads() else _the_one(), hub
        return self._pool

    def within(self, work: Callable[[], T]) -> T:
        """What `work` returns, in a greenlet of the hub; here where this is its thread or where there is none."""
        hub = self._hub
        if hub is None or _native() == self._thread:
            return work()
        done: Future[T] = Future()

        hub.loop.run_callback_threadsafe(gevent.spawn, _into, done, work)
        return done.result()

    def soon(self, work: Callable[[Any], None], value: Any) -> None:
        """The same, without waiting for it; never where there is no hub."""
        hub = self._hub
        if hub is not None:
            hub.loop.run_callback_threadsafe(gevent.spawn, work, value)

    def handle(self, work: Callable[[], T]) -> T:
        """Run a handler, in a thread of the worker."""
        token = _handling.set(self)
        try:
            return work()
        finally:
            _handling.reset(token)


class _OneThread:
    """In the place of a pool: a thread with a hub, in which all work is greenlets."""

    def __init__(self) -> None:
        begun: list[tuple[Any, Event]] = []
        self._turning = ThreadPool(1).spawn(self._turn, begun)
        while not begun:
            gevent.sleep(0.001)
        self._hub, self._over = begun[0]
        atexit.register(self._end)

    @staticmethod
    def _turn(begun: list[tuple[Any, Event]]) -> None:
        over = Event()
        begun.append((gevent.get_hub(), over))
        while not over.wait(TURN):  # not for ever, or gevent would say that nothing can end this
            pass

    def _end(self) -> None:
        """A hub that still turns when Python ends takes the process down with it."""
        self._hub.loop.run_callback_threadsafe(self._over.set)
        self._turning.get(timeout=5)

    def apply(self, work: Callable[..., None], args: tuple[Any, ...]) -> None:
        ended, here = Event(), gevent.get_hub()

        def run() -> None:
            work(*args)
            here.loop.run_callback_threadsafe(ended.set)

        self._hub.loop.run_callback_threadsafe(gevent.spawn, run)
        while not ended.wait(TURN):
            pass


def _the_one() -> _OneThread:
    """The same for all services: they share engines."""
    if not _one:
        _one.append(_OneThread())
    return _one[0]


def _into(done: Future[T], work: Callable[[], T]) -> None:
    try:
        done.set_result(work())
    except BaseException as exc:  # noqa: BLE001 (raised where it was asked for)
        done.set_exception(exc)


def has_threads() -> bool:
    """False where gevent has patched `threading`: a worker's threads would be greenlets, in one another's way."""
    return not monkey.is_module_patched("threading")


def _relay_the_bus() -> None:
    """What a handler emits on SPRAG's bus is emitted in the hub: a greenlet that waits there is woken by no thread."""
    emit = bus.emit
    if not hasattr(emit, "__self__"):  # a function of ours already, and no method
        return

    def relay(event: str, data: object = None) -> None:
        home = _handling.get()
        if home is None:
            emit(event, data)
        else:
            home.within(lambda: emit(event, data))

    vars(bus)["emit"] = relay
