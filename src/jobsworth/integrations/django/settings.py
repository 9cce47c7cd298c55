"""What a project's settings say: JOBSWORTH = {...}, and the URL of the database where nothing else is said.

Read anew at every use: a test runner puts other databases in their places.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.connection import ConnectionDoesNotExist

from jobsworth.errors import BadOption, BadUrl
from jobsworth.suggest import did_you_mean
from jobsworth.tokens import SHORTEST_SECRET

NAMES = ("URL", "DATABASE", "ON_COMMIT", "QUEUES", "SECRET", "VISITOR", "WORKER")
IN_MEMORY = "memory://"
# Options of a PostgreSQL database in Django that are not libpq's own.
_NOT_LIBPQS = {"assume_role", "isolation_level", "pool", "prepare_threshold", "server_side_binding"}


class Given(NamedTuple):
    """JOBSWORTH as it was written, with what each part means when it is left out; see docs/django.md."""

    url: str | None
    database: str
    on_commit: bool
    queues: Mapping[str, Mapping[str, Any]]
    secret: Any
    visitor: str | None
    worker: Any


def given() -> Given:
    """The settings. Raises BadOption (E105) for a name that is none of ours; values are looked at by the checks."""
    said = getattr(settings, "JOBSWORTH", None) or {}
    if not isinstance(said, Mapping):
        raise BadOption(f"the setting JOBSWORTH must be a dict, not {said!r}", hint='JOBSWORTH = {"WORKER": True}')
    for name in said:
        if name not in NAMES:
            raise BadOption(f"the setting JOBSWORTH has no {name!r}", hint=did_you_mean(str(name), NAMES))
    return Given(
        url=said.get("URL"), database=said.get("DATABASE") or DEFAULT_DB_ALIAS, on_commit=said.get("ON_COMMIT", True),
        queues=said.get("QUEUES") or {}, secret=said.get("SECRET") or _secrets(), visitor=said.get("VISITOR"),
        worker=said.get("WORKER") or False,
    )  # fmt: skip


def _secrets() -> list[str]:
    """Django's own, newest first; what is too short to sign with signs nothing."""
    found = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [each for each in found if isinstance(each, str) and len(each) >= SHORTEST_SECRET]


def url() -> str:
    """Where the jobs live: JOBSWORTH["URL"], else the variable JOBSWORTH_URL, else Django's own database.

    Raises BadUrl (E103) if that is of a kind which cannot hold jobs.
    """
    return chosen_url() or url_of(given().database)


def chosen_url() -> str:
    """The URL that somebody has chosen, in the settings or the environment; "" if nobody has."""
    return given().url or os.environ.get("JOBSWORTH_URL") or ""


def is_djangos_own() -> bool:
    """Whether the jobs live in Django's own database, so that a transaction there can hold them.

    So it is where the URL is that of the database, or where both a URL and a DATABASE are named. A test's database in
    memory holds no jobs.
    """
    said = getattr(settings, "JOBSWORTH", None) or {}
    if said.get("URL") and said.get("DATABASE"):
        return True
    try:
        return url() == url_of(given().database) != IN_MEMORY
    except BadUrl:  # MySQL, say
        return False


def url_of(alias: str) -> str:
    """The engine's URL of one of DATABASES. A test's database in memory cannot be shared: its jobs are in ours."""
    try:
        parts = connections.settings[alias]
        vendor = connections[alias].vendor
    except (KeyError, ConnectionDoesNotExist) as exc:
        raise BadUrl(
            f"there is no database {alias!r} in DATABASES", hint=did_you_mean(alias, list(connections.settings))
        ) from exc
    if vendor == "sqlite":
        name = str(parts["NAME"])
        return IN_MEMORY if name == ":memory:" or "mode=memory" in name else f"sqlite:///{quote(name)}"
    if vendor == "postgresql":
        return _postgres(parts)
    raise BadUrl(
        f"jobs cannot live in the database {alias!r}, which is of the kind {vendor}",
        hint='say where they do: JOBSWORTH = {"URL": "redis://localhost"}, or an SQLite file',
    )


def _postgres(parts: Mapping[str, Any]) -> str:
    who = quote(parts.get("USER") or "", safe="")
    if parts.get("PASSWORD"):
        who += ":" + quote(str(parts["PASSWORD"]), safe="")
    options = {
        name: value
        for name, value in (parts.get("OPTIONS") or {}).items()
        if name not in _NOT_LIBPQS and isinstance(value, (str, int))
    }
    host, port = str(parts.get("HOST") or ""), str(parts.get("PORT") or "")
    if host.startswith(("/", "@")):  # the folder of a socket
        options["host"] = host
        if port:
            options["port"] = port
        place = ""
    else:
        place = f"[{host}]" if ":" in host else host
        place += f":{port}" if port else ""
    query = urlencode(options, quote_via=quote)
    return (
        f"postgresql://{who}{'@' if who else ''}{place}/{quote(str(parts['NAME'] or ''), safe='')}"
        f"{'?' if query else ''}{query}"
    )
