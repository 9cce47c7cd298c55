"""Where jobs live. `from_url` is the one place that knows which URL means which engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from jobsworth.engine import Engine
from jobsworth.errors import BadUrl

GROUP = "jobsworth.engines"  # entry points of other packages: scheme = "package:function taking the URL"


def from_url(url: str) -> Engine:
    """The engine for a URL, not opened yet. Raises BadUrl (E103).

    sqlite:///relative.db, sqlite:////absolute.db, redis://host, rediss://host, valkey://host, unix:///redis.sock,
    memory://, or a scheme that an installed package offers.
    """
    scheme = urlsplit(url).scheme.lower()
    maker = _OURS.get(scheme)
    if maker is not None:
        return maker(url)
    from importlib.metadata import entry_points

    for found in entry_points(group=GROUP, name=scheme):
        engine: Engine = found.load()(url)
        return engine
    known = ", ".join(f"{each}://" for each in _OURS)
    raise BadUrl(f"no engine for {redacted(url)!r}", hint=f"this version knows {known}")


def redacted(url: str) -> str:
    """The URL without its password, for messages."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", ":***@", 1)


def _sqlite(url: str) -> Engine:
    from jobsworth.engines.sqlite import SqliteEngine

    parts = urlsplit(url)
    if parts.netloc:
        raise BadUrl(
            f"{url!r} names a host; SQLite is a file", hint="three slashes for a relative path: sqlite:///jobsworth.db"
        )
    path = unquote(parts.path.removeprefix("/"))
    if not path or parts.query:
        raise BadUrl(f"{url!r} must be a file's path and nothing else", hint="for example sqlite:///jobsworth.db")
    return SqliteEngine(os.path.expanduser(path))  # noqa: PTH111 (a "~" may stand for any user)


def _memory(url: str) -> Engine:
    from jobsworth.engines.memory import MemoryEngine

    if urlsplit(url).netloc or urlsplit(url).path.strip("/"):
        raise BadUrl(f"{url!r}: memory:// takes nothing more; each one is its own")
    return MemoryEngine()


def _redis(url: str) -> Engine:
    from jobsworth.engines.redis import RedisEngine

    return RedisEngine(url)


_OURS: dict[str, Callable[[str], Engine]] = {
    "sqlite": _sqlite,
    "memory": _memory,
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys", "unix"), _redis),
}
