"""From a URL to what libpq is given, and what is ours in it. Nothing is connected here, and no secret is repeated."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from ...errors import BadUrl
from ...suggest import did_you_mean
from .names import DEFAULT

_OURS = {"schema": DEFAULT, "doorbell": "on"}
_ENCODE = "in a user or password write @ as %40, / as %2F, : as %3A, ? as %3F and # as %23"


def read(url: str, shown: str) -> tuple[str, str, bool]:
    """(what libpq connects with, the schema, whether to use the doorbell). `shown`: the URL as it may be shown.

    Raises BadUrl (E103).
    """
    if not url.partition(":")[2].startswith("//"):
        raise BadUrl(f"{shown!r} is no URL of PostgreSQL", hint="two slashes: postgresql://user@host/database")
    parts = urlsplit(url)
    if parts.fragment or ("***@" in shown and "@" not in parts.netloc):  # what follows is a part of the password
        raise BadUrl(f"{shown!r} has no host", hint=_ENCODE)
    ours, theirs = dict(_OURS), []
    known = _keywords()
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ours:
            ours[name] = value
        elif name in known:
            theirs.append((name, value))
        else:
            raise BadUrl(f"{shown!r}: there is no option {name!r}", hint=_nearest(name, known))
    if ours["doorbell"] not in ("on", "off"):
        raise BadUrl(f"{shown!r}: doorbell is on or off, not {ours['doorbell']!r}")
    where = f"postgresql://{parts.netloc}{parts.path}"
    conninfo = _joined(where, theirs)
    given = _check(conninfo, shown)
    if "," in str(given.get("host") or "") and "target_session_attrs" not in given:
        # One of them is the primary, and a standby is of no use to us, however willing.
        conninfo = _joined(where, [*theirs, ("target_session_attrs", "read-write")])
    return conninfo, ours["schema"], ours["doorbell"] == "on"


def _joined(where: str, options: list[tuple[str, str]]) -> str:
    query = urlencode(options, quote_via=quote)  # to libpq a "+" is a plus
    return f"{where}{'?' if query else ''}{query}"


def _nearest(name: str, known: set[str]) -> str:
    near = did_you_mean(name, {*known, *_OURS})
    return near if near.startswith("did you mean") else "ours are schema and doorbell; the others are libpq's"


def _keywords() -> set[str]:
    """Every option this machine's libpq knows."""
    return {option.keyword.decode() for option in pq.Conninfo.get_defaults()} | {"ssl"}


def _check(conninfo: str, shown: str) -> dict[str, Any]:
    """Refuse now what libpq would refuse at every connect; its own words may repeat a part of the password."""
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as exc:
        raise BadUrl(f"{shown!r} cannot be read by libpq", hint=_ENCODE) from exc
    ports = str(given.get("port") or "").split(",")
    if "@" in str(given.get("host") or "") or not all(not each or each.isdecimal() for each in ports):
        raise BadUrl(f"{shown!r} has no host and port that make sense", hint=_ENCODE)
    return given
