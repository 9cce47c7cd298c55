"""How bytes are made and read: the JSON library, what it does not know by itself, and the two limits."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import typing
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import msgspec

from ..errors import TooLarge

MAX_BYTES = 1_048_576  # of JSON, for the arguments of one job, one result, one meta
MAX_DEPTH = 64  # containers within containers
SHALLOW = 2 * MAX_DEPTH  # so few bytes cannot nest too deep: every level takes two


def _plain_form(value: Any) -> object:
    """Called for a value msgspec cannot encode by itself."""
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, str):  # a subclass: the plain value inside, whatever its __str__ says
        return str.__str__(value)
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if is_model(type(value)):
        return msgspec.Raw(value.model_dump_json(by_alias=True, round_trip=True).encode())
    raise TypeError(f"{type_name(type(value))} is not serializable")


def _typed_form(kind: Any, value: Any) -> Any:
    """Called for an annotation msgspec does not know. What it raises becomes a ValidationError with its path."""
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        return kind(value)
    if is_model(kind):
        return _model(kind, value)
    if isinstance(value, typing.get_origin(kind) or kind):  # Iterable and the like: JSON's own types will do
        return value
    raise TypeError(f"Expected `{type_name(kind)}`, got `{type_name(type(value))}`")


def _model(kind: Any, value: object) -> object:
    try:
        return kind.model_validate_json(msgspec.json.encode(value))
    except sys.modules["pydantic"].ValidationError as exc:
        # Its own text shows the input, which may be a secret.
        found = exc.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(".".join(map(str, e["loc"])) + ": " + e["msg"] for e in found)
        raise ValueError(f"{type_name(kind)} refuses it: {said}") from exc


def is_model(kind: object) -> bool:
    """Whether this is a pydantic model. Who has not imported pydantic has none, so we never import it."""
    pydantic = sys.modules.get("pydantic")
    model = getattr(pydantic, "BaseModel", None)
    return isinstance(kind, type) and isinstance(model, type) and issubclass(kind, model)


dump: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=_plain_form).encode
load: Callable[[bytes], Any] = msgspec.json.Decoder().decode


def loader(kind: Any) -> Callable[[bytes], Any]:
    """A function from bytes to values of this type. Raises what msgspec raises for a type it cannot carry."""
    return msgspec.json.Decoder(kind, dec_hook=_typed_form).decode


def attributes(value: object) -> tuple[str, ...]:
    """The names of the fields in which an object of a declared type keeps its values; () for any other."""
    kind: Any = type(value)
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if is_model(kind):
        return tuple(kind.model_fields)
    return tuple(field.name for field in getattr(kind, "__attrs_attrs__", ()))


def type_name(kind: Any) -> str:
    """A type as people write it: datetime.timedelta, set, app.models.User."""
    if not isinstance(kind, type):
        return repr(kind).replace("typing.", "")
    home = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    return home + kind.__qualname__


def arrives(value: object, data: bytes, load: Callable[[bytes], Any]) -> bool:
    """The fast answer: True if it comes back equal. False only means that `changed` must look closer."""
    try:
        return bool(load(data) == value)
    except Exception:  # noqa: BLE001 - the slow look meets it again and says it in words
        return False


def check_size(data: bytes, what: str, limit: int | None) -> None:
    """Raise TooLarge if it takes more than `limit` bytes."""
    if limit is not None and len(data) > limit:
        raise TooLarge(
            f"{what} takes {_size(len(data))} as JSON; the limit is {_size(limit)}",
            hint="store the data elsewhere and pass its path or key",
        )


def deeper_than(limit: int, data: bytes) -> bool:
    """Whether the JSON nests deeper than `limit`. Needs no recursion, so no depth can hurt it.

    Everything but brackets and quotes is dropped, then strings, then all innermost pairs again and again: each round
    takes off one level at the speed of C.
    """
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    shape = data.translate(_FOLD, _NOISE).replace(b'""', b"")
    if b'"' in shape:
        shape = b"".join(shape.split(b'"')[::2])
    left = shape
    for _ in range(limit):
        inner = left.replace(b"[]", b"")
        if not inner:
            return False
        if len(inner) == len(left):
            break
        left = inner
    # Too deep, or never balanced: count exactly. "[" is 91 and adds one, "]" is 93 and takes one off.
    return max(accumulate(map((92).__sub__, shape)), default=0) > limit


_FOLD = bytes.maketrans(b"{}", b"[]")
_NOISE = bytes(set(range(256)) - set(b'[]{}"'))


def _size(count: int) -> str:
    return f"{count / 1_048_576:.1f} MiB" if count >= 104_858 else f"{count} bytes"
