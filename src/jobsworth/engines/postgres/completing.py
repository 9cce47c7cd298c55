"""A transaction in which a handler's own writes and its job's ending commit together, or not at all.

Twice, in both of the driver's colours; what the two share stands below.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import pq
from psycopg.rows import tuple_row

from ...errors import LeaseLost
from ...lifecycle import Settlement
from .faults import translate
from .lines import ANSWER_WITHIN, Line, Lines
from .looped import LoopedLine, LoopedLines

Last = Callable[[Settlement], tuple[bytes, Sequence[Any]]]  # the statement that writes an ending


@contextmanager
def completing(lines: Lines, last: Last, ending: Callable[[], Settlement]) -> Iterator[Line]:
    """A connection out of `lines`, which must be used for nothing else: handlers may change its session."""
    ours = True  # whose statement it is that fails
    line: Line | None = None
    try:
        line = lines.take()
        try:
            with line.transaction():
                ours = False
                with _lent(line):
                    yield line
                ours = True
                end = ending()
                _check(end, line.execute(*last(end)).fetchall())
        finally:
            _tidy_up(line)
    except psycopg.Error as exc:
        if lines.parted(exc) and line is not None:
            line.close()
        if not ours:
            raise
        raise translate(exc, lines.where) from exc
    finally:
        if line is not None:
            lines.give_back(line)


@asynccontextmanager
async def acompleting(lines: LoopedLines, last: Last, ending: Callable[[], Settlement]) -> AsyncIterator[LoopedLine]:
    """The same for a coroutine. One that is cancelled within a statement has the server stop it, then rolls back."""
    ours = True
    line: LoopedLine | None = None
    try:
        line = await lines.take()
        try:
            async with line.transaction():
                ours = False
                with _lent(line):
                    yield line
                ours = True
                end = ending()
                cursor = await line.execute(*last(end))
                _check(end, await cursor.fetchall())
        finally:
            await _atidy_up(line)
    except psycopg.Error as exc:
        if not ours:
            raise
        raise translate(exc, lines.where) from exc
    finally:
        if line is not None:
            lines.give_back(line)


@contextmanager
def _lent(line: Line | LoopedLine) -> Iterator[None]:
    """The handler's statements may take their time; what it has set on the object is ours again afterwards."""
    line.answer_within = math.inf
    try:
        yield
    finally:
        line.answer_within, line.prepare_threshold = ANSWER_WITHIN, None
        if isinstance(line, LoopedLine):
            line.row_factory, line.cursor_factory = tuple_row, psycopg.AsyncCursor
        else:
            line.row_factory, line.cursor_factory = tuple_row, psycopg.Cursor


def _check(end: Settlement, rows: Sequence[Any]) -> None:
    if not rows:
        raise LeaseLost(f"job {end.lease.job_id} was taken over by another attempt; the block was rolled back")


# What the handler may have set on the server (a role, a search path, a lock) is not for the next one. When that fails
# the line is used no more; whether the transaction was committed is known already, and that counts.
def _tidy_up(line: Line) -> None:
    if _idle(line):
        try:
            line.execute("DISCARD ALL")
        except psycopg.Error:
            line.close()


async def _atidy_up(line: LoopedLine) -> None:
    if _idle(line):
        try:
            await line.execute("DISCARD ALL")
        except psycopg.Error:
            await line.close()


def _idle(line: Line | LoopedLine) -> bool:
    return not line.closed and line.info.transaction_status == pq.TransactionStatus.IDLE
