"""What the app's own users ask: where a job of theirs stands, and to stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec

from jobsworth.engine import Engine, Where
from jobsworth.handle import cancelling, find_one, status_of
from jobsworth.job import FINAL, Failure, Job
from jobsworth.snapshot import said_to_users

from .access import Level
from .forecast import part, renews
from .live import until_newer
from .message import Request, Response, json_response

if TYPE_CHECKING:
    from .site import Site

Reason = Annotated[str, msgspec.Meta(max_length=500, description="Why; handlers and people see it.")]


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a job is to stop."""

    reason: Reason | None = None


class Newer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether to wait for news."""

    since: Annotated[int, msgspec.Meta(ge=-1, description="Answer when the version is above this.")] | None = None
    wait: Annotated[float, msgspec.Meta(ge=0, le=30, description="Seconds; then it is answered in any case.")] = 25


class Snapshot(TypedDict):
    """A job and its queue's load: see jobsworth.snapshot; `job` has an `eta` besides, null where nobody can tell."""

    accepted: bool
    job: dict[str, Any]
    queue: dict[str, Any]
    message: str


async def status(site: Site, request: Request) -> Response:
    """The status snapshot, at once or when there is news."""
    job, newer = request.job, request.query
    if newer.since is not None and job.version <= newer.since and job.state not in FINAL:
        await until_newer(site, request, newer.since, newer.wait)
        job = await request.ask.call(lambda engine: find_one(engine, job.id))
    # Who waits for news is told what news come of: see forecast.renews().
    forecast = newer.since is None or renews(job)
    shown = await request.ask.call(lambda engine: _shown(site, engine, job, forecast=forecast))
    return json_response(visible(shown, request))


async def _shown(
    site: Site, engine: Engine, job: Job, *, accepted: bool = True, forecast: bool = True
) -> dict[str, Any]:
    shown = await status_of(engine, job, accepted=accepted)
    eta = await site.forecast.of(engine, job) if forecast else None
    return {**shown, "job": {**shown["job"], "eta": part(eta)}}


async def cancel(site: Site, request: Request) -> Response:
    """Ask to stop; `accepted` tells whether that changed anything."""
    job_id, move = request.job.id, cancelling(request.data.reason)

    async def ask(engine: Engine) -> dict[str, Any]:
        moved = await engine.move(Where(ids=(job_id,)), move)
        return await _shown(site, engine, await find_one(engine, job_id), accepted=bool(moved))

    shown = await request.ask.call(ask)
    site.audit(request, "cancel", job_id, int(shown["accepted"]))
    return json_response(visible(shown, request))


def visible(shown: dict[str, Any], request: Request) -> dict[str, Any]:
    """A snapshot without what is for operators: exceptions, where the code stands, who runs it, others' jobs."""
    if request.visitor.may_see(request.job, Level.READ):
        return shown
    job = shown["job"]
    attempts = [
        {**each, "worker": None, "traceback": None, "error": _for_users(each["error"])} for each in job["attempts"]
    ]
    return {
        **shown,
        "job": {**job, "attempts": attempts, "error": _for_users(job["error"])},
        "queue": {**shown["queue"], "active_jobs": []},
    }


def _for_users(error: dict[str, Any] | None) -> dict[str, Any] | None:
    return error and {"type": None, "message": said_to_users(Failure(**error)), "reason": error["reason"]}
