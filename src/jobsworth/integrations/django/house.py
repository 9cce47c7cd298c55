"""The project's Jobsworth: at home where the settings say, and never ahead of a transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from jobsworth.app import Jobsworth
from jobsworth.errors import BadOption, ConfigurationError
from jobsworth.home import Home
from jobsworth.job import Receipt
from jobsworth.locate import DJANGO
from jobsworth.queue import Queue
from jobsworth.tokens import Tokens
from jobsworth.transaction import checked_connection

from . import settings
from .runs import Tidy

if TYPE_CHECKING:
    from jobsworth.handle import JobHandle
    from jobsworth.job import NewJob
    from jobsworth.task import Task
    from jobsworth.transaction import UserConnection
    from jobsworth.worker import Worker


class DjangoJobs(Jobsworth):
    """A Jobsworth whose jobs come into being when Django's transaction commits, and only then."""

    def __init__(self) -> None:
        super().__init__("memory://", secret="")  # its home is looked for at the first use
        self.around.append(lambda _job: Tidy())
        self._chosen = False  # somebody said `use(url)`
        self._moving = threading.Lock()
        self._wrong: ConfigurationError | None = None
        try:
            given = settings.given()
            self.tokens = Tokens(given.secret)
            for name, options in given.queues.items():
                self.add(Queue(name, **options))
        except ConfigurationError as exc:  # importing must not fail: `manage.py check` could not tell of it then
            self._wrong = exc

    def use(self, url: str) -> None:
        super().use(url)
        self._chosen = True

    def home(self) -> Home:
        """Where the settings say; a test runner changes them after everything was imported.

        Raises what is wrong with the settings.
        """
        if self._wrong is not None:
            raise self._wrong
        if not self._chosen and (url := settings.url()) != self._home.url:
            with self._moving:
                if url != self._home.url:
                    left, self._home = self._home, Home.at(url)
                    left.bridge.close()
        return self._home

    def worker(self, queues: Any = None, **options: Any) -> Worker:
        """See Jobsworth.worker. Child processes set Django up before they import anything of the project."""
        return super().worker(queues, **{"spec": DJANGO, **options})

    def store(
        self, tasks: Sequence[Task[..., Any]], jobs: Sequence[NewJob], transaction: UserConnection | None = None
    ) -> list[JobHandle[Any]]:
        """Store jobs: within Django's transaction where the database is the same, once it commits where it is not.

        Until then a handle's job is not there yet; its id is known already, but for one whose `key` turns out to be
        another live job's: then the handle changes to that one.
        """
        alias = settings.given().database
        if transaction is not None or not in_transaction(alias):
            return super().store(tasks, jobs, transaction)
        if not (self._chosen or self.away) and settings.is_djangos_own() and (raw := shared(alias)) is not None:
            return super().store(tasks, jobs, raw)
        if not settings.given().on_commit:
            return super().store(tasks, jobs)
        return self._store_on_commit(tasks, jobs, alias)

    async def astore(
        self, tasks: Sequence[Task[..., Any]], jobs: Sequence[NewJob], transaction: UserConnection | None = None
    ) -> list[JobHandle[Any]]:
        """The async twin of store, in the thread in which Django's connections of this request live."""
        if transaction is not None:
            return await super().astore(tasks, jobs, transaction)
        found: list[JobHandle[Any]] = await sync_to_async(self.store, thread_sensitive=True)(tasks, jobs)
        return found

    def once_stored(self, call: Callable[[], None]) -> None:
        """Call when what was just enqueued here is there for workers: now, or once the open transaction commits."""
        given = settings.given()
        waits = given.on_commit or (not (self._chosen or self.away) and settings.is_djangos_own())
        if waits and connections[given.database].in_atomic_block:
            transaction.on_commit(call, using=given.database)
        else:
            call()

    def waiting_for(self) -> str | None:
        """The commit of this thread's transaction, if jobs wait for it."""
        waiting = [call for _, call, *_ in connections[settings.given().database].run_on_commit]
        if not any(isinstance(call, _Storing) for call in waiting):
            return None
        return "Django's transaction to commit: in a TestCase, captureOnCommitCallbacks(execute=True) does that"

    def _store_on_commit(
        self, tasks: Sequence[Task[..., Any]], jobs: Sequence[NewJob], alias: str
    ) -> list[JobHandle[Any]]:
        handles = self._handles(tasks, [Receipt(job.id) for job in jobs])
        store = super().store
        transaction.on_commit(_Storing(lambda: store(tasks, jobs), handles), using=alias)
        return handles


class _Storing:
    """What is called at the commit. The handles that were given out then know what became of their jobs."""

    def __init__(self, store: Callable[[], list[JobHandle[Any]]], handles: list[JobHandle[Any]]) -> None:
        self._store, self._handles = store, handles

    def __call__(self) -> None:
        for handle, stored in zip(self._handles, self._store(), strict=True):
            handle.id, handle.created = stored.id, stored.created


def in_transaction(alias: str) -> bool:
    """Whether this thread has a transaction open there. Opens no connection."""
    connection = connections[alias]
    return connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)


def shared(alias: str) -> Any:
    """The driver's own connection, if it is of a driver whose transactions can hold jobs; else None (psycopg2)."""
    connection = connections[alias]
    connection.ensure_connection()
    try:
        return checked_connection(connection.connection)
    except BadOption:
        return None
