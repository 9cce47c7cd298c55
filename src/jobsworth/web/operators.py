"""What operators do to jobs: list and show, enqueue, cancel, try again, delete, one by one or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from jobsworth.calling import Call, call_from_value, takes_item
from jobsworth.engine import Engine, Where
from jobsworth.errors import BadArguments, MoveRefused, UnknownTask
from jobsworth.handle import cancelling, run_again, why_of
from jobsworth.job import FINAL, LIVE, JobId, State
from jobsworth.lifecycle import REDRIVE, RUN_NOW
from jobsworth.logged import KEPT, RUNS
from jobsworth.signature import describe
from jobsworth.snapshot import line_part
from jobsworth.suggest import did_you_mean
from jobsworth.task import options_from

from . import choice
from .choice import MOST_IDS, Chosen, Name, Page
from .message import Request, Response, json_response
from .refusal import BadRequest, CountChanged
from .shown import Changed, Lines, Listing, brief, whole
from .users import Reason

if TYPE_CHECKING:
    from jobsworth.task import Task

    from .site import Site

_OF_OTHERS = frozenset({"crashed", "key-held"})  # findings that name jobs which may be in any queue
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
Ids = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_IDS)]


class OptionsSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a job; see docs/queues.md. Moments are ISO 8601 with a zone, or seconds since the epoch."""

    delay: float | None = None
    run_at: datetime | float | None = None
    priority: int | None = None
    key: Name | None = None
    expires: datetime | float | None = None
    timeout: float | None = None
    max_attempts: int | None = None
    owner: Name | None = None
    tags: list[Name] | None = None
    meta: dict[str, Any] | None = None
    label: str | None = None
    id: Name | None = None


class Enqueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job to be. `arguments`: an object by name or a list by position; for a queue's own task, its item."""

    task: Name
    arguments: Any = msgspec.field(default_factory=dict)
    options: OptionsSent = OptionsSent()


class Enqueued(msgspec.Struct, frozen=True):
    """The receipt. `created` is false if its key or id was there already and this is that earlier job."""

    id: str
    created: bool


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """New arguments, as in Enqueue; the old ones if none are given."""

    arguments: Any = msgspec.UNSET


class Behind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines: those behind a place, of one attempt, of this level or graver; of these the newest so many."""

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    attempt: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None = None
    limit: Annotated[int, Meta(ge=1, le=KEPT * RUNS)] = 1_000


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Takes nothing."""


class Bulk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An action on many jobs: these ids, or all that match a filter. Those in a state it cannot change do not count.

    expect: how many the person was told it would be; if it is another number by now, nothing is done. Between looking
            and changing jobs may come and go: never more than so many are changed, and only such as match then.
    """

    action: Literal["cancel", "retry", "delete"]
    ids: Ids | None = None
    where: Chosen | None = None
    expect: Annotated[int, Meta(ge=0)]
    reason: Reason | None = None


async def list_jobs(_site: Site, request: Request) -> Response:
    """A page of jobs."""
    query: Page = request.query
    where = query.where(limit=query.limit + 1, beyond=query.beyond)

    async def look(engine: Engine) -> Listing:
        found = await choice.find(engine, request.visitor, where)
        number = await choice.count(engine, request.visitor, where) if query.count else None
        more = query.beyond + query.limit if len(found) > query.limit else None
        return Listing([brief(job) for job in found[: query.limit]], more, number)

    return json_response(await request.ask.call(look))


async def show(site: Site, request: Request) -> Response:
    """One job whole."""
    job, task = request.job, site.jobs.tasks.get(request.job.task)
    eta = await request.ask.call(lambda engine: site.forecast.of(engine, job))
    return json_response(whole(job, describe(task.signature) if task else None, eta))


async def why(_site: Site, request: Request) -> Response:
    """Why a job is not running. Who sees only some queues is told of no job that may be in another one."""
    job_id = request.job.id
    found = await request.ask.call(lambda engine: why_of(engine, job_id))
    if request.visitor.queues is not None:
        found = msgspec.structs.replace(
            found, findings=[each for each in found.findings if each.word not in _OF_OTHERS]
        )
    return json_response(found)


async def logs(_site: Site, request: Request) -> Response:
    """What a job has logged so far, that of the attempt that runs included."""
    job_id, asked = request.job.id, request.query
    most = asked.limit if asked.attempt is None and asked.level is None else None
    found = await request.ask.call(lambda engine: engine.logs(job_id, asked.after, most))
    last = found[-1].place if found else asked.after
    lines = [line for line in found if asked.attempt in (None, line.attempt) and _is_so_grave(line.level, asked.level)]
    return json_response(Lines([line_part(line) for line in lines[-asked.limit :]], last))


def _is_so_grave(level: str, least: str | None) -> bool:
    """Levels with names of their own are never too low: nobody here knows how grave they are."""
    return least is None or level not in _LEVELS or _LEVELS.index(level) >= _LEVELS.index(least)


async def enqueue(site: Site, request: Request) -> Response:
    """Store a job."""
    data: Enqueue = request.data
    task = _task(site, request, data.task)
    args, kwargs = _call(task, data.arguments)
    given = {name: getattr(data.options, name) for name in data.options.__struct_fields__}
    job = task.build(args, kwargs, options_from({k: v for k, v in given.items() if v is not None}))
    (receipt,) = await request.ask.enqueue([job])
    site.audit(request, "enqueue", f"{task.name} {receipt.id}", int(receipt.created))
    return json_response(Enqueued(receipt.id, receipt.created), 201 if receipt.created else 200)


def _task(site: Site, request: Request, name: str) -> Task[..., Any]:
    """The task, if the visitor serves its queue; another answer would tell them of others' tasks."""
    known = {task.name: task for task in site.jobs.tasks.values() if request.visitor.serves(task.queue.name)}
    if name not in known:
        raise UnknownTask(f"there is no task {name!r} here", hint=did_you_mean(name, known))
    return known[name]


def _call(task: Task[..., Any], arguments: Any) -> Call:
    if not isinstance(arguments, (dict, list)) and not takes_item(task):
        raise BadArguments("arguments are an object, by name, or a list, by position")
    return call_from_value(task, arguments)


async def cancel(site: Site, request: Request) -> Response:
    """Ask a job to stop."""
    job_id, how = request.job.id, cancelling(request.data.reason)
    moved = await request.ask.call(lambda engine: engine.move(Where(ids=(job_id,)), how))
    if not moved:
        raise MoveRefused(f"job {job_id} has ended already")
    site.audit(request, "cancel", job_id, 1)
    return json_response(Changed(1, moved))


async def retry(site: Site, request: Request) -> Response:
    """Run a job again now."""
    job, args = request.job, None
    if request.data.arguments is not msgspec.UNSET:
        task = _task(site, request, job.task)
        args = task.signature.pack(*_call(task, request.data.arguments))
    await request.ask.call(lambda engine: run_again(engine, job.id, args))
    site.audit(request, "retry" if args is None else "retry with new arguments", job.id, 1)
    return json_response(Changed(1, [job.id]))


async def delete(site: Site, request: Request) -> Response:
    """Delete a job that no worker holds."""
    job_id = request.job.id
    gone = await request.ask.call(lambda engine: engine.delete(Where(ids=(job_id,))))
    if not gone:
        raise MoveRefused(f"job {job_id} is held by a worker", hint="cancel it first, or wait for its end")
    site.audit(request, "delete", job_id, 1)
    return json_response(Changed(1, [job_id]))


async def bulk(site: Site, request: Request) -> Response:
    """Act on many jobs, if they are as many as expected."""
    data: Bulk = request.data
    changed = await request.ask.call(lambda engine: _act(engine, request, data))
    site.audit(request, data.action, _said(data), changed.count)
    return json_response(changed)


async def _act(engine: Engine, request: Request, data: Bulk) -> Changed:
    match data.action:
        case "cancel":
            where = meant(data.ids, data.where, tuple(LIVE))
            await expected(engine, request, where, data.expect)
            how = [cancelling(data.reason)]
            return _changed(await choice.move(engine, request.visitor, where, how, data.expect))
        case "retry":
            # What is merely finished is not tried again, nor what waits anyway, unless somebody says just that.
            said = data.ids is not None or (data.where is not None and bool(data.where.state))
            states = (*FINAL, State.SCHEDULED) if said else (State.FAILED, State.CANCELLED)
            where = meant(data.ids, data.where, states)
            await expected(engine, request, where, data.expect)
            return _changed(await choice.move(engine, request.visitor, where, [REDRIVE, RUN_NOW], data.expect))
        case "delete":
            where = meant(data.ids, data.where, (*FINAL, State.SCHEDULED, State.QUEUED))
            await expected(engine, request, where, data.expect)
            return Changed(await choice.delete(engine, request.visitor, where, data.expect))


def meant(ids: Sequence[JobId] | None, chosen: Chosen | None, states: Sequence[State]) -> Where:
    """The jobs an action is for. Raises BadRequest (E609) unless they are named in exactly one way."""
    if (ids is None) is (chosen is None):
        raise BadRequest("say which jobs: by `ids` or by `where`, one of the two")
    if chosen is not None:
        return chosen.where(among=states)
    return Where(ids=tuple(dict.fromkeys(ids or ())), states=tuple(states), limit=None)


async def expected(engine: Engine, request: Request, where: Where, expect: int) -> None:
    """Raise CountChanged (E606) if not so many jobs match."""
    number = await choice.count(engine, request.visitor, where)
    if number != expect:
        raise CountChanged(
            f"{number} jobs match, not {expect}; nothing was changed", hint=f"look again, then send expect={number}"
        )


def _changed(ids: Sequence[JobId]) -> Changed:
    return Changed(len(ids), list(ids[:MOST_IDS]))


def _said(data: Bulk) -> str:
    return f"{len(data.ids)} ids" if data.ids is not None else str(data.where)
