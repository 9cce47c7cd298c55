"""A transaction in which a handler's own writes and its job's ending commit together, or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...clock import Clock
from ...errors import EngineError, LeaseLost
from ...lifecycle import Settlement
from . import life
from .store import LOCK_PATIENCE, Store

_DENIED = (sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_ATTACH)  # nor can two files commit as one


class Loans:
    """Who holds a connection of their own, so that a fork can wait for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: list[int] = []  # threads; one that forks inside its own block does not wait for itself

    def taken(self) -> None:
        with self._changed:
            self._holders.append(threading.get_ident())

    def given_back(self) -> None:
        with self._changed:
            self._holders.remove(threading.get_ident())
            self._changed.notify_all()

    def wait(self) -> None:
        """Until nobody but this thread holds one, or somebody seems to wait for us."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: all(holder == me for holder in self._holders), LOCK_PATIENCE)


@contextmanager
def completing(
    store: Store, loans: Loans, clock: Clock, ending: Callable[[], Settlement]
) -> Iterator[sqlite3.Connection]:
    """A connection of the caller's own: the engine's goes on renewing leases as soon as the file's lock is free."""
    with store.pausing():  # a fork in another thread lets nobody in before it is over
        store.open()
        loans.taken()
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
        loans.given_back()


def _complete(connection: sqlite3.Connection, ending: Settlement, clock: Clock) -> None:
    connection.row_factory, connection.text_factory = None, str
    if not connection.in_transaction:
        raise EngineError("a statement inside the block has rolled its transaction back, so nothing of it was written")
    if not life.settle_one(connection, ending, clock()):
        raise LeaseLost(f"job {ending.lease.job_id} was taken over by another attempt; the block was rolled back")
    connection.execute("COMMIT")


def _no_commit(action: int, *_: str | None) -> int:
    """A commit inside the block would part the handler's writes from the job's ending."""
    return sqlite3.SQLITE_DENY if action in _DENIED else sqlite3.SQLITE_OK
