"""Wishes come true: which of a batch are new, and whether there is room for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from jobsworth.errors import QueueFull
from jobsworth.job import JobId, NewJob, Receipt

from .table import Table, born


def store(table: Table, batch: Sequence[NewJob], now: float) -> list[Receipt] | QueueFull:
    """Store one caller's batch, whole or not at all."""
    fresh: dict[JobId, NewJob] = {}
    keys: dict[tuple[str, str], JobId] = {}
    receipts = []
    for new in batch:
        # A dead letter pushed by hand is never live, so it neither holds a key nor gives way to one.
        key = (new.task, new.key) if new.key is not None and new.failure is None else None
        there = new.id if new.id in table.rows or new.id in fresh else None
        if there is None and key is not None:
            there = table.key_holder(*key) or keys.get(key)
        if there is None:
            fresh[new.id] = new
            if key is not None:
                keys[key] = new.id
        receipts.append(Receipt(there or new.id, created=there is None))
    full = _full(table, fresh.values())
    if full is not None:
        return full
    for new in fresh.values():
        table.add(born(new, now))
    return receipts


def _full(table: Table, fresh: Iterable[NewJob]) -> QueueFull | None:
    more: Counter[str] = Counter()
    room: dict[str, int] = {}
    for new in fresh:
        if new.failure is None:
            more[new.queue] += 1
            if new.max_size is not None:
                room[new.queue] = min(new.max_size, room.get(new.queue, new.max_size))
    for queue, size in room.items():
        waiting = table.waiting(queue)
        if waiting + more[queue] > size:
            return QueueFull(
                f"queue {queue!r} is full: {waiting} jobs are waiting, and {more[queue]} more would exceed"
                f" its max_size of {size}",
                hint="try again later, run more workers, or raise max_size",
            )
    return None
