"""How many runs have ended since this process was first asked: numbers that only grow, as Prometheus wants them.

The engine's counts are of minutes, which are added up and in the end dropped. So each look takes what the last minutes
hold and adds what is new in them to totals of its own. A process that begins anew begins at nothing, which Prometheus
knows how to read; another one's numbers, or what is kept of thirty days, it would take for jobs that ended just now.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from jobsworth.statistics import BUCKETS, ENDS, Statistics, Tally

MINUTE = 60.0
LATE = 300.0  # seconds for which a minute is looked at again: endings of it may still be on their way into the store
LONGEST = 86_400.0  # seconds looked back, at most: minutes are kept for two days
MOST = 100  # tasks with numbers of their own
OTHERS = "_others"
_NONE = (0.0,) * (1 + len(ENDS) + 2 * BUCKETS)
Name = tuple[str, str]  # queue, task


class Count(NamedTuple):
    """What has ended of one task. ends: by their place in statistics.ENDS. run, wait: by bucket, as in Tally."""

    queue: str
    task: str
    busy: float
    ends: tuple[int, ...]
    run: tuple[int, ...]
    wait: tuple[int, ...]


class Meter:
    """The totals of one process. Any thread may look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[Name, tuple[float, ...]] = {}
        self._seen: dict[tuple[float, Name], tuple[float, ...]] = {}  # of minutes that are looked at again
        self._from = -1.0  # the first such minute, by the engine's clock
        self._looked: float | None = None  # a moment of time.monotonic()

    def reach(self) -> float:
        """How many seconds the next look has to go back."""
        past = 0.0 if self._looked is None else time.monotonic() - self._looked
        return min(past + LATE + MINUTE, LONGEST)

    def know(self, names: Iterable[Name]) -> None:
        """Tasks that there are: their numbers begin at nothing, so that the first run that ends is seen to be one."""
        with self._lock:
            for name in names:
                self._totals.setdefault(self._named(name), _NONE)

    def add(self, found: Statistics) -> None:
        """What the engine has counted in each of the last minutes."""
        begin = (found.now - LATE) // MINUTE * MINUTE
        with self._lock:
            anew = self._looked is None or found.now < self._from  # the second: its clock was set back
            if anew:
                self._seen.clear()
                self._from = begin
            for tally in found.tallies:
                if tally.seconds == MINUTE and tally.at >= self._from:
                    self._take(tally, count=not anew)
            self._from = max(self._from, begin)
            self._seen = {key: numbers for key, numbers in self._seen.items() if key[0] >= self._from}
            self._looked = time.monotonic()

    def _take(self, tally: Tally, *, count: bool) -> None:
        name = (tally.queue, tally.task)
        seen = self._seen.get((tally.at, name), _NONE)
        # Never less: another thread's look may be the newer one, and a store that was emptied begins anew.
        now = tuple(map(max, seen, _numbers(tally)))
        self._seen[tally.at, name] = now
        named = self._named(name)
        total = self._totals.get(named, _NONE)
        new = tuple(after - before for after, before in zip(now, seen, strict=True)) if count else _NONE
        self._totals[named] = tuple(map(sum, zip(total, new, strict=True)))

    def _named(self, name: Name) -> Name:
        return name if name in self._totals or len(self._totals) < MOST else (OTHERS, OTHERS)

    def counts(self, serves: Callable[[str], bool]) -> Iterator[Count]:
        """The totals of those queues, in the order of their names."""
        with self._lock:
            totals = sorted(self._totals.items())
        for (queue, task), (busy, *numbers) in totals:
            if serves(queue):
                whole = tuple(map(int, numbers))
                ends, run, wait = whole[: len(ENDS)], whole[len(ENDS) : len(ENDS) + BUCKETS], whole[-BUCKETS:]
                yield Count(queue, task, busy, ends, run, wait)


def _numbers(tally: Tally) -> tuple[float, ...]:
    return tally.busy, *(getattr(tally, name) for name in ENDS), *tally.run, *tally.wait
