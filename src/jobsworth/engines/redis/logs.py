"""What runs have logged: a sorted set per job that logged anything, written by scripts that are only called then."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from ...engine import Pulse
from ...job import JobId, storable
from ...lifecycle import Settlement
from ...logged import KEPT, RUNS, Chunk, Head, Logged, packed, unpacked
from ...logged import told as told_of
from .keys import key

if TYPE_CHECKING:
    from .link import Link

# place, run, base, last; fence; first, attempt; began. Then the lines.
LOG = struct.Struct("<IIIIdIId")
_to_msgpack = msgspec.msgpack.Encoder().encode


def constants() -> dict[str, str | int]:
    """The layout, and what is kept, for scripts."""
    return {"LOG": LOG.format.replace("I", "I4"), "LINES_KEPT": KEPT, "RUNS_KEPT": RUNS}


def said(those: Iterable[Pulse | Settlement]) -> bytes | None:
    """The lines that come with these, for log.lua; None if there are none."""
    found = [
        (each.lease.job_id, each.lease.fence, each.lines[0].number, each.lines[-1].number, packed(each.lines))
        for each in those
        if each.lines
    ]
    return _to_msgpack(found) if found else None


def told(link: Link, namespace: str, job_id: JobId, after: int, limit: int | None) -> list[Logged]:
    """See Engine.logs()."""
    name = key(namespace, "LOGS") + storable(job_id)
    most = -1 if limit is None else max(limit, 0)  # chunks: each has a line to tell, or more
    rows = link.command("ZREVRANGEBYSCORE", name, "+inf", f"({after}", "LIMIT", 0, most, again=True)
    return told_of(_chunks(rows), after, limit)


def _chunks(rows: Iterable[bytes]) -> Iterator[Chunk]:
    for row in rows:
        if len(row) >= LOG.size:
            place, run, base, last, fence, first, attempt, began = LOG.unpack_from(row)
            lines = unpacked(row[LOG.size :], last)
            yield Chunk(Head(place, run, base, int(fence), last), first, attempt, began, lines)
