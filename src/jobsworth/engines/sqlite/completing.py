"""A transaction in which a handler's own writes and its job's ending commit together, or not at all.

The driver has one colour. A coroutine is lent the same connection as a thread: its statements take microseconds. What
may take long, waiting for the file's lock and syncing the commit, is done in a thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

from ...clock import Clock
from ...errors import EngineError, LeaseLost
from ...lifecycle import Settlement
from . import life, logs
from .store import LOCK_PATIENCE, Store

_DENIED = (sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_ATTACH)  # nor can two files commit as one


class Loans:
    """Who holds a connection of their own, so that a fork can wait for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: list[int] = []  # threads; one that forks inside its own block does not wait for itself

    def taken(self, holder: int) -> None:
        with self._changed:
            self._holders.append(holder)

    def given_back(self, holder: int) -> None:
        with self._changed:
            self._holders.remove(holder)
            self._changed.notify_all()

    def wait(self) -> None:
        """Until nobody but this thread holds one, or somebody seems to wait for us."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: all(holder == me for holder in self._holders), LOCK_PATIENCE)


@contextmanager
def completing(
    store: Store, loans: Loans, clock: Clock, ending: Callable[[], Settlement], holder: int
) -> Iterator[sqlite3.Connection]:
    """A connection of the caller's own: the engine's goes on renewing leases as soon as the file's lock is free.

    holder: the thread that the block runs in; this may be entered and left in others.
    """
    with store.pausing():  # a fork in another thread lets nobody in before it is over
        store.open()
        loans.taken(holder)
    try:
        connection = store.connect()
        try:
            with store.faults():
                connection.execute("PRAGMA synchronous = FULL")
                store.begin_on(connection)
            # Statements may roll back by themselves (INSERT OR ROLLBACK, a full disk). What is written after that must
            # not commit by itself: the driver then begins a transaction, and the authorizer forbids that too.
            connection.isolation_level = "IMMEDIATE"
            connection.set_authorizer(_no_commit)
            try:
                yield connection
            except sqlite3.DatabaseError as exc:
                if getattr(exc, "sqlite_errorname", "") == "SQLITE_AUTH":
                    exc.add_note("jobsworth: leaving the block commits, an exception rolls back; do neither inside it")
                raise
            connection.set_authorizer(None)
            with store.faults():
                _complete(connection, ending(), clock)
        finally:
            connection.close()  # which rolls back what has not been committed
    finally:
        loans.given_back(holder)


def _complete(connection: sqlite3.Connection, ending: Settlement, clock: Clock) -> None:
    connection.row_factory, connection.text_factory = None, str
    if not connection.in_transaction:
        raise EngineError("a statement inside the block has rolled its transaction back, so nothing of it was written")
    now = clock()
    logs.keep(connection, [ending], now)
    if not life.settle_one(connection, ending, now):
        raise LeaseLost(f"job {ending.lease.job_id} was taken over by another attempt; the block was rolled back")
    connection.execute("COMMIT")


def _no_commit(action: int, *_: str | None) -> int:
    """A commit inside the block would part the handler's writes from the job's ending."""
    return sqlite3.SQLITE_DENY if action in _DENIED else sqlite3.SQLITE_OK


@asynccontextmanager
async def in_threads(block: AbstractContextManager[sqlite3.Connection]) -> AsyncIterator[sqlite3.Connection]:
    """A block for a coroutine: entered and left in threads. One that is cancelled before it has begun never begins."""
    entering: Future[sqlite3.Connection] = Future()
    _start(lambda: _enter(block, entering))
    try:
        connection = await asyncio.wrap_future(entering)
    except asyncio.CancelledError:
        if not entering.cancel():  # it has just begun, and nobody will have it
            _start(lambda: _leave(block, Future(), asyncio.CancelledError()))
        raise
    try:
        yield connection
    except BaseException as exc:
        await _left(block, exc)
        raise
    await _left(block, None)


async def _left(block: AbstractContextManager[Any], exc: BaseException | None) -> None:
    leaving: Future[None] = Future()
    _start(lambda: _leave(block, leaving, exc))
    await asyncio.wrap_future(leaving)


def _start(work: Callable[[], None]) -> None:
    """In a thread of its own. Those of the loop's executor may all be waiting for the very lock that a block holds."""
    threading.Thread(target=work, name="jobsworth-block", daemon=True).start()


def _enter(block: AbstractContextManager[sqlite3.Connection], entering: Future[sqlite3.Connection]) -> None:
    try:
        connection = block.__enter__()
    except BaseException as exc:  # noqa: BLE001 (raised where it is waited for)
        if entering.set_running_or_notify_cancel():
            entering.set_exception(exc)
        return
    if entering.set_running_or_notify_cancel():
        entering.set_result(connection)
    else:  # it was cancelled while it waited for the lock
        _leave(block, Future(), asyncio.CancelledError())


def _leave(block: AbstractContextManager[Any], leaving: Future[None], exc: BaseException | None) -> None:
    """Leave by `exc`, the block's own exception, or without one. What is raised instead is for who waits."""
    try:
        block.__exit__(None if exc is None else type(exc), exc, None if exc is None else exc.__traceback__)
    except BaseException as raised:  # noqa: BLE001 (raised where it is waited for)
        leaving.set_exception(raised)
    else:
        leaving.set_result(None)
