"""`with current_job().transaction() as conn:` as a worker, or its child process, provides it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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

    @contextmanager
    def begin(self, job: CurrentJob, result: Any) -> Iterator[Any]:
        """The block. Raises NoTransaction (E113), ValueRefused, what check_cancelled() raises; LeaseLost at its end."""
        engine = self._usable(job)
        task = self._tasks[job.task]
        packed = None if result is None else task.signature.pack_result(result)
        job.check_cancelled()  # nothing has been written yet: the right moment to stop

        def ending() -> Settlement:
            settlement = settle(job.claim, Succeeded(packed, job.untold()), task.retry)
            job.settling = settlement
            self._tell(settlement, False)
            return settlement

        job.in_transaction = True
        try:
            with engine.completing(ending) as connection:
                yield connection
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

    def _usable(self, job: CurrentJob) -> Transactional:
        if not isinstance(self._engine, Transactional):
            raise NoTransaction(
                f"{self._engine!r} has no transaction to share", hint="this is for jobs in SQLite or PostgreSQL"
            )
        if job.in_transaction or job.settling is not None:
            raise NoTransaction("this job's transaction is open already, or was: there is one per run")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._engine
        raise NoTransaction(
            "transaction() would block the event loop",
            hint="use it in a `def` handler, or in a function given to `await asyncio.to_thread(...)`",
        )
