"""Whole batches in and out of SQLite in one piece, as JSON text.

The driver lets go of the interpreter's lock at every row it is given or gives back. Beside a thread that computes,
getting it back takes up to 5 ms each time.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ...job import NewJob
from ...lifecycle import Settlement
from .rows import CLAIM_COLUMNS

LARGE = 16_384  # bytes: a larger result is written by itself
FEW = 3  # jobs: fewer are stored as quickly one by one
_NUL = "\\u0000"  # SQLite would cut the text off there
_PLAIN_NAMES = re.compile(r"[A-Za-z0-9_.:-]*").fullmatch  # SQLite gives keys back as they were written

_to_json = msgspec.json.Encoder().encode
# As CLAIM_COLUMNS: seq, id, fence, task, args, attempt, errors, crashes, max_attempts, priority, more.
_Row = tuple[int, str, int, str, str | None, int, int, int, int, int, int | None]
_rows = msgspec.json.Decoder(list[_Row]).decode
_PACKED = CLAIM_COLUMNS.replace("args", "CAST(args AS TEXT)")


def in_one_piece(query: str) -> str:
    """A query for CLAIM_COLUMNS, made to answer with a single value."""
    return f"SELECT CAST(json_group_array(json_array({_PACKED})) AS BLOB) FROM ({query})"


def fetch(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a query for CLAIM_COLUMNS. Arguments come as text, or as bytes where they are no text."""
    (text,) = connection.execute(in_one_piece(query), values).fetchone()
    try:
        return _rows(text)
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
    ):  # bytes that are no UTF-8, damaged or not: JSON cannot carry them
        return connection.execute(query, values).fetchall()


def numbers(values: Iterable[int]) -> str:
    """Integers for json_each()."""
    return _to_json(list(values)).decode()


def endings(settlements: Iterable[Settlement]) -> str | None:
    """[[seq, fence, result]...] for json_each(); None if a result cannot travel so."""
    try:
        text = _to_json(
            [(each.lease.row, each.lease.fence, each.result and each.result.decode()) for each in settlements]
        ).decode()
    except UnicodeDecodeError:
        return None
    return None if _NUL in text else text


def arguments(jobs: Sequence[NewJob]) -> str | None:
    """{id: arguments, ...} for json_each(), in this order; None if that is no gain or some of them cannot travel so."""
    if len(jobs) < FEW or not _PLAIN_NAMES("".join([job.id for job in jobs])):
        return None
    try:
        given = {job.id: job.args.decode() for job in jobs}
    except UnicodeDecodeError:
        return None
    text = _to_json(given).decode()
    return None if len(given) < len(jobs) or _NUL in text else text
