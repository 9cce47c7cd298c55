"""Where jobs live. `from_url` is the one place that knows which URL means which engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from jobsworth.clock import Clock, system_clock
from jobsworth.engine import Engine
from jobsworth.errors import BadUrl
from jobsworth.suggest import did_you_mean

from .urls import redacted

__all__ = ["GROUP", "from_url", "redacted"]

GROUP = "jobsworth.engines"  # entry points of other packages: scheme = "package:function taking the URL"


def from_url(url: str, *, clock: Clock | None = None) -> Engine:
    """The engine for a URL, not opened yet. Raises BadUrl (E103).

    clock: for tests: the engine's time, instead of its own; engines of other packages know nothing of it (BadUrl).

    sqlite:///relative.db, sqlite:////absolute.db, postgresql://user@host/database, redis://host, rediss://host,
    valkey://host, unix:///redis.sock, memory://, or a scheme that an installed package offers. docs/engines.md has the
    options each takes.
    """
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError as exc:
        raise BadUrl(f"{redacted(url)!r} is no URL: {exc}", hint="for example postgresql://user@[::1]:5432/db") from exc
    maker = _OURS.get(scheme)
    if maker is not None:
        return maker(url, clock)
    from importlib.metadata import entry_points

    for found in entry_points(group=GROUP, name=scheme):
        if clock is not None:
            raise BadUrl(f"the time of {redacted(url)!r} cannot be given", hint="make the engine yourself")
        engine: Engine = found.load()(url)
        return engine
    near = did_you_mean(scheme, _OURS)
    known = ", ".join(f"{each}://" for each in _OURS)
    hint = f"{near} this version knows {known}" if near.startswith("did you mean") else f"this version knows {known}"
    raise BadUrl(f"no engine for {redacted(url)!r}", hint=hint)


def _sqlite(url: str, clock: Clock | None) -> Engine:
    from jobsworth.engines.sqlite import SqliteEngine

    parts = urlsplit(url)
    if parts.netloc:
        raise BadUrl(
            f"{url!r} names a host; SQLite is a file", hint="three slashes for a relative path: sqlite:///jobsworth.db"
        )
    path = unquote(parts.path.removeprefix("/"))
    if not path or parts.query:
        raise BadUrl(f"{url!r} must be a file's path and nothing else", hint="for example sqlite:///jobsworth.db")
    return SqliteEngine(os.path.expanduser(path), clock=clock or system_clock)  # noqa: PTH111 (a "~" may stand for any user)


def _memory(url: str, clock: Clock | None) -> Engine:
    from jobsworth.engines.memory import MemoryEngine

    if urlsplit(url).netloc or urlsplit(url).path.strip("/"):
        raise BadUrl(f"{url!r}: memory:// takes nothing more; each one is its own")
    return MemoryEngine(clock or system_clock)


def _postgres(url: str, clock: Clock | None) -> Engine:
    try:
        from jobsworth.engines.postgres import PostgresEngine
        from jobsworth.engines.postgres.url import read
    except ImportError as exc:
        raise _missing(url, "postgres", exc) from exc
    conninfo, schema, doorbell = read(url, redacted(url))
    return PostgresEngine(conninfo, where=redacted(url), schema=schema, doorbell=doorbell, clock=clock)


def _missing(url: str, extra: str, exc: ImportError) -> BadUrl:
    return BadUrl(
        f"{redacted(url)!r} needs a package that is not installed ({exc})", hint=f"pip install 'jobsworth[{extra}]'"
    )


def _redis(url: str, clock: Clock | None) -> Engine:
    from jobsworth.engines.redis import RedisEngine

    return RedisEngine(url, clock=clock)


_OURS: dict[str, Callable[[str, Clock | None], Engine]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys", "unix"), _redis),
    "memory": _memory,
}
