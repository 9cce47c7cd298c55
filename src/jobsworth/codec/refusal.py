"""What would not arrive as it was sent, where it is, and the error that says so. Slow, and only asked when needed."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from ..errors import JobsworthError, NotSerializable, TooDeep
from .carry import MAX_DEPTH, attributes, dump, is_model, load, type_name

_PLAIN = (type(None), bool, int, float, str, list, tuple, dict)
_SCALARS = frozenset(_PLAIN[:5])
_SETS = (set, frozenset)
# Declared types without fields, whose == can be trusted.
_DATES = (dt.date, dt.time, dt.timedelta)
_VALUES = (*_DATES, bytes, bytearray, decimal.Decimal, uuid.UUID, enum.Enum, pathlib.PurePath)
_INSTEAD: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (enum.Enum, "pass its .value"),
    (dt.timedelta, "pass its .total_seconds()"),
    ((dt.date, dt.time), "pass its .isoformat()"),
    ((uuid.UUID, decimal.Decimal, pathlib.PurePath, int), "pass str(value)"),
    ((bytes, bytearray, memoryview), "pass base64 text"),
    (_SETS, "pass a list"),
    (float, "JSON has no such number; pass None"),
    (str, "replace what is not text: value.encode(errors='replace').decode()"),
)


class Refused(NamedTuple):
    """A place that cannot travel: its path, the value (or key) there, what is wrong with it, and what to do."""

    path: str
    value: object
    problem: str
    hint: str | None = None

    def under(self, step: str) -> Refused:
        """The same, seen from one level up."""
        return self._replace(path=step + self.path)


def changed(sent: Any, came: Any) -> Refused | None:
    """Where `came`, which is `sent` after the journey, is silently something else; None if nowhere.

    A plain value that an annotation made richer (a dict into a dataclass, text into a datetime) is as wanted.
    """
    kind = type(came)
    if kind in _SCALARS:
        return None if isinstance(sent, _PLAIN) and sent == came else _lost(sent)
    if isinstance(came, dict):
        return _changed_dict(sent, came) if isinstance(sent, dict) else _lost(sent)
    if isinstance(came, (list, tuple)):
        return _changed_items(sent, came)
    if isinstance(came, _SETS):
        return _changed_set(sent, came)
    if type(sent) is kind:
        return _changed_fields(sent, came)
    if isinstance(sent, dict):
        return _changed_into(sent, came)
    if isinstance(sent, _PLAIN) or sent == came:
        return None
    return Refused("", sent, f"{type_name(type(sent))} would arrive as {type_name(kind)}")


def _changed_dict(sent: dict[Any, Any], came: dict[Any, Any]) -> Refused | None:
    if len(sent) != len(came):  # a TypedDict leaves out what it does not know; 1 and "1" become one key
        key = next((key for key in sent if key not in came), None)
        lost = Refused("", key, f"the key {_short(key)} would be lost", "leave it out, or declare it")
        return lost if isinstance(key, str) else _bad_key(key)
    for (key, value), (came_key, came_value) in zip(sent.items(), came.items(), strict=True):
        if type(key) is not str and changed(key, came_key):
            return _bad_key(key)
        if found := changed(value, came_value):
            return found.under(_step(key))
    return None


def _changed_items(sent: Any, came: Any) -> Refused | None:
    # A named tuple's names survive only where the annotation has them; where it says `tuple`, they are not wanted.
    kind = type(sent)
    if not (
        kind in (list, tuple) or isinstance(sent, list) or (isinstance(sent, tuple) and type(came) in (tuple, kind))
    ):
        return _lost(sent)
    for index, (value, came_value) in enumerate(zip(sent, came, strict=True)):
        if found := changed(value, came_value):
            return found.under(f"[{index}]")
    return None


def _changed_set(sent: Any, came: Any) -> Refused | None:
    if not isinstance(sent, (list, tuple, *_SETS)):
        return _lost(sent)
    # Order is gone, so no item can be compared with its own: look for one that only a declared type could have saved.
    for item in sent:
        if item not in came and type(item) not in (str, bool, int) and any(type(other) in _PLAIN for other in came):
            return _lost(item).under("[...]")
    return None


def _changed_fields(sent: Any, came: Any) -> Refused | None:
    for name in attributes(sent):
        if found := changed(getattr(sent, name, None), getattr(came, name, None)):
            return found.under(f".{name}")
    if not isinstance(sent, _VALUES) or sent == came or sent != sent:
        return None  # Decimal("NaN") is never equal to itself
    if isinstance(sent, dt.datetime) and sent.tzinfo and sent.astimezone(dt.UTC) == came:
        return None  # in the hour that comes twice, moments of two zones are never equal (PEP 495)
    return Refused("", sent, f"this {type_name(type(sent))} would arrive as another one")


def _changed_into(sent: dict[Any, Any], came: Any) -> Refused | None:
    """A dict given where the annotation makes an object of it: every key must have found its field."""
    kind: Any = type(came)
    if is_model(kind):  # has its own rules for keys
        return None
    names = dict(zip(getattr(kind, "__struct_encode_fields__", attributes(came)), attributes(came), strict=True))
    tag = kind.__struct_config__.tag_field if isinstance(came, msgspec.Struct) else None
    for key, value in sent.items() if names else ():
        if key not in names and key != tag:
            problem = f"{type_name(kind)} has no field {_short(key)}"
            return Refused("", key, problem, f"its fields are {', '.join(names)}")
        if key in names and (found := changed(value, getattr(came, names[key], None))):
            return found.under(_step(key))
    return None


# --- the refusal -----------------------------------------------------------------------------------------------------


def refusal(value: object, what: str, exc: Exception) -> JobsworthError:
    """The error for a value that could not be encoded because of `exc`, with the path to the culprit."""
    if isinstance(exc, (MemoryError, RecursionError)):
        if found := knot(value, what):
            return found
        raise exc  # the machine is at its end, not the value
    path: list[str] = []
    while culprit := next((child for child in _children(value) if not _encodes(child[1])), None):
        path, value = [*path, culprit[0]], culprit[1]
    for key in value if isinstance(value, dict) else ():
        if not _encodes({key: None}):
            return not_serializable(_bad_key(key).under("".join(path)), what)
    return not_serializable(_lost(value).under("".join(path)), what)


def knot(value: object, what: str) -> JobsworthError | None:
    """The error for a value that holds itself or is nested too deep; None if it is neither. Needs no recursion."""
    trail = [("", value, _children(value))]
    held = {id(value)}
    while trail:
        step, child = next(trail[-1][2], (None, None))
        if step is None:
            held.discard(id(trail.pop()[1]))
        elif _holds(child):
            if id(child) in held or len(trail) >= MAX_DEPTH:
                place = _place(what, "".join(part for part, _, _ in trail) + step)
                if id(child) in held:
                    return NotSerializable(f"{place}: contains itself", hint="pass ids instead of references")
                return TooDeep(f"{place}: nested deeper than {MAX_DEPTH}")
            held.add(id(child))
            trail.append((step, child, _children(child)))
    return None


def endless(value: object) -> Refused | None:
    """The first float that JSON has no word for; None if there is none. Only for values known not to be deep."""
    if isinstance(value, float) and not math.isfinite(value):
        return _lost(value)
    if not _holds(value):
        return None
    return next((found.under(step) for step, child in _children(value) if (found := endless(child))), None)


def not_serializable(found: Refused, what: str) -> NotSerializable:
    """The error for what was found in `what`."""
    return NotSerializable(_place(what, found.path) + ": " + found.problem, hint=found.hint or _advice(found.value))


def _advice(value: object) -> str:
    instead = next((text for kinds, text in _INSTEAD if isinstance(value, kinds)), "convert it to plain values first")
    if isinstance(value, _PLAIN) and not isinstance(value, tuple):
        return instead  # an annotation would not help
    if not _encodes(value):
        return instead
    return f"annotate where it stands and it arrives as {type_name(type(value))}, or {instead}"


def _holds(value: object) -> bool:
    return type(value) not in _SCALARS and (isinstance(value, (list, tuple, dict, *_SETS)) or bool(attributes(value)))


def _children(value: Any) -> Iterator[tuple[str, object]]:
    """What a value holds, each with its step in the path."""
    if isinstance(value, dict):
        return ((_step(key), item) for key, item in value.items())
    if isinstance(value, (list, tuple, *_SETS)):
        return ((f"[{index}]", item) for index, item in enumerate(value))
    return ((f".{name}", getattr(value, name, None)) for name in attributes(value))


def _encodes(value: object) -> bool:
    try:
        load(dump(value))
    except Exception:  # noqa: BLE001 - that it fails is the answer; why is said by who asks
        return False
    return True


def _lost(value: object) -> Refused:
    named = type_name(type(value))
    if isinstance(value, float):
        named = repr(float(value))
    elif isinstance(value, str) and not isinstance(value, enum.Enum):
        named = "text with a lone surrogate"
    elif isinstance(value, int) and not isinstance(value, enum.Enum):
        named = "an int of that many digits"
    return Refused("", value, f"{named} is not serializable here")


def _bad_key(key: object) -> Refused:
    problem = f"the key {_short(key)} is not serializable here; keys must be str"
    return Refused("", key, problem, None if isinstance(key, str) else "pass str(key), or annotate: dict[int, ...]")


def _place(what: str, path: str) -> str:
    path = path.removeprefix(".")
    path = path if len(path) <= 120 else f"{path[:60]}...{path[-50:]}"
    return f"{what} -> {path}" if path else what


def _step(key: object) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() and len(key) <= 40 else f"[{_short(key)}]"


def _short(key: object) -> str:
    shown = repr(key) if isinstance(key, (str, int, float, bytes)) else type_name(type(key))
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
