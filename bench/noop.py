"""The one job everybody runs: it appends its number and the moment to a file of ticks, and returns a small result.

A tick is one 16-byte append (atomic, about 2 µs), so it costs every contestant the same, and the ticks tell afterwards
whether each job ran exactly once and how fast they went. Times are CLOCK_MONOTONIC: one clock for the whole machine.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any

_RECORD = struct.Struct("<qd")
_file: int | None = None


def ticks_path() -> Path:
    """Where ticks go: the file the harness named for this measurement."""
    return Path(os.environ["BENCH_TICKS"])


def tick(number: int) -> None:
    """Note that job `number` runs now."""
    global _file
    if _file is None:
        _file = os.open(ticks_path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(_file, _RECORD.pack(number, time.monotonic()))


def ticks(path: Path | None = None) -> list[tuple[int, float]]:
    """Every run so far as (job number, moment), in the order they were written. path: of another file of ticks."""
    return list(_RECORD.iter_unpack((path or ticks_path()).read_bytes()))


def ticked(path: Path | None = None) -> int:
    """How many runs there were so far; cheap enough to poll."""
    try:
        return (path or ticks_path()).stat().st_size // _RECORD.size
    except FileNotFoundError:
        return 0


def arguments(number: int) -> dict[str, Any]:
    """What every job carries."""
    return {"number": number, "path": "a.png", "size": [1200, 800]}


async def noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    """The handler, for systems that take coroutines."""
    tick(number)
    return {"ok": number}


def noop_sync(number: int, path: str, size: list[int]) -> dict[str, int]:
    """The handler, for systems that only take functions."""
    tick(number)
    return {"ok": number}
