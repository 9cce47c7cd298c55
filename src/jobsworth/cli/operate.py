"""Changing jobs that are there: cancel and retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.engine import Engine, Where
from jobsworth.errors import BadOption, JobsworthError, MoveRefused
from jobsworth.job import LIVE, Job, JobId, State
from jobsworth.lifecycle import CANCEL, REDRIVE, Move
from jobsworth.log import clean

from . import text
from .find import find_job, find_jobs, why_nothing
from .look import states_from
from .options import DEFAULTS, EVERYTHING, Common, Document, Filters, Time, find_app, looking
from .terminal import confirm, put, put_json, say
from .values import call_from, seconds_from

DryRun = Annotated[bool, Parameter(name="--dry-run", negative="")]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="")]


def cancel(
    *job_ids: Annotated[str, Parameter(name="ids")],
    filters: Filters = EVERYTHING,
    state: Annotated[list[str] | None, Parameter(name=["--state", "-s"], negative="")] = None,
    reason: str | None = None,
    grace: Time = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    common: Common = DEFAULTS,
) -> int:
    """Ask jobs to stop: waiting ones never start, running ones are told.

    For example:
      jobsworth cancel 0199f3a2c1
      jobsworth cancel --queue mailers --dry-run
      jobsworth cancel --task resize --state queued --reason "wrong size" --yes

    Parameters
    ----------
    job_ids
        Their ids, or the beginnings of them. Without ids the filters choose, and you are asked before it happens.
    state
        Only those scheduled, queued, running or cancelling; may be repeated.
    reason
        Why; handlers and people see it.
    grace
        After so long a job in a child process is killed if it has not stopped (else its queue's grace).
    dry_run
        Only say how many it would be.
    yes
        Do not ask.
    """
    states = states_from(state)
    move = msgspec.structs.replace(CANCEL, reason=reason, grace=seconds_from(grace, "--grace"))
    _one_way(job_ids, filters, states)
    with looking(common) as store:
        if job_ids:
            return _cancel_each(store, find_jobs(store, job_ids), move, dry_run=dry_run, common=common)
        where = filters.where(states or tuple(LIVE), None)
        count = store.bridge.call(lambda engine: engine.count(where))
        if dry_run or not count:
            return _told_of_many("cancel", [], count, dry_run, store, filters, common)
        confirm(count, f"cancel {text.count(count, 'job')}{clean(filters)}", yes=yes)
        moved = store.bridge.call(lambda engine: engine.move(where, move))
        return _told_of_many("cancel", moved, len(moved), dry_run, store, filters, common)


def _one_way(ids: Sequence[str], filters: Filters, states: object) -> None:
    chosen = bool(filters.given) or states is not None
    if bool(ids) and chosen:
        raise BadOption("choose jobs by their ids or by filters, not by both")
    if not ids and not chosen:
        raise BadOption("which jobs?", hint="name their ids, or choose with --queue, --task, --tag, --owner or --text")


def _cancel_each(store: Jobsworth, jobs: Sequence[Job], move: Move, *, dry_run: bool, common: Common) -> int:
    moved = set() if dry_run else set(_move(store, [job.id for job in jobs], move))
    would = (
        [job.id for job in jobs if job.state in CANCEL.to] if dry_run else [job.id for job in jobs if job.id in moved]
    )
    if common.json:
        put_json({"changed": would, "unchanged": [job.id for job in jobs if job.id not in would], "dry_run": dry_run})
        return 0
    for job in jobs:
        if job.id not in would:
            put(f"{job.id} was {store.handle(job.id).state.value} already")
        elif dry_run:
            put(f"{job.id} would be cancelled")
        else:
            held = store.handle(job.id).state is State.CANCELLING
            put(f"{job.id} {'is asked to stop' if held else 'is cancelled'}")
    return 0


def _move(store: Jobsworth, ids: Sequence[JobId], move: Move) -> list[JobId]:
    return store.bridge.call(lambda engine: engine.move(Where(ids=tuple(ids), limit=None), move))


def _told_of_many(
    verb: str, ids: Sequence[JobId], count: int, dry_run: bool, store: Jobsworth, filters: Filters, common: Common
) -> int:
    if common.json:
        put_json({"changed": list(ids), "count": count, "dry_run": dry_run})
    elif not count:
        say(f"nothing to {verb}: {why_nothing(store, filters)}")
    elif dry_run:
        put(f"would {verb} {text.count(count, 'job')}{clean(filters)}")
    else:
        put(f"{verb}: {text.count(count, 'job')}{clean(filters)}")
    return 0


def retry(
    *job_ids: Annotated[str, Parameter(name="ids")],
    args: Document = None,
    common: Common = DEFAULTS,
) -> int:
    """Run jobs again now: finished ones with a fresh budget of attempts, scheduled ones without their wait.

    For example:
      jobsworth retry 0199f3a2c1
      jobsworth retry 0199f3a2c1 --args '{"width": 800}'

    Many dead letters at once: `jobsworth dead redrive`.

    Parameters
    ----------
    job_ids
        Their ids, or the beginnings of them.
    args
        New arguments for one job, as JSON text, @file or - for stdin. This needs the app, to check them.
    """
    if not job_ids:
        raise BadOption("which jobs?", hint="name their ids; for many dead letters: jobsworth dead redrive")
    if args is not None:
        if len(job_ids) != 1:
            raise BadOption("new arguments are for one job: name one id")
        return _retry_with(job_ids[0], args, common)
    with looking(common) as store:
        done, refused = [], []
        for job in find_jobs(store, job_ids):
            try:
                store.handle(job.id).retry()
                done.append(job.id)
            except JobsworthError as exc:
                refused.append((job.id, exc))
    if common.json:
        put_json({"changed": done, "unchanged": [job_id for job_id, _ in refused], "dry_run": False})
    else:
        for job_id in done:
            put(f"{job_id} is queued again")
    if refused:
        for _, error in refused[:-1]:
            say(f"error[{error.code}]: {clean(error.message)}")
        raise refused[-1][1]
    return 0


def packed(store: Jobsworth, common: Common, task: str, document: str) -> tuple[dict[str, Any], bytes]:
    """New arguments for a job of a task, by name and as bytes; checked against the app, which is looked for now."""
    app = store if store.tasks else find_app(common)
    found = app.find_task(task)
    positional, named = call_from(found, (), document)
    data = found.signature.pack(positional, named)
    return named, data


def _retry_with(typed: str, document: str, common: Common) -> int:
    with looking(common) as store:
        job = find_job(store, typed)
        _, data = packed(store, common, job.task, document)
        move = msgspec.structs.replace(REDRIVE, args=data)

        async def again(engine: Engine) -> list[JobId]:
            return await engine.move(Where(ids=(job.id,)), move)

        if not store.bridge.call(again):
            now = store.handle(job.id).job.state
            raise MoveRefused(
                f"job {job.id} cannot be tried again with other arguments: it is {now.value}",
                hint=f"cancel it first: jobsworth cancel {job.id}" if now in LIVE else None,
            )
    if common.json:
        put_json({"changed": [job.id], "unchanged": [], "dry_run": False})
    else:
        put(f"{job.id} is queued again with new arguments")
    return 0
