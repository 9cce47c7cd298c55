"""Words and columns: durations, sizes, moments, tables and tracebacks as a person reads them. No I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime

from jobsworth.frames import user_frame as user_frame
from jobsworth.frames import user_traceback as user_traceback
from jobsworth.wording import count as count
from jobsworth.wording import duration as duration


def size(number: float | None) -> str:
    """Bytes as 0.4 MB or 212 MB."""
    if number is None:
        return "-"
    megabytes = number / 1e6
    return f"{megabytes:.1f} MB" if megabytes < 10 else f"{megabytes:,.0f} MB"


def clock(moment: float | None, now: float) -> str:
    """The local time of day, with the date when it was another day."""
    if moment is None:
        return "-"
    local, today = datetime.fromtimestamp(moment).astimezone(), datetime.fromtimestamp(now).astimezone()
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def width(text: str) -> int:
    """Columns a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Lines of aligned columns. `right` marks the columns aligned to the right: one sign per column, "r" or other.

    Nothing is cut: what a line is too long for is the terminal's business, and a pipe's reader wants it whole.
    """
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(width(line[column]) for line in lines) for column in range(len(head))]
    marks = right.ljust(len(head))
    return ["  ".join(_cell(*cell) for cell in zip(line, widths, marks, strict=True)).rstrip() for line in lines]


def _cell(text: str, wide: int, mark: str) -> str:
    room = " " * (wide - width(text))
    return room + text if mark == "r" else text + room


def percent(current: float | None, total: float | None, given: float | None) -> float | None:
    """How far, 0 to 100; None where nobody can tell."""
    if given is not None:
        return min(100.0, max(0.0, given))
    if current is None or not total:
        return None
    return min(100.0, max(0.0, 100.0 * current / total))


def bar(done: float, columns: int = 10) -> str:
    """████████░░ for 78."""
    filled = round(done / 100 * columns)
    return "█" * filled + "░" * (columns - filled)
