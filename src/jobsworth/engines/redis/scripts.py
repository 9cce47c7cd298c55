"""The scripts: one per verb, put together from the files in lua/, and known to the server by their digests."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from importlib import resources

from ...engine import CARD_LEASES
from . import keys, logs, record, tallies

PROMOTED = 1000  # scheduled jobs made ready per turn, so that a million due at once hold nobody up

# What each script is made of, itself aside.
_PARTS = {
    "enqueue": ("record", "index", "stand", "store"),
    "brisk": ("record", "index", "count", "plain", "give"),
    "adopt": ("record", "index", "stand", "store"),
    "turn": ("record", "open", "index", "stand", "store", "count", "plain", "settle", "promote", "give"),
    "pulse": ("record", "open", "index", "ear"),
    "hear": ("record", "open", "ear"),
    "reclaim": ("record", "index"),
    "recall": ("record",),
    "move": ("record", "open", "index", "stand"),
    "delete": ("record", "open", "index", "stand"),
    "read": ("record",),
    "list": (),
    "walk": (),
    "figures": ("record", "open"),
    "place": ("record", "open"),
    "arrivals": ("record",),
    "workers": (),
    "upkeep": (),
    "tell": (),
    "pack": (),
    # the same as those below, where something was logged: every function of a script makes each call of it dearer
    "log_pulse": ("record", "open", "index", "ear", "log"),
    "log_turn": ("record", "open", "index", "stand", "store", "count", "plain", "settle", "promote", "give", "log"),
}
_LAST = {"log_pulse": "pulse", "log_turn": "turn"}  # the file a script ends with, where that has another name

_CONSTANTS: dict[str, str | int] = {
    **keys.constants(),
    **record.constants(),
    **logs.constants(),
    "CARD_LEASES": CARD_LEASES,
    "PROMOTED": PROMOTED,
}
_VALUES = {name: f"'{value}'" if isinstance(value, str) else str(value) for name, value in _CONSTANTS.items()}
_VALUES |= tallies.constants()
_NAMES = re.compile(rf"\b(?:{'|'.join(_VALUES)})\b")
_COMMENTS = re.compile(r"^\s*--.*\n|\s+--\s.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the digest by which a server that has seen it knows it."""

    name: str
    text: bytes
    digest: bytes


@functools.cache
def script(name: str) -> Script:
    """One of the scripts."""
    text = "\n".join(map(_read, ("base", *_PARTS[name], _LAST.get(name, name)))).encode()
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def _read(part: str) -> str:
    """A file of Lua without its comments, with our constants in place of their names.

    Each local of a script that a function uses makes every call of the script dearer, so there are no such constants
    in Lua. Nothing but our own words is filled in.
    """
    text = (resources.files(__package__) / "lua" / f"{part}.lua").read_text(encoding="utf-8")
    return _NAMES.sub(lambda found: _VALUES[found[0]], _COMMENTS.sub("", text))
