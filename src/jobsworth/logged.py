"""What is kept of the lines that handlers log: how many, where they stand, and how they are told.

Lines come as they travelled, some at a time: a chunk. Engines keep chunks and look into none of them. What of a chunk
is new, and what gives way to it, is decided here; SQL and Lua that must decide it themselves decide the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .job import LogLine

KEPT = 200  # lines of one run, the newest: older ones give way
RUNS = 50  # runs of one job whose lines are kept, the newest that logged anything


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where a chunk stands.

    place: of its last line, among all that its job has ever logged, from 1.
    run:   the how manieth run of the job that logged anything; base: the place of the last line before that run.
    fence: of the run's lease. last: the number of its last line.
    """

    place: int
    run: int
    base: int
    fence: int
    last: int


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """Lines that travelled together.

    first: the number of the first of them that counts: those before it had been kept already.
    began: the moment at which the attempt did.
    """

    head: Head
    first: int
    attempt: int
    began: float
    lines: tuple[LogLine, ...]


class Logged(msgspec.Struct, frozen=True):
    """One line as others see it.

    place:   where it stands among all lines of its job, from 1; what Engine.logs() can go on behind.
    attempt: of which attempt it is. number: its place among that one's lines; what is missing before it was too much.
    at:      the moment, in seconds since the epoch.
    """

    place: int
    attempt: int
    number: int
    at: float
    level: str
    logger: str
    message: str


def place_for(newest: Head | None, fence: int, first: int, last: int) -> tuple[Head, int] | None:
    """Where lines numbered from `first` to `last` go behind the newest chunk of their job, and the first new one.

    None if all of them are there already.
    """
    if newest is None:
        return Head(last - first + 1, 1, 0, fence, last), first
    if newest.fence != fence:
        return Head(newest.place + last - first + 1, newest.run + 1, newest.place, fence, last), first
    first = max(first, newest.last + 1)
    if first > last:
        return None
    return Head(newest.place + last - first + 1, newest.run, newest.base, fence, last), first


def is_kept(old: Head, newest: Head) -> bool:
    """False for a chunk of which nothing is told any more, now that the newest has come."""
    if old.run == newest.run:
        return old.place > newest.place - KEPT
    return old.run > newest.run - RUNS


def told(newest_first: Iterable[Chunk], after: int, limit: int | None) -> list[Logged]:
    """See Engine.logs(). Takes no more chunks than it needs."""
    found: list[Logged] = []
    run, oldest = None, 0
    for chunk in newest_first:
        head = chunk.head
        if head.run != run:
            run, oldest = head.run, head.place - KEPT + 1
        for line in reversed(chunk.lines):
            place = head.place - (head.last - line.number)
            if limit is not None and len(found) >= max(limit, 0):
                return found[::-1]
            if place <= after or place < oldest or line.number < chunk.first:
                break
            at = chunk.began + line.at
            found.append(Logged(place, chunk.attempt, line.number, at, line.level, line.logger, line.message))
        if head.place <= after:
            break
    return found[::-1]


_to_json = msgspec.json.Encoder().encode
_lines = msgspec.json.Decoder(tuple[LogLine, ...]).decode


def packed(lines: tuple[LogLine, ...]) -> str:
    """Lines as text to be kept."""
    return _to_json(lines).decode()


def unpacked(text: str | bytes, last: int) -> tuple[LogLine, ...]:
    """The same lines. What is damaged must not hide the others: it is told as what it is."""
    try:
        return _lines(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        return (LogLine(last, 0.0, "ERROR", "jobsworth", f"E202: the lines kept here cannot be read: {exc}"),)
