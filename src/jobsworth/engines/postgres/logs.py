"""What runs have logged: kept in a table of its own by a function that is only called where something was logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...engine import Pulse
from ...lifecycle import Settlement
from ...logged import Chunk, Head, Logged, packed, unpacked
from ...logged import told as told_of
from .desk import Ask
from .rows import to_json

KEEP = "SELECT @keep_lines(%s, %s)"
TELL = (
    "SELECT place, run, base, fence, last, first, attempt, began, lines FROM @logs"
    " WHERE job = (SELECT seq FROM @jobs WHERE id = %s) AND place > %s ORDER BY place DESC LIMIT %s"
)


def said(those: Iterable[Pulse | Settlement]) -> str | None:
    """The lines that come with these, for @keep_lines; None if there are none. SQL looks into none of them."""
    found = [
        {
            "seq": each.lease.row, "fence": each.lease.fence, "first": each.lines[0].number,
            "last": each.lines[-1].number, "lines": packed(each.lines),
        }
        for each in those
        if each.lines
    ]  # fmt: skip
    return to_json(found) if found else None


def told(ask: Ask, job_id: str, after: int, limit: int | None) -> list[Logged]:
    """See Engine.logs()."""
    # Each chunk has a line to tell, or more.
    rows = ask(TELL, (job_id, after, None if limit is None else max(limit, 0)), binary=True).fetchall()
    return told_of(_chunks(rows), after, limit)


def _chunks(rows: Iterable[tuple[int, int, int, int, int, int, int, float, str]]) -> Iterator[Chunk]:
    for *head, first, attempt, began, text in rows:
        where = Head(*head)
        yield Chunk(where, first, attempt, began, unpacked(text, where.last))
