"""The shop floor for operators: is anything wrong, queues, workers, and the tasks that can be enqueued."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from jobsworth.codec.declare import Field
from jobsworth.engine import Engine, QueueSettings, QueueStatus, Where
from jobsworth.job import HELD, Job, State
from jobsworth.loads import alerts, running
from jobsworth.signature import describe

from . import choice
from .message import Request, Response, json_response
from .shown import Overview, QueueView, TaskView, WorkerView, You, counts, queue_view, worker_view

if TYPE_CHECKING:
    from jobsworth.task import Task

    from .access import Visitor
    from .site import Site

_LOOKED_AT = 500  # running jobs that are looked at one by one


async def theirs(engine: Engine, visitor: Visitor) -> list[QueueStatus]:
    """The queues that the visitor may see."""
    return [status for status in await engine.queues() if visitor.serves(status.queue)]


async def overview(site: Site, request: Request) -> Response:
    """Whether anything is wrong, and the sums."""
    offers = [route.path for route in site.table.routes if route.method == "GET" and route.path.startswith("/api/")]
    you = You(name=request.visitor.called, level=request.visitor.level.name.lower(), offers=offers)

    async def look(engine: Engine) -> Overview:
        queues = await theirs(engine, request.visitor)
        found = alerts(queues)
        sums = counts(queues)
        return Overview(
            visitor=you, well=not found, alerts=found, counts=sums, waiting=sums[State.QUEUED.value],
            running=sum(map(running, queues)),
            oldest=max((each.oldest for each in queues if each.oldest is not None), default=None),
            slots=sum(each.slots for each in queues),
            workers=len([1 for card in await engine.workers() if _serves(request.visitor, card.queues)]),
            in_rate=sum(each.in_rate for each in queues), out_rate=sum(each.out_rate for each in queues),
            engine=engine.kind, durability=await engine.durability(),
        )  # fmt: skip

    return json_response(await request.ask.call(look))


def _serves(visitor: Visitor, queues: dict[str, int]) -> bool:
    return visitor.queues is None or any(visitor.serves(name) for name in queues)


async def queues(_site: Site, request: Request) -> Response:
    """All queues."""

    async def look(engine: Engine) -> list[QueueView]:
        return [queue_view(status) for status in await theirs(engine, request.visitor)]

    return json_response(await request.ask.call(look))


async def pause(site: Site, request: Request) -> Response:
    """Let no worker take jobs of a queue."""
    return await _configure(site, request, paused=True)


async def resume(site: Site, request: Request) -> Response:
    """Let workers take jobs of a queue again."""
    return await _configure(site, request, paused=False)


async def _configure(site: Site, request: Request, *, paused: bool) -> Response:
    name = request.names["queue"]

    async def set_and_look(engine: Engine) -> QueueView:
        await engine.configure(name, QueueSettings(paused=paused))
        (status,) = await engine.queues([name])
        return queue_view(status)

    view = await request.ask.call(set_and_look)
    site.audit(request, "pause" if paused else "resume", name, 0)
    return json_response(view)


async def workers(_site: Site, request: Request) -> Response:
    """Live workers, and what they run."""
    visitor = request.visitor
    held = Where(states=tuple(HELD), limit=_LOOKED_AT)

    async def look(engine: Engine) -> list[WorkerView]:
        cards = [card for card in await engine.workers() if _serves(visitor, card.queues)]
        at_work: dict[str | None, list[Job]] = defaultdict(list)
        found = await choice.find(engine, visitor, held)
        for job in found:
            at_work[job.worker].append(job)
        counted = len(found) < _LOOKED_AT
        return [worker_view(card, at_work[card.id], visitor.queues, counted=counted) for card in cards]

    return json_response(await request.ask.call(look))


async def tasks(site: Site, request: Request) -> Response:
    """What can be enqueued."""
    found = [task for task in site.jobs.tasks.values() if request.visitor.serves(task.queue.name)]
    return json_response([_task(task) for task in sorted(found, key=lambda task: task.name)])


def _task(task: Task[..., Any]) -> TaskView:
    about = inspect.cleandoc(task.__doc__).split("\n\n")[0] if task.__doc__ else None
    return TaskView(
        task=task.name, queue=task.queue.name, signature=describe(task.signature), about=about,
        arguments=schema_of(task.signature.fields), max_attempts=task.max_attempts, timeout=task.timeout,
        isolation=task.isolation,
    )  # fmt: skip


def schema_of(fields: Sequence[Field]) -> dict[str, Any]:
    """The JSON schema of a task's arguments by name. A type that has none may be anything."""
    components: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for field in fields:
        try:
            (properties[field.key],), more = msgspec.json.schema_components(
                [field.type], schema_hook=_foreign, ref_template="#/$defs/{name}"
            )
            components.update(more)
        except TypeError:  # a type of which msgspec can read values, but not tell the form
            properties[field.key] = {}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [field.key for field in fields if field.required]
    return schema | ({"required": required} if required else {}) | ({"$defs": components} if components else {})


def _foreign(kind: Any) -> dict[str, Any]:
    """Types that are not msgspec's own: pydantic's tell their form, paths are text."""
    described = getattr(kind, "model_json_schema", None)
    if described is None:
        return {}
    schema: dict[str, Any] = described(ref_template="#/$defs/{model}")
    schema.pop("$defs", None)
    return schema
