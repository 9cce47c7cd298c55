"""From a URL to where Redis is. Nothing here connects or imports the driver."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import BadUrl
from ...suggest import did_you_mean
from ..urls import redacted

SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix")
SECURE = ("rediss", "valkeys")
_OPTIONS = ("namespace", "doorbell", "db")
_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_ENCODE = "in a user or password write @ as %40, / as %2F, : as %3A, ? as %3F and # as %23"
_FORM = "redis://[user:password@]host[:6379][/0][?namespace=jobsworth&doorbell=off], or unix:///path/to/redis.sock"


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is. `shown` is for messages: it has no password."""

    shown: str
    host: str | None = None
    port: int = 6379
    path: str | None = None
    secure: bool = False
    credentials: dict[str, Any] = field(default_factory=dict, repr=False)
    db: int = 0
    namespace: str | None = None
    doorbell: bool = True


def parse(url: str) -> Address:
    """The address a URL names. Raises BadUrl (E103)."""
    shown = redacted(url)
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise BadUrl(f"{shown!r} is no URL: {exc}", hint=_FORM) from exc
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES or not url.partition(":")[2].startswith("//"):
        raise BadUrl(f"{shown!r} is no URL of Redis", hint=_FORM)
    if parts.fragment or ("***@" in shown and "@" not in parts.netloc):  # what follows is a part of the password
        raise BadUrl(f"{shown!r} has no host", hint=_ENCODE)
    options = _options(parts.query, shown)
    credentials = {
        name: unquote(value) for name, value in (("username", parts.username), ("password", parts.password)) if value
    }
    common: dict[str, Any] = {
        "shown": shown, "credentials": credentials, "namespace": options.get("namespace"),
        "doorbell": _switch(options.get("doorbell", "on"), shown),
    }  # fmt: skip
    if scheme == "unix":
        if parts.hostname or not parts.path:
            raise BadUrl(f"{shown!r} must be the path of a socket", hint="three slashes: unix:///run/redis/redis.sock")
        return Address(path=unquote(parts.path), db=_number(options.get("db", "0"), shown), **common)
    try:
        port = parts.port or 6379
    except ValueError as exc:
        raise BadUrl(f"{shown!r} has no port that makes sense", hint=_FORM) from exc
    db = unquote(parts.path).strip("/") or options.get("db", "0")
    return Address(
        host=unquote(parts.hostname or "localhost"),
        port=port,
        secure=scheme in SECURE,
        db=_number(db, shown),
        **common,
    )


def check_namespace(namespace: str) -> str:
    """The namespace itself, or BadUrl (E103): braces would break the hash tag."""
    if _NAMESPACE.match(namespace) is None:
        raise BadUrl(f"namespace {namespace!r} is not allowed", hint="1 to 64 characters out of A-Z a-z 0-9 _ . : -")
    return namespace


def _options(query: str, shown: str) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        near = did_you_mean(unknown[0], _OPTIONS)
        hint = near if near.startswith("did you mean") else f"there are: {', '.join(_OPTIONS)}"
        raise BadUrl(f"{shown!r}: there is no option {unknown[0]!r}", hint=hint)
    return given


def _switch(value: str, shown: str) -> bool:
    if value not in ("on", "off"):
        raise BadUrl(f"{shown!r}: doorbell is on or off, not {value!r}")
    return value == "on"


def _number(text: str, shown: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadUrl(f"{shown!r}: the database is a number, not {text!r}", hint=_FORM)
    return int(text)
