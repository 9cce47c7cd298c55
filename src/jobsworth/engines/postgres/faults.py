"""From the driver's exceptions to ours. Nothing of psycopg crosses the engine's door."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors

from ...errors import EngineError, EngineUnavailable, StorageFull

# Another transaction was in the way, and ours was rolled back whole: it may simply be tried again.
IN_THE_WAY = (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation)
# The server ends, or has become a standby: a new connection may lead to another one, an old one leads nowhere.
PARTED = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.ReadOnlySqlTransaction)

_REFUSED = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry"
    r"|(role|database) \".*\" does not exist|permission denied for database|authentication failed for user"
)
# An SSL connection that breaks later says other words: that is an outage like any other.
_INSECURE = re.compile(r"certificate|SSL was required")
_PADDING = re.compile(r"^connection (failed|is bad): | Is the server running .*$")  # says it a second time


def translate(exc: psycopg.Error, where: str) -> EngineError:
    """Our error for one of the driver's. `where` is the server, without its password."""
    text = _PADDING.sub("", " ".join(str(exc).split()))
    if isinstance(exc, errors.DiskFull):
        return StorageFull(
            f"{where}: the disk is full; new jobs are refused, what was acknowledged is safe",
            hint="free some space on the server's disk; nothing needs to be restarted",
        )
    known = errors.InvalidPassword | errors.InvalidAuthorizationSpecification | errors.InvalidCatalogName
    # A failed connect has no code, only the server's words.
    if isinstance(exc, known) or (exc.sqlstate is None and _REFUSED.search(text)):
        return EngineUnavailable(f"{where} does not let us in: {text}", hint="check user, password and database")
    if exc.sqlstate is None and _INSECURE.search(text):
        return EngineUnavailable(
            f"{where}: no secure connection: {text}", hint="check sslmode and sslrootcert in the URL"
        )
    if isinstance(exc, errors.InsufficientPrivilege):
        return EngineError(f"{where}: this user may not do that: {text}", hint="see `jobsworth migrate --sql`")
    if isinstance(exc, errors.UndefinedTable | errors.UndefinedFunction | errors.InvalidSchemaName):
        return EngineError(f"{where}: the schema is not there: {text}", hint="run `jobsworth migrate`")
    if isinstance(exc, errors.ReadOnlySqlTransaction):
        return EngineUnavailable(
            f"{where} only reads: {text}",
            hint="after a failover it passes by itself where the URL names every host, or one that follows the primary",
        )
    if isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError):
        return EngineUnavailable(
            f"{where} does not answer: {text}", hint="is the server up, and can this machine reach it?"
        )
    return EngineError(f"{where}: {type(exc).__name__}: {text}")
