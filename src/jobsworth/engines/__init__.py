"""Where jobs live. `from_url` is the one place that knows which URL means which engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from jobsworth.engine import Engine
from jobsworth.errors import BadUrl

GROUP = "jobsworth.engines"  # entry points of other packages: scheme = "package:function taking the URL"


def from_url(url: str) -> Engine:
    """The engine for a URL, not opened yet. Raises BadUrl (E103).

    sqlite:///relative.db, sqlite:////absolute.db, postgresql://user@host/database, memory://, or a scheme that an
    installed package offers. PostgreSQL's takes schema=NAME and doorbell=off beside libpq's own options.
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


def _postgres(url: str) -> Engine:
    try:
        from jobsworth.engines.postgres import PostgresEngine
    except ImportError as exc:
        raise _missing(url, "postgres", exc) from exc
    parts = urlsplit(url)
    ours, theirs = {"schema": "jobsworth", "doorbell": "on"}, []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ours:
            ours[name] = value
        else:
            theirs.append((name, value))
    rest = parts._replace(scheme="postgresql", query=urlencode(theirs))
    doorbell = _on_or_off(url, "doorbell", ours["doorbell"])
    return PostgresEngine(urlunsplit(rest), where=redacted(url), schema=ours["schema"], doorbell=doorbell)


def _on_or_off(url: str, name: str, value: str) -> bool:
    if value not in ("on", "off"):
        raise BadUrl(f"{redacted(url)}: {name} is on or off, not {value!r}")
    return value == "on"


def _missing(url: str, extra: str, exc: ImportError) -> BadUrl:
    return BadUrl(
        f"{redacted(url)!r} needs a package that is not installed ({exc})", hint=f"pip install 'jobsworth[{extra}]'"
    )


_OURS: dict[str, Callable[[str], Engine]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
    "memory": _memory,
}
