"""From words on a command line to a task's arguments and a job's options.

A value is read as JSON if it is JSON, else it is the text itself; the task's signature decides in doubt, so that
`run greet 1` gives a `str` parameter "1" and an `int` parameter 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from jobsworth.calling import Call, by_position, call_from_value, field_named, fitting, takes_item, type_of
from jobsworth.codec.carry import load
from jobsworth.codec.declare import Field
from jobsworth.errors import BadArguments, BadOption
from jobsworth.task import Task

_NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_PYTHON = {"True": True, "False": False, "None": None}  # what Python people type by habit


def call_from(task: Task[..., Any], words: Sequence[str], document: str | None) -> Call:
    """The arguments of a call, of the annotated types where that is possible; the signature checks the rest.

    words: values by position, or name=value.  document: all of them as JSON (see document_from).
    """
    fields = task.signature.fields
    if document is not None:
        if words:
            raise BadArguments("give the arguments one by one or as --args, not both")
        return call_from_value(task, document_from(document))
    by_name: dict[str, Any] = {}
    positional: list[Any] = []
    for word in words:
        named = _NAMED.fullmatch(word)
        if named is not None:
            if named[1] in by_name:
                raise BadArguments(f'argument "{named[1]}" is given twice')
            by_name[named[1]] = named[2]
        else:
            positional.append(word)
    if _is_item(task, fields, by_name, positional):
        return ({name: _plain(text) for name, text in by_name.items()},), {}
    slots = by_position(fields)
    args = tuple(fitting(candidates(text, type_of(field)), field) for text, field in zip(positional, slots))  # noqa: B905
    return args, {name: _named(fields, name, text) for name, text in by_name.items()}


def document_from(text: str) -> Any:
    """JSON given as text, as @file, or as - for stdin. Raises BadArguments."""
    if text == "-":
        text, source = sys.stdin.read(), "stdin"
    elif text.startswith("@"):
        source = text[1:]
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise BadArguments(f"cannot read {source}: {exc}") from exc
    else:
        source = "--args"
    try:
        return load(text.encode())
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BadArguments(f"{source} is not JSON: {exc}", hint='for example --args \'{"name": "Ada"}\'') from exc


def _is_item(task: Task[..., Any], fields: Sequence[Field], by_name: Mapping[str, Any], rest: Sequence[Any]) -> bool:
    """`run images file_path=a.png width=800` means one item with these keys."""
    return takes_item(task) and bool(by_name) and not rest and field_named(fields, next(iter(by_name))) is None


def _named(fields: Sequence[Field], name: str, text: str) -> Any:
    field = field_named(fields, name)
    return fitting(candidates(text, type_of(field)), field)


def candidates(text: str, kind: Any) -> list[Any]:
    """What a word may mean, the likeliest first."""
    if kind is str:
        return [text]
    try:
        parsed = load(text.encode())
    except (msgspec.DecodeError, RecursionError):
        return [_PYTHON[text], text] if text in _PYTHON else [text]
    # A number that must be exact is in its digits, not in a float.
    return [text, parsed] if isinstance(parsed, float) and kind is not Any and kind is not float else [parsed, text]


def _plain(text: str) -> Any:
    return candidates(text, Any)[0]


def meta_from(words: Sequence[str]) -> dict[str, Any] | None:
    """--meta: name=value, or a JSON object; any number of either."""
    found: dict[str, Any] = {}
    for word in words:
        named = _NAMED.fullmatch(word)
        if named is not None:
            found[named[1]] = _plain(named[2])
            continue
        value = _plain(word)
        if not isinstance(value, dict):
            raise BadOption(f"--meta takes name=value or a JSON object, not {word!r}")
        found.update(value)
    return found or None


def seconds_from(text: str | None, option: str) -> float | None:
    """Seconds: 90, 1.5, 30s, 5m, 2h, 1d12h. Raises BadOption."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise BadOption(f"{option} takes a time like 30, 90s, 5m, 2h or 1d, not {text!r}")
    return sum(float(part) * unit for part, unit in zip(match.groups(), (86_400, 3600, 60, 1), strict=True) if part)


def moment_from(text: str | None, option: str) -> datetime | None:
    """A moment in ISO 8601; without a zone it is this machine's local time. Raises BadOption."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as exc:
        raise BadOption(f"{option} takes a moment like 2026-01-31T08:00, not {text!r}: {exc}") from exc
