"""The number of the layout, checked when the engine is opened."""

from __future__ import annotations

from ...engine import SchemaVersion
from ...errors import SchemaMismatch
from .keys import key
from .link import Link

LATEST = 1


def version(link: Link, namespace: str) -> SchemaVersion:
    """The layout's number; writes nothing. Raises SchemaMismatch (E110) if it is not ours."""
    found = link.command("GET", key(namespace, "SCHEMA"), again=True)
    return SchemaVersion(None if found is None else _checked(found, link, namespace), LATEST)


def check(link: Link, namespace: str) -> int:
    """The layout's number, written down if there is none yet. Raises SchemaMismatch (E110) if it is not ours."""
    name = key(namespace, "SCHEMA")
    found = link.command("GET", name, again=True)
    if found is None:
        link.command("SET", name, LATEST, "NX", again=True)
        found = link.command("GET", name, again=True)
    return _checked(found, link, namespace)


def _checked(found: bytes, link: Link, namespace: str) -> int:
    name, shown = key(namespace, "SCHEMA"), link.address.shown
    try:
        number = int(found)
    except (TypeError, ValueError):
        raise SchemaMismatch(
            f"{shown}: the key {name!r} holds {found!r}, which is no version of ours",
            hint="does another program use this namespace? choose another: ?namespace=...",
        ) from None
    if number > LATEST or number < 1:
        raise SchemaMismatch(
            f"{shown}: namespace {namespace!r} has schema {number}; this version of jobsworth understands {LATEST}",
            hint="upgrade jobsworth in this environment; nothing was changed",
        )
    return number
