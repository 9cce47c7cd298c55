"""Jobs enqueued in the user's own transaction through SQLAlchemy, or psycopg's async connection."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from jobsworth.errors import BadOption, NoTransaction
from places import Place, add_to, ids

SYNC = {
    "Connection": lambda engine: engine.connect(),
    "Session": lambda engine: Session(engine),
    "scoped_session": lambda engine: scoped_session(sessionmaker(engine)),
}
ASYNC = {
    "AsyncConnection": lambda engine: engine.connect(),
    "AsyncSession": lambda engine: AsyncSession(engine),
    "async_scoped_session": lambda engine: async_scoped_session(async_sessionmaker(engine), asyncio.current_task),
}


@pytest.mark.parametrize("kind", SYNC)
def test_sqlalchemy_decides_over_the_job(place: Place, kind: str) -> None:
    task = add_to(place)
    engine = sa.create_engine(place.sqlalchemy_url)
    session: Any = SYNC[kind](engine)
    if kind == "Connection":
        session = session.__enter__()
    for keep in (False, True):
        session.execute(sa.text("INSERT INTO ledger (n) VALUES (1)"))
        handles = task.options(transaction=session, key="k").enqueue_many([(1,)] * 2)
        assert ids(place) == set()
        _ = session.commit() if keep else session.rollback()
        assert len(place.ledger()) == keep
    assert ids(place) == {handles[0].id}
    assert [handle.created for handle in handles] == [True, False]
    with pytest.raises(BadOption, match="sync"):
        asyncio.run(task.options(transaction=session).aenqueue(1))
    (session.remove if kind == "scoped_session" else session.close)()
    engine.dispose()


@pytest.mark.parametrize("kind", ASYNC)
def test_async_sqlalchemy_decides_over_the_job(place: Place, kind: str) -> None:
    task = add_to(place)

    async def main() -> None:
        engine = create_async_engine(place.async_sqlalchemy_url)
        session: Any = ASYNC[kind](engine)
        if kind == "AsyncConnection":
            await session.start()
        for keep in (False, True):
            await session.execute(sa.text("INSERT INTO ledger (n) VALUES (1)"))
            handles = await task.options(transaction=session, key="k").aenqueue_many([(1,)] * 2)
            assert ids(place) == set()
            await (session.commit() if keep else session.rollback())
            assert len(place.ledger()) == keep
        assert ids(place) == {handles[0].id}
        with pytest.raises(BadOption, match="async"):
            task.options(transaction=session).enqueue(1)
        await (session.remove() if kind == "async_scoped_session" else session.close())
        await engine.dispose()

    asyncio.run(main())


def test_a_session_that_only_enqueues_waits_for_the_commit_too(place: Place) -> None:
    task = add_to(place)
    engine = sa.create_engine(place.sqlalchemy_url)
    with Session(engine) as session:
        task.options(transaction=session).enqueue(1)
        session.rollback()
        assert ids(place) == set()
        handle = task.options(transaction=session).enqueue(1)
        session.commit()
    engine.dispose()
    assert ids(place) == {handle.id}


def test_sqlalchemys_autocommit_is_refused(place: Place) -> None:
    task = add_to(place)
    engine = sa.create_engine(place.sqlalchemy_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(NoTransaction, match="autocommit"):
        task.options(transaction=connection).enqueue(1)
    engine.dispose()
    assert ids(place) == set()


def test_psycopgs_async_connection_decides_over_the_job(postgres_place: Place) -> None:
    place, task = postgres_place, add_to(postgres_place)

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(place.url, row_factory=dict_row) as connection:
            for keep in (False, True):
                await place_insert(connection)
                handles = await task.options(transaction=connection, key="k").aenqueue_many([(1,)] * 2)
                assert ids(place) == set()
                await (connection.commit() if keep else connection.rollback())
            assert ids(place) == {handles[0].id}
            assert place.ledger() == [1]
            with pytest.raises(BadOption, match="aenqueue"):
                task.options(transaction=connection).enqueue(1)
            await connection.set_autocommit(True)
            with pytest.raises(NoTransaction):
                await task.options(transaction=connection).aenqueue(1)
            async with connection.transaction():
                last = await task.options(transaction=connection).aenqueue(1)
            assert last.id in ids(place)

    async def place_insert(connection: Any) -> None:
        await connection.execute("INSERT INTO ledger (n) VALUES (1)")

    asyncio.run(main())


def test_a_sync_connection_would_block_the_loop(place: Place) -> None:
    with place.connect() as connection, pytest.raises(BadOption, match="block"):
        asyncio.run(add_to(place).options(transaction=connection).aenqueue(1))
