"""What came to each queue and what ended there, by the minute of the last hour: small charts for all queues at once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from jobsworth.engine import Engine
from jobsworth.statistics import ENDS

from .message import Request, Response, json_response

if TYPE_CHECKING:
    from .site import Site

_SINCE, _STEP = 3_600.0, 60


class Ended(msgspec.Struct, frozen=True):
    """Runs that ended between `at` (seconds since the epoch) and one step later."""

    at: float
    ended: int


class Came(msgspec.Struct, frozen=True):
    """Jobs per minute that came, likewise, as a worker saw it."""

    at: float
    in_rate: float


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. spans: those in which something ended. depths: those in which a worker was there to look."""

    queue: str
    spans: list[Ended]
    depths: list[Came]


class Flows(msgspec.Struct, frozen=True, kw_only=True):
    """All queues of which anything is known. Spans have `step` seconds; `now` is the engine's moment."""

    now: float
    step: int
    queues: list[Flow]


async def flows(_site: Site, request: Request) -> Response:
    """What came and what ended, by queue."""

    async def look(engine: Engine) -> Flows:
        found = await engine.statistics(_SINCE, _STEP)
        ended: dict[str, dict[float, int]] = defaultdict(lambda: defaultdict(int))
        came: dict[str, list[Came]] = defaultdict(list)
        for tally in found.tallies:
            ended[tally.queue][tally.at] += sum(getattr(tally, name) for name in ENDS)
        for level in found.levels:
            came[level.queue].append(Came(level.at, level.in_rate))
        known = sorted(name for name in {*ended, *came} if request.visitor.serves(name))
        return Flows(now=found.now, step=_STEP, queues=[
            Flow(queue=name, spans=[Ended(at, ended[name][at]) for at in sorted(ended[name])], depths=came[name])
            for name in known
        ])  # fmt: skip

    return json_response(await request.ask.call(look))
