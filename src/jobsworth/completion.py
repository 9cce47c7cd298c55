"""`with` or `async with current_job().transaction() as conn:` as a worker, or its child process, provides it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from .context import CurrentJob
from .engine import Engine, Transactional
from .errors import NoTransaction
from .lifecycle import Settlement, settle
from .outcome import Succeeded

if TYPE_CHECKING:
    from .task import Task

Told = Callable[[Settlement | None, bool], None]


class Completions:
    """Lets handlers complete their job inside a transaction of the engine's.

    tell: hears of a settlement that is about to be committed, then whether it was (None: it was not).
    """

    def __init__(self, engine: Engine, tasks: Mapping[str, Task[..., Any]], tell: Told | None = None) -> None:
        self._engine = engine
        self._tasks = tasks
        self._tell = tell or (lambda _settlement, _done: None)

    def begin(self, job: CurrentJob, result: Any) -> Block:
        """The block, in both colours. Nothing happens before it is entered."""
        return Block(self, job, result)

    @contextmanager
    def block(self, job: CurrentJob, result: Any) -> Iterator[Any]:
        """For threads. Raises NoTransaction (E113), ValueRefused, as check_cancelled() does; LeaseLost at its end."""
        if _in_a_coroutine():
            raise NoTransaction(
                "`with ...transaction()` would block the event loop",
                hint="in a coroutine it is `async with ...transaction()`; `with` is for `def` handlers"
                " and for functions given to `await asyncio.to_thread(...)`",
            )
        engine, ending = self._prepare(job, result)
        with self._keeping(job), engine.completing(ending) as connection:
            yield connection

    @asynccontextmanager
    async def ablock(self, job: CurrentJob, result: Any) -> AsyncIterator[Any]:
        """For a coroutine. Raises the same. It must not be left half way: see Block."""
        if not _in_a_coroutine():
            raise NoTransaction(
                "`async with ...transaction()` needs asyncio's event loop", hint="use `with` in a thread of its own"
            )
        engine, ending = self._prepare(job, result)
        with self._keeping(job):
            async with engine.acompleting(ending) as connection:
                yield connection

    def _prepare(self, job: CurrentJob, result: Any) -> tuple[Transactional, Callable[[], Settlement]]:
        """The engine, and what is to be asked for at the end of the block."""
        if not isinstance(self._engine, Transactional):
            raise NoTransaction(
                f"{self._engine!r} has no transaction to share", hint="this is for jobs in SQLite or PostgreSQL"
            )
        if job.in_transaction or job.settling is not None:
            raise NoTransaction("this job's transaction is open already, or was: there is one per run")
        task = self._tasks[job.task]
        packed = None if result is None else task.signature.pack_result(result)
        job.check_cancelled()  # nothing has been written yet: the right moment to stop

        def ending() -> Settlement:
            # Also what was told: that pulse may fail, or come too late for a job that is completed by now.
            job.untold()
            settlement = settle(job.claim, Succeeded(packed, job.note), task.retry)
            if job.journal is not None:
                settlement = replace(settlement, lines=job.journal.newest())
            job.settling = settlement
            self._tell(settlement, False)
            return settlement

        return self._engine, ending

    @contextmanager
    def _keeping(self, job: CurrentJob) -> Iterator[None]:
        """Note in `job` whether it is in its block, and whether that has completed it."""
        job.in_transaction = True
        try:
            yield
        except BaseException:
            if job.settling is not None:
                if job.settling.progress is not None:
                    job.untell(job.settling.progress)
                job.settling = None
                self._tell(None, False)
            raise
        finally:
            job.in_transaction = False
        job.settled = job.settling
        self._tell(job.settled, True)


class Block:
    """What transaction() gives: `with` in a thread, `async with` in a coroutine."""

    def __init__(self, completions: Completions, job: CurrentJob, result: Any) -> None:
        self._completions = completions
        self._given = (job, result)
        self._entered: AbstractContextManager[Any] | None = None
        self._aentered: AbstractAsyncContextManager[Any] | None = None

    def __enter__(self) -> Any:
        block = self._completions.block(*self._given)
        connection = block.__enter__()
        self._entered = block
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        block, self._entered = self._entered, None
        assert block is not None
        block.__exit__(kind, exc, trace)

    async def __aenter__(self) -> Any:
        block = self._completions.ablock(*self._given)
        connection = await block.__aenter__()
        self._aentered = block
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        block, self._aentered = self._aentered, None
        assert block is not None
        # Whoever is cancelled while the ending is on its way must not be in doubt whether it was written.
        await _to_the_end(block.__aexit__(kind, exc, trace))


async def _to_the_end(work: Coroutine[Any, Any, Any]) -> None:
    """Await it, however often we are cancelled meanwhile; that is heeded afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled from (None if task.cancelled() else task.exception())
    task.result()


def _in_a_coroutine() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
