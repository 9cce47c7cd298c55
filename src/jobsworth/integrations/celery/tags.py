"""Values that Celery's JSON carries beside plain ones: moments, dates, UUIDs, decimals and bytes, each with a tag.

A closed table, as in Celery: what a tag makes is written here, and no stored name is ever looked up.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

MARK = b'"__type__"'
_TYPE, _VALUE = "__type__", "__value__"
_PLAIN = "dict"  # a program's own dict that looks like a tag
_TAGS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),  # before date, which it is too
    "date": (date, date.isoformat, date.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "decimal": (Decimal, str, Decimal),
    "uuid": (UUID, str, UUID),
    "base64": (bytes, lambda value: base64.b64encode(value).decode(), base64.b64decode),
}  # fmt: skip
KNOWN = tuple(kind for kind, _, _ in _TAGS.values())


def tag(value: Any) -> Any:
    """The same with such values tagged, and with dicts' keys as JSON writes them. Others stay, to be refused."""
    if isinstance(value, Mapping):
        found = {_key(key): tag(each) for key, each in value.items()}
        return {_TYPE: _PLAIN, _VALUE: found} if _TYPE in found else found
    if isinstance(value, (list, tuple)):
        return [tag(each) for each in value]
    for name, (kind, write, _) in _TAGS.items():
        if isinstance(value, kind):
            return {_TYPE: name, _VALUE: write(value)}
    own = getattr(type(value), "__json__", None)
    return tag(own(value)) if callable(own) else value


def untag(value: Any) -> Any:
    """What was tagged. A tag that is none of ours, or whose text makes no sense, stays as it came."""
    if isinstance(value, list):
        return [untag(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_TYPE, _VALUE}:
        inner = value[_VALUE]
        if value[_TYPE] == _PLAIN and isinstance(inner, dict):
            return {name: untag(each) for name, each in inner.items()}
        if isinstance(value[_TYPE], str) and value[_TYPE] in _TAGS and isinstance(inner, str):
            try:
                return _TAGS[value[_TYPE]][2](inner)
            except (ValueError, ArithmeticError):
                return value
    return {name: untag(each) for name, each in value.items()}


def _key(key: Any) -> Any:
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, (int, float)):
        return repr(key)
    return key
