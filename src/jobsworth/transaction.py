"""A connection that the user holds: recognising it, and running a script inside its transaction.

No driver is imported: an object of its class can only be here where the user has imported it. The driver's own
exceptions pass as they are, for the transaction, and how it is tried again, is the user's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from .engine import BEGIN, Engine, Script, Transactional
from .errors import BadOption, NoTransaction, QueueFull, WrongDatabase
from .job import NewJob, Receipt

if TYPE_CHECKING:
    import sqlite3

    import psycopg
    from sqlalchemy.engine import Connection as SqlalchemyConnection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from .bridge import Bridge

    UserConnection: TypeAlias = (
        sqlite3.Connection | psycopg.Connection[Any] | psycopg.AsyncConnection[Any] | SqlalchemyConnection | Session
        | scoped_session[Any] | AsyncConnection | AsyncSession | async_scoped_session[Any]
    )  # fmt: skip

T = TypeVar("T")
Ask = Callable[[str, Sequence[Any]], list[Any]]
_ASYNC, _SQLALCHEMY = True, True
# Module, class, is it async, is it SQLAlchemy's.
_KINDS = (
    ("sqlite3", "Connection", False, False),
    ("psycopg", "Connection", False, False),
    ("psycopg", "AsyncConnection", _ASYNC, False),
    ("sqlalchemy.orm", "Session", False, _SQLALCHEMY),
    ("sqlalchemy.orm", "scoped_session", False, _SQLALCHEMY),
    ("sqlalchemy.engine", "Connection", False, _SQLALCHEMY),
    ("sqlalchemy.ext.asyncio", "AsyncSession", _ASYNC, _SQLALCHEMY),
    ("sqlalchemy.ext.asyncio", "async_scoped_session", _ASYNC, _SQLALCHEMY),
    ("sqlalchemy.ext.asyncio", "AsyncConnection", _ASYNC, _SQLALCHEMY),
)


def checked_connection(connection: object) -> object:
    """`connection` itself, or BadOption (E105) if it is of no kind we know."""
    _kind(connection)
    return connection


def enqueue_within(bridge: Bridge, connection: Any, jobs: Sequence[NewJob]) -> list[Receipt]:
    """Store one batch in the transaction of a sync connection. Raises QueueFull, WrongDatabase or NoTransaction."""
    is_async, sqlalchemy = _kind(connection)
    if is_async:
        raise BadOption(
            f"transaction= is an async {_name(connection)}, which a sync call cannot use", hint="await .aenqueue(...)"
        )
    sql = _of_sqlalchemy(connection) if sqlalchemy else None
    raw = connection if sql is None else sql.connection.driver_connection
    begun = _begun(bridge.engine, raw)
    script = bridge.call(lambda engine: _enlist(engine, jobs), unopened=_in_the_way(raw, begun))
    return _outcome(_run(script, _asking(raw, begun, sql)))


async def aenqueue_within(bridge: Bridge, connection: Any, jobs: Sequence[NewJob]) -> list[Receipt]:
    """The async twin of enqueue_within, for async connections."""
    is_async, sqlalchemy = _kind(connection)
    if not is_async:
        raise BadOption(
            f"transaction= is a sync {_name(connection)}, which would block the event loop",
            hint="use .enqueue(...), or an async connection",
        )
    if not sqlalchemy:
        begun = _begun(bridge.engine, connection)
        script = await bridge.acall(lambda engine: _enlist(engine, jobs))
        return _outcome(await _arun(script, connection))
    connection = _unscoped(connection)
    raw = await connection.run_sync(lambda sync: _of_sqlalchemy(sync).connection.driver_connection)
    begun = _begun(bridge.engine, raw)
    script = await bridge.acall(lambda engine: _enlist(engine, jobs), unopened=_in_the_way(raw, begun))
    return _outcome(await connection.run_sync(lambda sync: _run(script, _asking(raw, begun, _of_sqlalchemy(sync)))))


def _kind(connection: object) -> tuple[bool, bool]:
    """Whether it is async, and whether it is SQLAlchemy's. Raises BadOption (E105)."""
    for module, name, is_async, sqlalchemy in _KINDS:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(connection, kind):
            return is_async, sqlalchemy
    raise BadOption(
        f"transaction= cannot be of type {_name(connection)}",
        hint="a connection of sqlite3 or psycopg 3, or a session or connection of SQLAlchemy, sync or async",
    )


def _name(connection: object) -> str:
    return f"{type(connection).__module__}.{type(connection).__qualname__}"


def _of_sqlalchemy(connection: Any) -> Any:
    """SQLAlchemy's own connection, its transaction begun."""
    connection = _unscoped(connection)
    return connection if hasattr(connection, "exec_driver_sql") else connection.connection()


def _unscoped(connection: Any) -> Any:
    """A scoped session stands for the session of this thread or task."""
    return connection() if hasattr(connection, "registry") else connection


def _driver(raw: Any) -> str:
    """Which driver a connection is of; aiosqlite's has the attributes of sqlite3's that matter here."""
    root = {each.__module__.partition(".")[0] for each in type(raw).__mro__}
    for name, modules in (("sqlite3", {"sqlite3", "aiosqlite"}), ("psycopg", {"psycopg"})):
        if root & modules:
            return name
    raise BadOption(
        f"transaction= is a connection of {_name(raw)}, which we cannot use",
        hint="sqlite3, aiosqlite and psycopg (3) are the drivers that share a transaction",
    )


def _begun(engine: Engine, raw: Any) -> bool:
    """Whether a transaction is open already. Raises NoTransaction if none is and the driver will not open one."""
    if not isinstance(engine, Transactional):
        raise NoTransaction(
            f"{engine!r} has no transaction to share", hint="transaction= is for jobs in SQLite or PostgreSQL"
        )
    driver = _driver(raw)
    if driver != engine.driver:
        raise WrongDatabase(
            f"the jobs live in {engine!r}; transaction= is a connection of {driver}",
            hint="a transaction cannot span two databases: keep the jobs beside your data",
        )
    if driver == "psycopg":
        begun, autocommit = raw.info.transaction_status != 0, raw.autocommit
    else:
        begun, autocommit = raw.in_transaction, raw.isolation_level is None or getattr(raw, "autocommit", -1) is True
    if autocommit and not begun:
        raise NoTransaction(
            "transaction= is in autocommit mode and has no open transaction, so the job would not wait for your commit",
            hint="begin one first (`with conn.transaction():`, or BEGIN), or leave the option out",
        )
    return bool(begun)


def _in_the_way(raw: Any, begun: bool) -> bool:
    """An open SQLite transaction may hold the file's lock: opening the engine could then wait for ourselves."""
    return begun and _driver(raw) == "sqlite3"


async def _enlist(engine: Engine, jobs: Sequence[NewJob]) -> Script[list[Receipt] | QueueFull]:
    assert isinstance(engine, Transactional)
    return await engine.enlist(jobs)


def _outcome(answer: list[Receipt] | QueueFull) -> list[Receipt]:
    if isinstance(answer, QueueFull):
        raise answer
    return answer


def _asking(raw: Any, begun: bool, sqlalchemy: Any) -> Ask:
    """How to run one statement. Drivers begin by themselves, but sqlite3 only at the first INSERT: too late for us."""
    driver = _driver(raw)

    def ask(sql: str, values: Sequence[Any]) -> list[Any]:
        if sql == BEGIN and (begun or driver != "sqlite3"):
            return []
        if sqlalchemy is not None:
            result = sqlalchemy.exec_driver_sql(sql, tuple(values) or None)
            return list(result.fetchall()) if result.returns_rows else []
        if driver == "sqlite3":
            cursor = raw.cursor()
            cursor.row_factory = None  # whatever the user likes rows to be
            return list(cursor.execute(sql, values).fetchall())
        cursor = sys.modules["psycopg"].Cursor(raw, row_factory=sys.modules["psycopg.rows"].tuple_row)
        cursor.execute(sql.encode(), values or None, prepare=False)
        return list(cursor.fetchall()) if cursor.description else []

    return ask


def _run(script: Script[T], ask: Ask) -> T:
    try:
        sql, values = next(script)
        while True:
            try:
                rows = ask(sql, values)
            except Exception as exc:  # noqa: BLE001 (the script tidies up and raises it)
                sql, values = script.throw(exc)
            else:
                sql, values = script.send(rows)
    except StopIteration as done:
        answer: T = done.value
        return answer


async def _arun(script: Script[T], connection: Any) -> T:
    """The same on psycopg's AsyncConnection."""
    try:
        sql, values = next(script)
        while True:
            try:
                rows = await _aask(connection, sql, values)
            except Exception as exc:  # noqa: BLE001 (the same)
                sql, values = script.throw(exc)
            else:
                sql, values = script.send(rows)
    except StopIteration as done:
        answer: T = done.value
        return answer


async def _aask(connection: Any, sql: str, values: Sequence[Any]) -> list[Any]:
    if sql == BEGIN:
        return []
    cursor = sys.modules["psycopg"].AsyncCursor(connection, row_factory=sys.modules["psycopg.rows"].tuple_row)
    await cursor.execute(sql.encode(), values or None, prepare=False)
    return list(await cursor.fetchall()) if cursor.description else []
