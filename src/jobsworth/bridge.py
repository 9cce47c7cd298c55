"""Between the colours: one engine, asked from sync code, from a running loop, from any thread, before and after fork.

Callers write one coroutine over the engine's verbs. A blocking engine's coroutines never suspend, so a sync caller
runs them in place and an async caller in a thread; an async engine lives on one loop of its own per process.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .engine import Engine
from .errors import EngineUnavailable, QueueFull
from .job import NewJob, Receipt

if TYPE_CHECKING:
    # Loaded where they are first needed: a program that only enqueues from sync code never pays for them.
    import asyncio
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")
_STEPS = (0.002, 0.25)  # seconds: how soon, and at least how often, a waiter looks without having heard a ring
_bridges: weakref.WeakSet[Bridge] = weakref.WeakSet()


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking engine's coroutine suspended; it must not")


class Bridge:
    """One engine for callers of any colour. Opens it on first use.

    patience: how many seconds to wait for a job's end where no timeout is given; None is for ever.
    advice:   what to do when that was not enough.
    """

    patience: float | None = None
    advice = "is a worker running for its queue? `jobsworth status` shows"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._start()
        _bridges.add(self)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._opened = False
        self._threads: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._intake = Intake(self.call)

    @property
    def opened(self) -> bool:
        """Whether the engine is open, as far as callers of this bridge opened it."""
        return self._opened

    def call(self, work: Callable[[Engine], Coroutine[Any, Any, T]], *, unopened: bool = False) -> T:
        """Run `work(engine)` for a sync caller. unopened: `work` does not need the engine to be open."""
        if not (self._opened or unopened):
            self.open()
        if self.engine.blocking:
            return drive(work(self.engine))
        return self._submit(work).result()

    def peek(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """The same without opening the engine, which may make what is not there; nothing stays connected after it."""
        if self._opened:
            return self.call(work)

        async def and_leave(engine: Engine) -> T:
            try:
                return await work(engine)
            finally:
                await engine.close()

        return drive(and_leave(self.engine)) if self.engine.blocking else self._submit(and_leave).result()

    async def acall(self, work: Callable[[Engine], Coroutine[Any, Any, T]], *, unopened: bool = False) -> T:
        """Run `work(engine)` for an async caller, whose loop is never blocked."""
        import asyncio

        if self.engine.blocking:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool(), lambda: self.call(work, unopened=unopened))
        await asyncio.get_running_loop().run_in_executor(self._pool(), self.open)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(self.engine), self._own_loop()))

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """Store one caller's batch. Callers that come meanwhile share the next commit."""
        return self._intake.store(jobs)

    async def aenqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """The async twin of enqueue; coroutines share commits too."""
        return await self._intake.astore(jobs, self._pool())

    def wait(self, look: Callable[[Engine], Coroutine[Any, Any, T | None]], timeout: float | None) -> T | None:
        """Look again at every ring, and now and then without one, until `look` finds something or time is up."""
        heard = threading.Event()
        deadline = None if timeout is None else time.monotonic() + timeout
        stop: Callable[[], None] | None = None
        try:
            for pause in _pauses():
                heard.clear()
                found = self.call(look)
                left = None if deadline is None else deadline - time.monotonic()
                if found is not None or (left is not None and left <= 0):
                    return found
                if stop is None:  # the first look is free of any set-up
                    stop = self.engine.listen(heard.set)
                    continue
                heard.wait(pause if left is None else min(pause, left))
        finally:
            if stop is not None:
                stop()
        return None

    async def await_(self, look: Callable[[Engine], Coroutine[Any, Any, T | None]], timeout: float | None) -> T | None:
        """The async twin of wait."""
        import asyncio

        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        deadline = None if timeout is None else time.monotonic() + timeout
        await self.acall(_nothing)  # opened before it is listened to
        stop = self.engine.listen(lambda: _set_soon(loop, heard))
        try:
            for pause in _pauses():
                heard.clear()
                found = await self.acall(look)
                left = None if deadline is None else deadline - time.monotonic()
                if found is not None or (left is not None and left <= 0):
                    return found
                await _set_within(heard, pause if left is None else min(pause, left))
        finally:
            stop()
        return None

    def close(self) -> None:
        """Let go of the engine and of the threads. The next call opens it again."""
        import asyncio

        with self._lock:
            opened, self._opened = self._opened, False
            threads, self._threads = self._threads, None
            loop, self._loop = self._loop, None
        if threads is not None:
            threads.shutdown(wait=True)
        if self.engine.blocking:  # a worker may have opened it without us
            drive(self.engine.close())
        elif opened and loop is not None:
            asyncio.run_coroutine_threadsafe(self.engine.close(), loop).result()
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def open(self) -> None:
        """Open the engine, unless it is open."""
        import asyncio

        with self._lock:
            if self._opened:
                return
        if self.engine.blocking:
            drive(self.engine.open())
        else:
            asyncio.run_coroutine_threadsafe(self.engine.open(), self._own_loop()).result()
        with self._lock:
            self._opened = True

    def _submit(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> Future[T]:
        import asyncio

        return asyncio.run_coroutine_threadsafe(work(self.engine), self._own_loop())

    def _pool(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(4, thread_name_prefix="jobsworth-bridge")
            return self._threads

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="jobsworth-engine", daemon=True).start()
            return self._loop


class _Wish:
    """One caller's batch on its way to the store."""

    __slots__ = ("answer", "answered", "gate", "gone", "jobs", "leads", "loop", "thread")

    def __init__(self, jobs: Sequence[NewJob], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.jobs = jobs
        self.loop = loop  # of a coroutine
        self.answered: asyncio.Event | None = None  # for a coroutine; to be set in its loop
        self.gate = threading.Lock()  # for a thread: held until there is an answer, or until it is its turn to lead
        self.gate.acquire()
        self.leads = False
        self.gone = False  # its thread does not wait any more
        self.thread = threading.get_ident() if loop is None else None
        self.answer: list[Receipt] | BaseException | None = None

    def outcome(self) -> list[Receipt]:
        if isinstance(self.answer, BaseException):
            raise self.answer
        assert self.answer is not None
        return self.answer


class Intake:
    """Group commit without timers. The first to come leads: it stores everything that has come in, its own and others'.

    While one commit is on its way to the disk, the next one's wishes collect. A leader leads until its own wish is
    stored, then another of those waiting does, so nobody serves others for long.
    """

    MOST = 500  # callers per commit

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._leading = threading.Lock()  # held by whoever leads; passed on from one to the next
        self._choosing = threading.Lock()  # of the next to lead, against those who leave
        self._waiting: list[_Wish] = []

    def store(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """Store one caller's batch, from a thread."""
        leads = self._leading.acquire(blocking=False)
        if leads and not self._waiting:
            return self._store_alone(jobs)
        wish = _Wish(jobs)
        self._waiting.append(wish)
        if not leads and not self._leading.acquire(blocking=False):
            try:
                wish.gate.acquire()  # whoever leads stores it, or passes the lead on to us
            except BaseException:  # Ctrl-C, say: a signal's handler raised here
                self._leave(wish)
                raise
            if not wish.leads:
                return wish.outcome()
        while wish.answer is None:
            self._commit()
        self._pass_on()
        return wish.outcome()

    def _store_alone(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """The common case, a lone caller, made quick."""
        try:
            (answer,) = self._call(lambda engine: engine.enqueue((jobs,)))
        finally:
            self._pass_on()
        if isinstance(answer, QueueFull):
            raise answer
        stored: list[Receipt] = answer
        return stored

    async def astore(self, jobs: Sequence[NewJob], threads: ThreadPoolExecutor) -> list[Receipt]:
        """Store one caller's batch, from a coroutine; a thread of `threads` leads where nobody does."""
        import asyncio

        loop = asyncio.get_running_loop()
        wish = _Wish(jobs, loop)
        wish.answered = answered = asyncio.Event()
        self._waiting.append(wish)
        if self._leading.acquire(blocking=False):
            threads.submit(self._store_all)
        # A cancelled caller leaves its wish behind, which is stored or not, as after any call that did not return.
        await answered.wait()
        return wish.outcome()

    def _store_all(self) -> None:
        """Lead for coroutines: until nothing waits, for none of them can be made to lead."""
        while self._waiting:
            self._commit()
        self._pass_on()

    def _commit(self) -> None:
        # Others append meanwhile: take exactly what was copied.
        batch = self._waiting[: self.MOST]
        del self._waiting[: len(batch)]
        answers: Sequence[list[Receipt] | QueueFull | BaseException]
        try:
            answers = self._call(lambda engine: engine.enqueue([wish.jobs for wish in batch]))
        except Exception as exc:  # noqa: BLE001 (handed to every caller of the batch)
            answers = [exc] * len(batch)
        except BaseException as exc:  # noqa: BLE001 (somebody stops this very thread: that is not the others' affair)
            me = threading.get_ident()
            broken_off = EngineUnavailable("the commit was broken off; it may have stored this or not, so try again")
            answers = [exc if wish.thread == me else broken_off for wish in batch]
        for wish, answer in zip(batch, answers, strict=True):
            wish.answer = answer
        _tell(batch)

    def _leave(self, wish: _Wish) -> None:
        """Its thread waits no longer. Its wish stays, as that of a cancelled coroutine does, but it cannot lead."""
        with self._choosing:
            wish.gone = True
        if wish.leads:  # too late: it was chosen just before
            self._pass_on()

    def _pass_on(self) -> None:
        """Let another lead, or nobody if nothing waits."""
        while self._waiting:
            with self._choosing:
                for wish in self._waiting:
                    if wish.loop is None and not wish.gone:
                        wish.leads = True
                        wish.gate.release()
                        return
            self._commit()  # only coroutines wait
        self._leading.release()
        # Somebody may have come between the last look and the release: they did not get the lock and wait for us.
        if self._waiting and self._leading.acquire(blocking=False):
            self._pass_on()


def _pauses() -> Any:
    """Seconds between looks: short at first, then growing to the longest."""
    pause, longest = _STEPS
    while True:
        yield pause
        pause = min(pause * 1.5, longest)


async def _nothing(engine: Engine) -> None:
    """Used to have the engine opened."""


def _tell(wishes: Sequence[_Wish]) -> None:
    """Wake everybody who waits for these; each loop once, for that is what waking a coroutine costs."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
    for wish in wishes:
        if wish.answered is None:
            if not wish.gone:
                wish.gate.release()
        elif wish.loop is not None:
            loops.setdefault(wish.loop, []).append(wish.answered)
    for loop, events in loops.items():
        _set_soon(loop, *events)


def _set_soon(loop: asyncio.AbstractEventLoop, *events: asyncio.Event) -> None:
    def set_them() -> None:
        for event in events:
            event.set()

    try:
        loop.call_soon_threadsafe(set_them)
    except RuntimeError:  # the loop has closed; nobody waits there any more
        return


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    import asyncio

    waiter: Awaitable[bool] = asyncio.wait_for(event.wait(), seconds)
    try:
        await waiter
    except TimeoutError:
        return


def _after_fork() -> None:
    for bridge in list(_bridges):
        bridge._start()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
