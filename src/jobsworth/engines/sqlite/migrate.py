"""Numbered, forward-only migrations, applied under SQLite's write lock when the file is opened."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from ...errors import SchemaMismatch
from .faults import translate

VERSION = "SELECT version FROM jobsworth_schema"
_KEEP = "CREATE TABLE IF NOT EXISTS jobsworth_schema (version INTEGER NOT NULL)"
_FORGET = "DELETE FROM jobsworth_schema"
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


def version_of(path: Path) -> int | None:
    """The schema version of a file that is only looked at; None if there is no file, or nothing of ours in it."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = version(connection)
    except sqlite3.Error as exc:
        raise translate(exc, path) from exc
    check(found, path)
    return found or None


def as_text(found: int) -> str:
    """The SQL that brings a file from version `found` up to date, in one transaction; "" if there is nothing to do."""
    steps = [script.strip() for number, script in scripts() if number > found]
    if not steps:
        return ""
    keep = [f"{_KEEP};", f"{_FORGET};", f"INSERT INTO jobsworth_schema VALUES ({latest()});"]
    return "\n\n".join(["PRAGMA journal_mode = WAL;\nBEGIN IMMEDIATE;", *steps, *keep, "COMMIT;"]) + "\n"


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
        connection.execute(_KEEP)
        connection.execute(_FORGET)
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
