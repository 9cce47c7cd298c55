"""Numbered, forward-only migrations, applied under SQLite's write lock when the file is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from ...errors import SchemaMismatch

VERSION = "SELECT version FROM jobsworth_schema"
HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'jobsworth_schema'"


def scripts() -> list[tuple[int, str]]:
    """Every migration as (number, SQL), in order."""
    folder = resources.files(__package__) / "migrations"
    files = sorted(each.name for each in folder.iterdir() if each.name.endswith(".sql"))
    return [(int(name.split("_")[0]), (folder / name).read_text(encoding="utf-8")) for name in files]


def latest() -> int:
    """The schema version this release writes."""
    return scripts()[-1][0]


def version(connection: sqlite3.Connection) -> int:
    """The file's schema version; 0 when it has none of our tables."""
    if connection.execute(HAS_TABLE).fetchone() is None:
        return 0
    row = connection.execute(VERSION).fetchone()
    if row is None:
        return 0
    if not isinstance(row[0], int) or row[0] < 0:
        raise SchemaMismatch(
            f"the table jobsworth_schema says {row[0]!r}, which is no version of ours",
            hint="was the file made by another program, or damaged? keep a copy, then start with another file",
        )
    return row[0]


def check(found: int, path: Path) -> None:
    """Raise SchemaMismatch (E110) when the file is newer than this release."""
    if found > latest():
        raise SchemaMismatch(
            f"{path} has schema {found}; this version of jobsworth understands up to {latest()}",
            hint="upgrade jobsworth in this environment; the file is untouched",
        )


def migrate(connection: sqlite3.Connection, path: Path) -> list[int]:
    """Apply what is missing, inside the write transaction the caller holds. Returns the numbers applied."""
    found = version(connection)
    check(found, path)
    applied = []
    for number, script in scripts():
        if number > found:
            for statement in _statements(script):
                connection.execute(statement)
            applied.append(number)
    if applied:
        connection.execute("CREATE TABLE IF NOT EXISTS jobsworth_schema (version INTEGER NOT NULL)")
        connection.execute("DELETE FROM jobsworth_schema")
        connection.execute("INSERT INTO jobsworth_schema VALUES (?)", (applied[-1],))
    return applied


def _statements(script: str) -> Iterator[str]:
    """Split at complete statements; executescript() would commit the caller's transaction."""
    held = ""
    for line in script.splitlines(keepends=True):
        held += line
        if sqlite3.complete_statement(held):
            yield held
            held = ""
