"""Names people choose: what is allowed, and ids nobody has to choose."""

from __future__ import annotations

import os
import re
import time

from .errors import BadName

_ALLOWED = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")


def checked(name: object, what: str) -> str:
    """`name` itself, or BadName (E104) naming what it was for."""
    if not isinstance(name, str) or _ALLOWED.match(name) is None:
        raise BadName(
            f"{what} {_shown(name)} is not allowed",
            hint="1 to 128 characters out of A-Z a-z 0-9 _ . : -",
        )
    return name


def _shown(name: object) -> str:
    text = ascii(name)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def new_id() -> str:
    """A fresh job id: 12 hex digits of milliseconds, then 64 random bits. Ids sort by age, but are no secret."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


def new_ids(count: int) -> list[str]:
    """Many fresh ids: one draw of 40 random bits, then numbered, so that they sort in the order they are given out."""
    stem = f"{time.time_ns() // 1_000_000:012x}{os.urandom(5).hex()}"
    return [f"{stem}{number:06x}" for number in range(count)]
