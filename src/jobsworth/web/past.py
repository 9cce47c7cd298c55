"""What was: how many runs ended in each span of time, how long they took and waited, and how full queues stood."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from msgspec import Meta

from jobsworth.engine import Engine
from jobsworth.statistics import ENDS, Level, Statistics, Tally, merged, percentile

from .choice import Name
from .message import Request, Response, json_response

if TYPE_CHECKING:
    from .site import Site

T = TypeVar("T", Tally, Level)
MOST = 8  # answers that are kept for those who ask the same
# Minutes looked back on, at most, and how many seconds a span then has. Of two days ago there are only hours.
_STEPS = ((60, 60), (360, 300), (1_440, 900), (10_080, 7_200), (43_200, 21_600))


class Past(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to look back, and at what."""

    minutes: Annotated[int, Meta(ge=1, le=43_200)] = 60
    queue: Name | None = None
    task: Name | None = None


class Times(msgspec.Struct, frozen=True):
    """Seconds that half, and 95 in 100, stayed below."""

    p50: float
    p95: float


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that ended between `at` (seconds since the epoch) and one step later; `busy` seconds that all took together.

    run:  times of those that completed, null if none did. wait: how long all had been due when they started.
    """

    at: float
    ended: int
    completed: int
    retried: int
    failed: int
    cancelled: int
    crashed: int
    put_back: int
    busy: float
    run: Times | None
    wait: Times | None


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How full queues stood: jobs a minute that came and that waited, on average; seconds of the oldest at most."""

    at: float
    in_rate: float
    waiting: float
    oldest: float


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Spans of `step` seconds in which something ended, oldest first; `now` is the engine's moment.

    depths: of spans in which a worker was there to look; none if one task was asked for.
    """

    now: float
    step: int
    spans: list[Span]
    depths: list[Depth]


class Recent:
    """What was asked lately: a month of many tasks is much to read, and pages that show it ask every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Past, tuple[float, Statistics]] = {}

    async def of(self, engine: Engine, asked: Past, step: int) -> Statistics:
        """What the engine has counted; not anew before a sixtieth of a step has gone by, or a second."""
        good_for = step / 60 - 1
        with self._lock:
            known = self._known.get(asked)
        if known is not None and time.monotonic() < known[0] + good_for:
            return known[1]
        found = await engine.statistics(asked.minutes * 60.0, step, queue=asked.queue, task=asked.task)
        if good_for > 0:
            with self._lock:
                self._known.pop(asked, None)
                self._known[asked] = (time.monotonic(), found)
                while len(self._known) > MOST:
                    del self._known[next(iter(self._known))]
        return found


async def history(site: Site, request: Request) -> Response:
    """What ended when, over all that the visitor may see."""
    asked: Past = request.query
    step = next(step for most, step in _STEPS if asked.minutes <= most)

    async def look(engine: Engine) -> History:
        found = await site.recent.of(engine, asked, step)
        ends: dict[float, list[Tally]] = defaultdict(list)
        levels: dict[float, list[Level]] = defaultdict(list)
        for tally in _visible(found.tallies, request):
            ends[tally.at].append(tally)
        for level in _visible(found.levels, request):
            levels[level.at].append(level)
        return History(
            now=found.now, step=step, spans=[_span(at, ends[at]) for at in sorted(ends)],
            depths=[_depth(at, levels[at]) for at in sorted(levels)],
        )  # fmt: skip

    return json_response(await request.ask.call(look))


def _visible(those: Iterable[T], request: Request) -> Iterable[T]:
    return (each for each in those if request.visitor.serves(each.queue))


def _span(at: float, tallies: Sequence[Tally]) -> Span:
    ends = {name: sum(getattr(each, name) for each in tallies) for name in ENDS}
    return Span(
        at=at, ended=sum(ends.values()), busy=sum(each.busy for each in tallies),
        run=_times(merged(each.run for each in tallies)), wait=_times(merged(each.wait for each in tallies)), **ends,
    )  # fmt: skip


def _times(histogram: Sequence[int]) -> Times | None:
    half, most = percentile(histogram, 0.5), percentile(histogram, 0.95)
    return None if half is None or most is None else Times(half, most)


def _depth(at: float, levels: Sequence[Level]) -> Depth:
    return Depth(
        at=at, in_rate=sum(each.in_rate for each in levels), waiting=sum(each.waiting for each in levels),
        oldest=max(each.oldest for each in levels),
    )  # fmt: skip
