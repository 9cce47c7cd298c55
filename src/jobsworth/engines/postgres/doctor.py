"""What `jobsworth doctor` says about a PostgreSQL server."""

from __future__ import annotations

import time
from typing import Any

from . import migrate
from .desk import Ask
from .lines import Line

Finding = tuple[str, str, str]
OLD = 60.0  # seconds after which somebody's open snapshot keeps dead rows from being tidied up for too long

SETTINGS = (
    "SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync'),"
    " current_setting('full_page_writes'), @moment(NULL)"
)
SIZE = (
    "SELECT pg_total_relation_size('@jobs'), n_live_tup, n_dead_tup FROM pg_stat_user_tables"
    " WHERE relid = '@jobs'::regclass"
)
SNAPSHOT = (
    "SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity"
    " WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND datname = current_database()"
)


def findings(line: Line, ask: Ask, schema: str, where: str, *, doorbell: bool) -> list[Finding]:
    """(level, subject, text) for each thing looked at."""
    started = time.perf_counter()
    release, commit, fsync, pages, now = _row(ask(SETTINGS))
    took = (time.perf_counter() - started) * 1000
    found: list[Finding] = [("ok", "storage", f"{where} answers in {took:.1f} ms (PostgreSQL {release})")]
    if fsync != "on" or pages != "on":
        found.append(
            ("error", "durability", f"fsync={fsync}, full_page_writes={pages}: a power cut may lose everything")
        )
    elif commit == "off":
        found.append(("warn", "durability", "synchronous_commit=off: a crash may lose the last acknowledged jobs"))
    else:
        found.append(("ok", "durability", f"every commit is on disk (synchronous_commit={commit})"))
    version = migrate.version(line, schema)
    found.append(("ok", "schema", f"{schema!r}, version {version} (this version writes {migrate.latest()})"))
    skew = abs(time.time() - now)
    found.append(("warn" if skew > 1 else "ok", "clock", f"within {skew:.1f} s of the server's clock"))
    size, live, dead = _row(ask(SIZE))
    level = "warn" if dead > 100_000 and dead > 4 * live else "ok"
    found.append((level, "size", f"{size / 1e6:.1f} MB, about {live} jobs and {dead} dead rows"))
    found.append(_snapshot(ask))
    found.append(("ok", "doorbell", "LISTEN/NOTIFY" if doorbell else "off: changes are found by polling"))
    return found


def _snapshot(ask: Ask) -> Finding:
    (age,) = _row(ask(SNAPSHOT))
    if age is not None and age > OLD:
        text = f"a transaction is open for {age:.0f} s: dead rows cannot be tidied up until it ends"
        return ("warn", "snapshots", text)
    return ("ok", "snapshots", "nobody holds an old one")


def durability(ask: Ask) -> str:
    """One line for a worker's banner."""
    _, commit, fsync, *_ = _row(ask(SETTINGS))
    if fsync != "on":
        return "fsync is off: a power cut may lose everything"
    if commit == "off":
        return "synchronous_commit is off: a crash may lose the last acknowledged jobs"
    return f"every enqueue is on disk before it returns (synchronous_commit={commit})"


def _row(cursor: Any) -> Any:
    return cursor.fetchone()
