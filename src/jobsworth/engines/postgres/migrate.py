"""Numbered, forward-only migrations, applied in one transaction under a lock: many programs may start at once."""

from __future__ import annotations

from importlib import resources
from typing import Any

import psycopg

from ...errors import EngineError, SchemaMismatch
from .names import named

_LOCK = 0x6A6F627377  # any number of our own: who migrates holds this advisory lock until the commit
# Not to_regclass(): it looks into a cache that does not hear of what others made while we waited for the lock.
_HAS_TABLE = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS made JOIN pg_catalog.pg_namespace AS space"
    " ON space.oid = made.relnamespace WHERE space.nspname = %s AND made.relname = 'schema_version')"
)
_KEEP = (
    "CREATE TABLE IF NOT EXISTS @schema_version (version integer NOT NULL)",
    "DELETE FROM @schema_version",
)


def scripts() -> list[tuple[int, str]]:
    """Every migration as (number, SQL), in order."""
    folder = resources.files(__package__) / "migrations"
    files = sorted(each.name for each in folder.iterdir() if each.name.endswith(".sql"))
    return [(int(name.split("_")[0]), (folder / name).read_text(encoding="utf-8")) for name in files]


def latest() -> int:
    """The schema version this release writes."""
    return scripts()[-1][0]


def version(line: psycopg.Connection[Any], schema: str) -> int:
    """The schema's version; 0 when it has none of our tables."""
    row = line.execute(_HAS_TABLE, (schema,)).fetchone()
    if row is None or not row[0]:
        return 0
    found = line.execute(named(schema, "SELECT version FROM @schema_version")).fetchone()
    return 0 if found is None else int(found[0])


def check(found: int, schema: str) -> None:
    """Raise SchemaMismatch (E110) when the schema is newer than this release."""
    if found > latest():
        raise SchemaMismatch(
            f"schema {schema!r} has version {found}; this version of jobsworth understands up to {latest()}",
            hint="upgrade jobsworth in this environment; the database is untouched",
        )


def migrate(line: psycopg.Connection[Any], schema: str) -> list[int]:
    """Apply what is missing. Returns the numbers applied. Raises SchemaMismatch (E110) for a newer schema."""
    found = version(line, schema)
    check(found, schema)
    if found == latest():
        return []  # most starts: no lock, and no right to create anything needed
    _check_encoding(line)
    with line.transaction():
        line.execute("SELECT pg_advisory_xact_lock(%s::bigint)", (_LOCK,))
        found = version(line, schema)  # somebody may have been quicker
        check(found, schema)
        applied = [number for number, _ in scripts() if number > found]
        if applied:
            for statement in script(schema, found):
                line.execute(statement)
    return applied


def script(schema: str, found: int = 0) -> list[str]:
    """The SQL that brings a schema from version `found` up to date; each entry may hold several statements."""
    steps = [f'CREATE SCHEMA IF NOT EXISTS "{schema}"']
    steps += [named(schema, text) for number, text in scripts() if number > found]
    steps += [named(schema, each) for each in _KEEP]
    return [*steps, named(schema, f"INSERT INTO @schema_version VALUES ({latest()})")]


def as_text(schema: str, found: int) -> str:
    """The same as one transaction to run by hand; "" if there is nothing to do. Programs may start meanwhile."""
    if found == latest():
        return ""
    steps = [each.strip().rstrip(";") + ";" for each in script(schema, found)]
    lock = f"SELECT pg_advisory_xact_lock({_LOCK});"
    return "\n\n".join(["BEGIN;", lock, *steps, "COMMIT;"]) + "\n"


def _check_encoding(line: psycopg.Connection[Any]) -> None:
    row = line.execute("SHOW server_encoding").fetchone()
    if row is not None and row[0] != "UTF8":
        raise EngineError(
            f"the database's encoding is {row[0]}; text of any script needs UTF8",
            hint="create the database with ENCODING 'UTF8' TEMPLATE template0",
        )
