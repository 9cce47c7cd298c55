"""From words on a command line to a task's arguments and a job's options.

A value is read as JSON if it is JSON, else it is the text itself; the task's signature decides in doubt, so that
`run greet 1` gives a `str` parameter "1" and an `int` parameter 1.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from jobsworth.codec.carry import dump, load, loader
from jobsworth.codec.declare import Field
from jobsworth.errors import BadArguments, BadOption
from jobsworth.queue import QueueService
from jobsworth.task import Task

_NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_PYTHON = {"True": True, "False": False, "None": None}  # what Python people type by habit
Call = tuple[tuple[Any, ...], dict[str, Any]]


def call_from(task: Task[..., Any], words: Sequence[str], document: str | None) -> Call:
    """The arguments of a call, of the annotated types where that is possible; the signature checks the rest.

    words: values by position, or name=value.  document: all of them as JSON (see document_from).
    """
    fields = task.signature.fields
    if document is not None:
        if words:
            raise BadArguments("give the arguments one by one or as --args, not both")
        return _from_document(task, fields, document_from(document))
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
    slots = _by_position(fields)
    args = tuple(_fitting(candidates(text, _type_of(field)), field) for text, field in zip(positional, slots))  # noqa: B905
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


def _from_document(task: Task[..., Any], fields: Sequence[Field], value: Any) -> Call:
    """An object holds arguments by name, a list by position. A QueueService's object is its item."""
    if isinstance(value, dict) and not (_takes_item(task) and set(value) != {fields[0].name}):
        return _by_name(fields, value)
    if isinstance(value, list) and not _takes_item(task):
        slots = _by_position(fields)
        return tuple(_fitting([each], field) for each, field in zip(value, slots)), {}  # noqa: B905 (slots never end)
    return (_fitting([value], fields[0] if fields else None),), {}


def _by_name(fields: Sequence[Field], value: Mapping[str, Any]) -> Call:
    """As stored: starred arguments are under "*name" and "**name"."""
    stars = {field.key: field for field in fields if field.key != field.name}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for key, each in value.items():
        star = stars.get(key)
        if star is not None and isinstance(each, list):
            args += [_fitting([one], star) for one in each]
        elif star is not None and isinstance(each, dict):
            kwargs |= {name: _fitting([one], star) for name, one in each.items()}
        else:
            kwargs[key] = _fitting([each], _field(fields, key))
    if args:  # what is before them can then only be given by position
        ahead = [
            f.name
            for f in fields
            if f.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        ]
        args = [kwargs.pop(name) for name in ahead if name in kwargs] + args
    return tuple(args), kwargs


def _takes_item(task: Task[..., Any]) -> bool:
    return isinstance(task.queue, QueueService) and task.queue.task is task


def _is_item(task: Task[..., Any], fields: Sequence[Field], by_name: Mapping[str, Any], rest: Sequence[Any]) -> bool:
    """`run images file_path=a.png width=800` means one item with these keys."""
    return _takes_item(task) and bool(by_name) and not rest and _field(fields, next(iter(by_name))) is None


def _by_position(fields: Sequence[Field]) -> Iterator[Field | None]:
    """The field of each positional value; then the starred one, or None, for all that follow."""
    for field in fields:
        if field.kind is inspect.Parameter.VAR_POSITIONAL:
            while True:
                yield field
        if field.kind not in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
            yield field
    while True:
        yield None


def _field(fields: Sequence[Field], name: str) -> Field | None:
    named = [field for field in fields if field.name == name and field.kind is not inspect.Parameter.VAR_POSITIONAL]
    starred = [field for field in fields if field.kind is inspect.Parameter.VAR_KEYWORD]
    return next(iter(named or starred), None)


def _named(fields: Sequence[Field], name: str, text: str) -> Any:
    field = _field(fields, name)
    return _fitting(candidates(text, _type_of(field)), field)


def _type_of(field: Field | None) -> Any:
    """What one value must be; a starred parameter's annotation speaks of each."""
    if field is None:
        return Any
    if field.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        return field.type.__args__[-1]
    return field.type


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


def _fitting(meanings: Sequence[Any], field: Field | None) -> Any:
    """The first meaning that the parameter takes, as its type; if none does, the first as it is, to be refused."""
    kind = _type_of(field)
    if kind is not Any:
        decode = loader(kind)
        for meaning in meanings:
            try:
                return decode(dump(meaning))
            except Exception:  # noqa: BLE001, S112 (a type's own code may raise anything; the signature says what is wrong)
                continue
    return meanings[0]


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
