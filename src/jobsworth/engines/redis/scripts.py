"""The scripts: one per verb, put together from the files in lua/, and known to the server by their digests."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from importlib import resources

from . import keys, record

CARD_LEASES = 3  # a worker's card outlives its last pulse by this many leases
PROMOTED = 1000  # scheduled jobs made ready per turn, so that a million due at once hold nobody up

# What each script is made of, itself aside.
_PARTS = {
    "enqueue": ("record", "index", "store"),
    "turn": ("record", "index", "store"),
    "pulse": ("record", "index", "ear"),
    "hear": ("record", "ear"),
    "reclaim": ("record", "index"),
    "move": ("record", "index"),
    "delete": ("record", "index"),
    "read": ("record",),
    "list": (),
    "walk": (),
    "figures": ("record",),
    "arrivals": ("record",),
    "workers": (),
    "upkeep": (),
}


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the digest by which a server that has seen it knows it."""

    name: str
    text: bytes
    digest: bytes


@functools.cache
def script(name: str) -> Script:
    """One of the scripts."""
    constants = f"local CARD_LEASES, PROMOTED = {CARD_LEASES}, {PROMOTED}\n"
    parts = [keys.lua(), record.lua(), constants, *map(_read, ("base", *_PARTS[name], name))]
    text = "\n".join(parts).encode()
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def _read(part: str) -> str:
    return (resources.files(__package__) / "lua" / f"{part}.lua").read_text(encoding="utf-8")
