"""Reading a function's declaration: its parameters, what their annotations mean, and the struct that carries a call."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from .carry import loader

NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class Field(NamedTuple):
    """One parameter: its name in Python, its key in JSON, its slot in the struct, and what is known of its type."""

    name: str
    key: str
    slot: str
    kind: Any  # an inspect.Parameter's
    required: bool
    type: Any  # Any where nothing is said, or nothing that can be used
    ignored: str | None  # why the annotation cannot be used

    @property
    def what(self) -> str:
        """What messages call it."""
        return f'argument "{self.key}"'


class Declaration(NamedTuple):
    """A function as its author wrote it, less the parameters that are injected."""

    name: str
    parameters: inspect.Signature
    fields: list[Field]
    returns: Any


class _Scope(NamedTuple):
    """Where a function's annotations find their names."""

    globals: dict[str, Any]
    locals: dict[str, Any]


def read(fn: Callable[..., Any], skip: int) -> Declaration:
    """Read the declaration of `fn`, less its first `skip` parameters. Nothing in an annotation makes this fail."""
    found = _inspect(fn)
    parameters = found.replace(parameters=list(found.parameters.values())[skip:])
    inner = _innermost(fn)
    scope = _scope(inner)
    # A struct's attributes cannot have every name a parameter can; where one cannot, all get slots of our own.
    plain = all(p.kind in NAMED and not p.name.startswith("__") for p in parameters.parameters.values())
    fields = [
        _field(parameter, parameter.name if plain else f"a{index}", scope)
        for index, parameter in enumerate(parameters.parameters.values())
    ]
    returns, _ = _resolve(parameters.return_annotation, scope)
    return Declaration(getattr(inner, "__name__", type(fn).__name__), parameters, fields, returns)


def struct(fields: Sequence[Field]) -> type[msgspec.Struct]:
    """The struct of a call. What is not given stays UNSET and is not encoded, so that defaults stay at home."""
    by_position = [_member(field) for field in fields if field.kind is not Parameter.KEYWORD_ONLY]
    by_name = [_member(field) for field in fields if field.kind is Parameter.KEYWORD_ONLY]
    keys = {field.slot: field.key for field in fields if field.slot != field.key} or None
    base = msgspec.defstruct("Call", by_name, kw_only=True, rename=keys)
    return msgspec.defstruct("Call", by_position, bases=(base,), forbid_unknown_fields=True, rename=keys)


def as_written(signature: inspect.Signature) -> str:
    """The parameters as text, annotations that are strings without their quotes."""
    parameters = [
        parameter.replace(annotation=_Verbatim(parameter.annotation))
        if isinstance(parameter.annotation, str)
        else parameter
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=Parameter.empty))


class _Verbatim:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _member(field: Field) -> tuple[str, Any] | tuple[str, Any, Any]:
    return (field.slot, field.type) if field.required else (field.slot, field.type, UNSET)


def _field(parameter: Parameter, slot: str, scope: _Scope) -> Field:
    known, ignored = _resolve(parameter.annotation, scope)
    stars = ""
    if parameter.kind is Parameter.VAR_POSITIONAL:
        stars, known = "*", types.GenericAlias(list, known)
    elif parameter.kind is Parameter.VAR_KEYWORD:
        stars, known = "**", types.GenericAlias(dict, (str, known))
    required = parameter.default is Parameter.empty and not stars
    return Field(parameter.name, stars + parameter.name, slot, parameter.kind, required, known, ignored)


def _resolve(annotation: Any, scope: _Scope) -> tuple[Any, str | None]:
    """What an annotation means, and why it cannot be used if it cannot: then it means Any."""
    if annotation is Parameter.empty or annotation is object:
        return Any, None

    def probe() -> None: ...

    probe.__annotations__ = {"it": annotation}
    try:
        meant = typing.get_type_hints(probe, scope.globals, scope.locals, include_extras=True)["it"]
        loader(meant)
    except Exception as exc:  # noqa: BLE001 - an annotation may run any code, and raise anything
        return Any, f"{type(exc).__name__}: {exc}"
    return meant, None


def _inspect(fn: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # annotations are only looked at here, and may name what is not there
        import annotationlib

        return inspect.signature(fn, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(fn)


def _innermost(fn: Any) -> Any:
    """The plain function inside decorators, partials, methods and callable objects."""
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif hasattr(fn, "__globals__") or not hasattr(type(fn).__call__, "__globals__"):
            return fn
        else:
            fn = type(fn).__call__


def _scope(fn: Any) -> _Scope:
    names: dict[str, Any] = {}
    code = getattr(fn, "__code__", None)
    for name, cell in zip(code.co_freevars if code else (), getattr(fn, "__closure__", None) or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not bound yet; an annotation that needs it counts as unresolved
            continue
    return _Scope(getattr(fn, "__globals__", {}), names)
