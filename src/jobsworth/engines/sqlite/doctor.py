"""What `jobsworth doctor` says about a SQLite file."""

from __future__ import annotations

import shutil
import sqlite3
import time

from . import migrate
from .filesystem import type_of
from .store import Store

Finding = tuple[str, str, str]


def findings(store: Store) -> list[Finding]:
    """(level, subject, text) for each thing looked at."""
    store.open()
    found: list[Finding] = []
    started = time.perf_counter()
    with store.reading() as connection:
        schema = migrate.version(connection)
        pages, page_size = (connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
        (now,) = connection.execute("SELECT (julianday('now') - 2440587.5) * 86400").fetchone()
    took = (time.perf_counter() - started) * 1000
    found.append(("ok", "storage", f"sqlite {store.path} answers in {took:.1f} ms (SQLite {sqlite3.sqlite_version})"))
    found.append(("ok", "durability", "enqueue: fsync per commit (WAL, synchronous=FULL); claim and settle: NORMAL"))
    found.append(("ok", "schema", f"{schema} (this version writes {migrate.latest()})"))
    skew = abs(time.time() - now)
    found.append(("warn" if skew > 1 else "ok", "clock", f"within {skew:.1f} s of the storage's clock"))
    kind = type_of(store.path)
    found.append(("ok", "file system", kind or "unknown"))
    wal = store.wal_bytes()
    level = "warn" if wal > 64 << 20 else "ok"
    found.append((level, "size", f"{pages * page_size / 1e6:.1f} MB, write-ahead log {wal / 1e6:.1f} MB"))
    found.append(_room(store))
    found.append(_integrity(store))
    return found


def _room(store: Store) -> Finding:
    free = shutil.disk_usage(store.path.parent).free
    return ("warn" if free < 256 << 20 else "ok", "disk", f"{free / 1e9:.1f} GB free")


def _integrity(store: Store) -> Finding:
    with store.reading() as connection:
        problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
    return ("error", "integrity", "; ".join(problems)) if problems else ("ok", "integrity", "quick_check passes")
