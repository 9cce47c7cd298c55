"""From the driver's exceptions to ours. Nothing of sqlite3 crosses the engine's door."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ...errors import EngineError, EngineUnavailable, StorageFull

_FULL_BELOW = 128 * 1024  # bytes free under which a failed write is taken for a full disk


def translate(exc: sqlite3.Error, path: Path) -> EngineError:
    """Our error for one of the driver's, saying which file and what to do."""
    name: str = getattr(exc, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return EngineUnavailable(
            f"{path}: the database stayed locked by another process ({exc})",
            hint="another program holds a long write transaction on this file; let it end, then try again",
        )
    if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _is_full(path)):
        return StorageFull(
            f"{path}: the disk is full; new jobs are refused, what was acknowledged is safe",
            hint=f"free some space on the disk that holds {path.parent}; nothing needs to be restarted",
        )
    if name.startswith("SQLITE_CANTOPEN"):
        return EngineUnavailable(
            f"{path}: cannot open the database ({exc})",
            hint="does the folder exist, and may this user write in it?",
        )
    if name.startswith("SQLITE_READONLY"):
        return EngineUnavailable(
            f"{path}: the database is read-only for this user ({exc})",
            hint="the file, its -wal and -shm neighbours and their folder must be writable",
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return EngineError(
            f"{path}: not a usable SQLite database ({exc})",
            hint="keep a copy of the file, then try `sqlite3 FILE .recover`, or start with another file",
        )
    if name.startswith("SQLITE_IOERR"):
        return EngineUnavailable(f"{path}: the disk failed ({name}: {exc})", hint="look at the system's log")
    return EngineError(f"{path}: {name or type(exc).__name__}: {exc}")


def _is_full(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _FULL_BELOW
