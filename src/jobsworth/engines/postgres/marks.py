"""Where in a queue's line to begin to look, when looking from the front has become slow.

Jobs that were claimed leave dead rows at the front of the line. While somebody holds an old snapshot open, a dump say,
they cannot be tidied up, and every claim would walk past all of them. So after a slow look at a table full of dead
rows the next ones begin where that one found its first job, and only once in a while one begins at the front again.
Meanwhile a job that stands further in front (a retry, say) waits up to EVERY seconds longer. Where looks are quick,
none of this happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...engine import Want
from ...job import Claim

SLOW = 0.01  # seconds: a turn that took longer may have walked past many dead rows
EVERY = 1.0  # seconds between looks from the front
Rank = tuple[int, int]  # negated priority, seq: a place in line
FRONT: Rank = (-(1 << 62), 0)


@dataclass(slots=True)
class _Mark:
    rank: Rank
    front_at: float  # the time.monotonic() moment of the last look from the front


class Marks:
    """One per engine. Only hints, so threads need not agree about them.

    many_dead, in learn(): asks whether the table is full of dead rows; after slow looks only, once in EVERY seconds.
    """

    def __init__(self) -> None:
        self._marks: dict[str, _Mark] = {}
        self._asked_at = -EVERY
        self._bloated = False

    def begin(self, want: Sequence[Want]) -> list[Rank]:
        """Where to begin for each want."""
        if not self._marks:
            return [FRONT] * len(want)
        now = time.monotonic()
        return [self._rank(each.queue, now) for each in want]

    def _rank(self, queue: str, now: float) -> Rank:
        mark = self._marks.get(queue)
        return FRONT if mark is None or now - mark.front_at >= EVERY else mark.rank

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
            elif rank == FRONT and found is not None and took >= SLOW and self._is_bloated(many_dead):
                self._marks[each.queue] = _Mark(found, time.monotonic())
            else:
                self._marks.pop(each.queue, None)

    def _is_bloated(self, many_dead: Callable[[], bool]) -> bool:
        now = time.monotonic()
        if now - self._asked_at >= EVERY:
            self._asked_at, self._bloated = now, many_dead()
        return self._bloated
