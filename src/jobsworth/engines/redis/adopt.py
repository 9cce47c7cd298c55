"""Moving house: all jobs in order of creation, and jobs of another engine stored as they are."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ...engine import Where
from ...errors import EngineError
from ...job import Job
from . import desk
from .keys import PLACE
from .link import Value
from .record import CODES, parts_of

Run = Callable[..., Any]  # a script's name and its values -> its answer
_to_msgpack = msgspec.msgpack.Encoder().encode
_EVERY = Where()


def scan(run: Run, after: int, limit: int) -> tuple[list[Job], int]:
    """The next jobs in order of creation, and the place behind the last: the very first place is 0, as `after` is."""
    while limit > 0:
        behind = f"{after - 1:0{PLACE}}" if after > 0 else ""
        members = run("walk", "", 0, behind, limit)[:limit]
        if not members:
            break
        after = int(members[-1][:PLACE]) + 1
        found = [job for _, job in desk.read_all(run, members, _EVERY)]
        if found:  # else they have all gone meanwhile, and there may be more behind them
            return found, after
    return [], after


def values(jobs: Sequence[Job]) -> list[Value]:
    """Values for adopt.lua. Raises EngineError for a job that has no room in a record."""
    items: list[dict[str, Any]] = []
    parts: list[Value] = []
    for job in jobs:
        try:
            head, rest, apart, past = parts_of(job)
        except (struct.error, UnicodeEncodeError) as exc:
            raise EngineError(f"job {job.id!r} cannot be kept in Redis: {exc}") from exc
        items.append({
            "id": job.id, "state": CODES[job.state], "queue": job.queue, "task": job.task, "key": job.key or "",
            "crashes": job.crashes, "priority": job.priority, "run_at": _sortable(job.run_at),
            "finished": _sortable(job.finished_at), "owner": job.owner, "tags": job.tags, "apart": bool(apart),
            "past": len(past),
        })  # fmt: skip
        parts += (head, rest, *((apart,) if apart else ()), *past)
    return [_to_msgpack(items), *parts]


def _sortable(moment: float | None) -> float:
    """A sorted set takes no moment that is none, and a script that has begun to write must not be refused one."""
    return 0.0 if moment is None or math.isnan(moment) else moment
