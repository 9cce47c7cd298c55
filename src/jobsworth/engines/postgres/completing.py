"""A transaction in which a handler's own writes and its job's ending commit together, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import tuple_row

from ...errors import LeaseLost
from ...lifecycle import Settlement
from .faults import translate
from .lines import ANSWER_WITHIN, Line, Lines

Settle = Callable[[Line, Settlement], bool]


@contextmanager
def completing(lines: Lines, settle: Settle, ending: Callable[[], Settlement]) -> Iterator[Line]:
    """A connection out of `lines`, which must be used for nothing else: handlers may change its session."""
    ours = True  # whose statement it is that fails
    line: Line | None = None
    try:
        line = lines.take()
        with line.transaction():
            line.answer_within, ours = math.inf, False
            yield line
            ours = True
            _complete(line, settle, ending())
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


def _complete(line: Line, settle: Settle, ending: Settlement) -> None:
    _reset(line)
    if not settle(line, ending):
        raise LeaseLost(f"job {ending.lease.job_id} was taken over by another attempt; the block was rolled back")


def _reset(line: Line) -> None:
    """What the handler may have set on the object."""
    line.row_factory, line.cursor_factory, line.answer_within = tuple_row, psycopg.Cursor, ANSWER_WITHIN
    line.prepare_threshold = None


def _tidy_up(line: Line) -> None:
    """What the handler may have set on the server (a role, a search path) is not for the next one."""
    try:
        line.execute("DISCARD ALL")
    except psycopg.Error:  # the transaction has committed: that counts, and this line is used no more
        line.close()
