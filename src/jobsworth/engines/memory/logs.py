"""What runs have logged, kept beside their job's row."""

from __future__ import annotations

from jobsworth.job import LogLine
from jobsworth.logged import Chunk, is_kept, place_for

from .table import Row


def keep(row: Row, lines: tuple[LogLine, ...], now: float) -> None:
    """Keep lines of the run that holds the job; what is too old or too much gives way."""
    newest = row.logs[-1].head if row.logs else None
    found = place_for(newest, row.fence, lines[0].number, lines[-1].number)
    if found is None:
        return
    head, first = found
    began = now if row.job.started_at is None else row.job.started_at
    chunk = Chunk(head, first, row.job.attempt, began, lines)
    row.logs = [*(each for each in row.logs if is_kept(each.head, head)), chunk]
