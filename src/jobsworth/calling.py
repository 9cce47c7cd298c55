"""From JSON that somebody sent to a task's arguments, of the annotated types where that is possible.

The signature has the last word: what does not fit is handed on as it is, to be refused there with its reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .codec.carry import dump, loader
from .codec.declare import Field
from .queue import QueueService
from .task import Task

Call = tuple[tuple[Any, ...], dict[str, Any]]


def call_from_value(task: Task[..., Any], value: Any) -> Call:
    """An object holds arguments by name, a list by position. A QueueService's object is its item."""
    fields = task.signature.fields
    if isinstance(value, dict) and not (takes_item(task) and set(value) != {fields[0].name}):
        return _by_name(fields, value)
    if isinstance(value, list) and not takes_item(task):
        slots = by_position(fields)
        return tuple(fitting([each], field) for each, field in zip(value, slots)), {}  # noqa: B905 (slots never end)
    return (fitting([value], fields[0] if fields else None),), {}


def _by_name(fields: Sequence[Field], value: Mapping[str, Any]) -> Call:
    """As stored: starred arguments are under "*name" and "**name"."""
    stars = {field.key: field for field in fields if field.key != field.name}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for key, each in value.items():
        star = stars.get(key)
        if star is not None and isinstance(each, list):
            args += [fitting([one], star) for one in each]
        elif star is not None and isinstance(each, dict):
            kwargs |= {name: fitting([one], star) for name, one in each.items()}
        else:
            kwargs[key] = fitting([each], field_named(fields, key))
    if args:  # what is before them can then only be given by position
        ahead = [
            f.name
            for f in fields
            if f.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        ]
        args = [kwargs.pop(name) for name in ahead if name in kwargs] + args
    return tuple(args), kwargs


def takes_item(task: Task[..., Any]) -> bool:
    return isinstance(task.queue, QueueService) and task.queue.task is task


def by_position(fields: Sequence[Field]) -> Iterator[Field | None]:
    """The field of each positional value; then the starred one, or None, for all that follow."""
    for field in fields:
        if field.kind is inspect.Parameter.VAR_POSITIONAL:
            while True:
                yield field
        if field.kind not in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
            yield field
    while True:
        yield None


def field_named(fields: Sequence[Field], name: str) -> Field | None:
    named = [field for field in fields if field.name == name and field.kind is not inspect.Parameter.VAR_POSITIONAL]
    starred = [field for field in fields if field.kind is inspect.Parameter.VAR_KEYWORD]
    return next(iter(named or starred), None)


def type_of(field: Field | None) -> Any:
    """What one value must be; a starred parameter's annotation speaks of each."""
    if field is None:
        return Any
    if field.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        return field.type.__args__[-1]
    return field.type


def fitting(meanings: Sequence[Any], field: Field | None) -> Any:
    """The first meaning that the parameter takes, as its type; if none does, the first as it is, to be refused."""
    kind = type_of(field)
    if kind is not Any:
        decode = loader(kind)
        for meaning in meanings:
            try:
                return decode(dump(meaning))
            except Exception:  # noqa: BLE001, S112 (a type's own code may raise anything; the signature says what is wrong)
                continue
    return meanings[0]
