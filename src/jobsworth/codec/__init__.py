"""Values <-> bytes: the only place that knows JSON. Never pickle.

The promise: a value arrives as what was sent, or is refused where it is sent, with the path to the culprit. Where an
annotation says what a value is (signature.py), whatever msgspec can carry may travel. Where nothing says so, only what
JSON gives back equal may: None, bool, int, finite float, str, list and dict with str keys. Three things are lenient on
purpose: a tuple arrives as a list, an enum that is also a str or an int as that str or int, and a subclass of a plain
type as the plain type.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..errors import Incompatible, TooDeep
from .carry import MAX_BYTES, MAX_DEPTH, SHALLOW, arrives, check_size, deeper_than, dump, load
from .refusal import changed, knot, not_serializable, refusal

__all__ = ["MAX_BYTES", "MAX_DEPTH", "check_plain", "decode", "encode"]


def encode(value: object, *, what: str = "value", limit: int | None = MAX_BYTES) -> bytes:
    """The JSON bytes of a value nothing is said about; `what` names it in messages, `limit` is in bytes.

    Raises NotSerializable, TooLarge or TooDeep.
    """
    try:
        data = dump(value)
    except Exception as exc:
        raise refusal(value, what, exc) from exc
    check_size(data, what, limit)
    if len(data) > SHALLOW and deeper_than(MAX_DEPTH, data):
        raise knot(value, what) or TooDeep(f"{what} is nested deeper than {MAX_DEPTH}")
    if not arrives(value, data, load):
        check_plain(value, what, data)
    return data


def decode(data: bytes) -> Any:
    """The value whose JSON bytes these are. Raises Incompatible if they are not JSON, TooDeep if nested too deep."""
    # One level more than may be sent: stored arguments are one object around the values.
    if len(data) > SHALLOW and deeper_than(MAX_DEPTH + 1, data):
        raise TooDeep(f"the stored value is nested deeper than {MAX_DEPTH}")
    try:
        return load(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Incompatible(f"the stored value is not JSON: {exc}") from exc


def check_plain(value: object, what: str, data: bytes) -> None:
    """Refuse what would silently arrive as something else, where no annotation says what it is."""
    try:
        came = load(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:  # an int of more digits than msgspec reads
        raise refusal(value, what, exc) from exc
    if found := changed(value, came):
        raise not_serializable(found, what)
