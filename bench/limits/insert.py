"""Bare inserts by the standard library's driver: the data of a job into a plain table, WAL, synchronous=FULL.

The table has an integer primary key and one index, and the columns a job cannot do without. Rows are made before the
clock starts, so this is the database's share alone.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from pathlib import Path

from bench.noop import arguments

SCHEMA = """
create table jobs(seq integer primary key, id text not null, queue text not null, task text not null,
  state integer not null, priority integer not null, max_attempts integer not null, created_at real not null,
  args blob not null);
create index ready on jobs(queue, priority, seq);
"""
INSERT = """
insert into jobs(id, queue, task, state, priority, max_attempts, created_at, args) values(?, ?, ?, ?, ?, ?, ?, ?)
"""
Row = tuple[str, str, str, int, int, int, float, bytes]


def connect(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.executescript(SCHEMA)
    return connection


def rows(count: int) -> list[Row]:
    """What is inserted: as many bytes as a real job has."""
    now, args = time.time(), json.dumps(arguments(123456)).encode()
    return [(uuid.uuid4().hex, "bench", "noop", 1, 0, 5, now, args) for _ in range(count)]


def insert_singly(connection: sqlite3.Connection, many: list[Row]) -> None:
    """Each job in a durable commit of its own."""
    for row in many:
        connection.execute("begin immediate")
        connection.execute(INSERT, row)
        connection.execute("commit")


def insert_many(connection: sqlite3.Connection, many: list[Row]) -> None:
    """Many jobs, one durable commit."""
    connection.execute("begin immediate")
    connection.executemany(INSERT, many)
    connection.execute("commit")
