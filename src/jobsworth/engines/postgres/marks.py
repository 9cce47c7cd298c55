"""Where to begin to look, when looking from the beginning has become slow.

What was claimed, fell due or ran out leaves dead rows behind. While somebody holds an old snapshot open, a dump say,
they cannot be tidied up, and every look would walk past all of them. So after a slow look at a table full of dead rows
the next ones begin where there was something last time, and only now and then one begins at the beginning again: so
seldom that this takes a small part of the time. Where looks are quick, none of this happens.

Meanwhile a job that stands further in front (a retry, one of higher priority) waits longer: until the next look from
the beginning.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...engine import Want
from ...job import Claim

SLOW = 0.01  # seconds: a look that took longer may have walked past many dead rows
EVERY = 1.0  # seconds between looks from the front of a line, at least
LONGEST = 10.0  # seconds, at most: so long what is more urgent than the mark may wait
SHARE = 20  # looks from the beginning take about one part in so many of the time
WHOLE_EVERY = (30.0, 300.0)  # seconds between looks at all moments: at least, at most
MARGIN = 5.0  # seconds that a transaction may be on its way with a moment of its own
Rank = tuple[int, int]  # negated priority, seq: a place in line
FRONT: Rank = (-(1 << 62), 0)
EVER = -math.inf


@dataclass(slots=True)
class _Mark:
    rank: Rank
    front_at: float  # the time.monotonic() moment of the last look from the front
    cost: float = 0.0  # seconds it took


class Bloat:
    """Whether the table is full of dead rows. Asked after slow looks only, once in EVERY seconds."""

    def __init__(self) -> None:
        self._asked_at = -EVERY
        self._found = False

    def found(self, many_dead: Callable[[], bool]) -> bool:
        """What many_dead() says, or has said just before."""
        now = time.monotonic()
        if now - self._asked_at >= EVERY:
            self._asked_at, self._found = now, many_dead()
        return self._found


class Marks:
    """Where to begin in each queue's line. One per engine. Only hints, so threads need not agree about them."""

    def __init__(self, bloat: Bloat) -> None:
        self._marks: dict[str, _Mark] = {}
        self._bloat = bloat

    def begin(self, want: Sequence[Want]) -> list[Rank]:
        """Where to begin for each want."""
        if not self._marks:
            return [FRONT] * len(want)
        now = time.monotonic()
        return [self._rank(each.queue, now) for each in want]

    def _rank(self, queue: str, now: float) -> Rank:
        mark = self._marks.get(queue)
        if mark is None or now - mark.front_at >= min(max(EVERY, SHARE * mark.cost), LONGEST):
            return FRONT
        return mark.rank

    def learn(
        self,
        begun: Sequence[Rank],
        want: Sequence[Want],
        claims: Iterable[Claim],
        took: float,
        many_dead: Callable[[], bool],
    ) -> None:
        """What a turn of `took` seconds found that had begun there."""
        if took < SLOW and not self._marks:
            return
        first: dict[str, Rank] = {}
        for claim in claims:
            if not claim.crashes:  # those that crashed have a line of their own
                rank = (-claim.priority, claim.lease.row)
                first[claim.queue] = min(rank, first.get(claim.queue, rank))
        for rank, each in zip(begun, want, strict=True):
            found, mark = first.get(each.queue), self._marks.get(each.queue)
            if rank != FRONT and found is not None:
                if mark is not None:
                    mark.rank = found
            elif rank == FRONT and found is not None and took >= SLOW and self._bloat.found(many_dead):
                self._marks[each.queue] = _Mark(found, time.monotonic(), took)
            else:
                self._marks.pop(each.queue, None)


class Floor:
    """Up to which of the server's moments nothing is left, in an index of moments. One per index and engine; a hint.

    Every look knows where it began, and by what clock: `began` is the server's moment just before it, asked for where
    asks() is True.
    """

    def __init__(self, bloat: Bloat) -> None:
        self._bloat = bloat
        self._after = EVER
        self._on = False
        self._whole_at = self._set_at = -math.inf
        self._cost = 0.0

    def begin(self) -> float:
        """After which moment to look; EVER: at all."""
        least, most = WHOLE_EVERY
        pause = min(max(least, SHARE * self._cost), most)
        return self._after if self._on and time.monotonic() - self._whole_at < pause else EVER

    def asks(self) -> bool:
        """Whether the next look can move the floor, if the server's moment is known."""
        return self._on and time.monotonic() - self._set_at >= EVERY

    def learn(self, after: float, began: float | None, took: float, many_dead: Callable[[], bool]) -> None:
        """A look of `took` seconds began there. began: None also where it left something behind."""
        now = time.monotonic()
        if after == EVER:
            self._on = took >= SLOW and (self._on or self._bloat.found(many_dead))
            self._whole_at, self._cost = now, took
            self._after = EVER if not self._on else self._after
        if self._on and began is not None:
            self._after, self._set_at = began - MARGIN, now


class Sights:
    """All of them, of one engine: the lines, what is due, and what is held."""

    def __init__(self) -> None:
        bloat = Bloat()
        self.lines = Marks(bloat)
        self.due = Floor(bloat)
        self.held = Floor(bloat)
