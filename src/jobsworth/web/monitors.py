"""What monitors ask: is it alive, is it ready, how much of everything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from jobsworth.engine import Engine, QueueStatus, Where
from jobsworth.job import State
from jobsworth.loads import running
from jobsworth.totals import retried

from . import choice
from .floor import theirs
from .message import Request, Response, json_response
from .meter import MINUTE
from .metrics import exposition
from .shown import counts, pending

if TYPE_CHECKING:
    from .access import Visitor
    from .site import Site


class Alive(msgspec.Struct, frozen=True):
    """Whether this process works. `last_turn_age`: seconds; null without a worker in it, or before its first turn."""

    alive: bool
    last_turn_age: float | None = None


class Ready(msgspec.Struct, frozen=True):
    """Whether jobs can be stored and asked for."""

    ready: bool


class QueueHealth(msgspec.Struct, frozen=True):
    """size: jobs that wait, for a worker or for their time. latency: seconds the oldest has been ready.

    processed, failed: of the jobs that are kept, those that completed and those that were given up.
    """

    size: int
    latency: float
    processed: int
    failed: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs in numbers. scheduled counts those that wait for another attempt too, retrying only those."""

    active: int
    scheduled: int
    retrying: int
    queued: int
    dead: int
    workers: int
    queues: dict[str, QueueHealth]


class TaskStats(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs now running, and those that have ended since this site started `uptime` seconds ago, as far as kept."""

    active: int
    completed: int
    failed: int
    uptime: float


async def livez(site: Site, _request: Request) -> Response:
    """Whether this process works: its worker takes turns, if it has one. Never asks the engine."""
    worker = site.worker
    if worker is None:
        return json_response(Alive(alive=True))
    alive, age = worker.healthy(), worker.last_turn_age
    return json_response(Alive(alive, round(age, 3) if math.isfinite(age) else None), 200 if alive else 503)


async def readyz(site: Site, request: Request) -> Response:
    """Whether the engine answers and its layout is ours. Raises EngineUnavailable, which is told as 503."""
    schema = await request.ask.call(lambda engine: engine.schema_version())
    ready = schema.found == schema.latest and (site.worker is None or site.worker.healthy())
    return json_response(Ready(ready), 200 if ready else 503)


async def health(_site: Site, request: Request) -> Response:
    """Jobs in numbers, queue by queue."""

    async def look(engine: Engine) -> Health:
        queues = await theirs(engine, request.visitor)
        sums = counts(queues)
        return Health(
            active=sum(map(running, queues)), scheduled=sums[State.SCHEDULED.value],
            retrying=await _retrying(engine, request.visitor, sums[State.SCHEDULED.value]),
            queued=sums[State.QUEUED.value], dead=sums[State.FAILED.value], workers=len(await engine.workers()),
            queues={status.queue: _queue(status) for status in queues},
        )  # fmt: skip

    return json_response(await request.ask.call(look))


async def _retrying(engine: Engine, visitor: Visitor, scheduled: int) -> int:
    if not scheduled:
        return 0
    return sum([await choice.count(engine, visitor, where) for where in retried()])


def _queue(status: QueueStatus) -> QueueHealth:
    return QueueHealth(
        pending(status), status.oldest or 0.0, status.counts.get(State.COMPLETED, 0), status.counts.get(State.FAILED, 0)
    )


async def task_stats(site: Site, request: Request) -> Response:
    """What runs now, and what has ended since the site was started."""
    uptime = site.uptime

    async def look(engine: Engine) -> TaskStats:
        queues = await engine.queues(brief=True)
        ended = [
            await choice.count(engine, request.visitor, Where(states=(state,), finished_within=uptime, limit=None))
            for state in (State.COMPLETED, State.FAILED)
        ]
        active = sum(running(status) for status in queues if request.visitor.serves(status.queue))
        return TaskStats(active=active, completed=ended[0], failed=ended[1], uptime=round(uptime, 3))

    return json_response(await request.ask.call(look))


async def metrics(site: Site, request: Request) -> Response:
    """Numbers for Prometheus."""
    meter, serves = site.meter, request.visitor.serves
    meter.know([(task.queue.name, task.name) for task in list(site.jobs.tasks.values())])

    async def look(engine: Engine) -> Response:
        queues = await theirs(engine, request.visitor)
        meter.add(await engine.statistics(meter.reach(), MINUTE))
        kind, body = exposition(queues, await engine.workers(), list(meter.counts(serves)))
        return Response(200, {"content-type": kind}, body)

    return await request.ask.call(look)
