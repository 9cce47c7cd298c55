"""`jobsworth dead`: the jobs that were given up and wait for a person."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.dead import DeadLetters
from jobsworth.engine import Where
from jobsworth.errors import BadOption, JobNotFound
from jobsworth.job import Job, State
from jobsworth.lifecycle import REDRIVE
from jobsworth.log import clean
from jobsworth.snapshot import error_line, job_part

from . import text
from .find import find_job, find_jobs, why_nothing
from .look import show
from .operate import DryRun, Yes, packed
from .options import DEFAULTS, EVERYTHING, FILTERS, Common, Document, Filters, looking
from .terminal import confirm, put, put_json, say, styled
from .tree import family as _family

_DEAD = (State.FAILED,)
_GROUPED = 1000  # dead letters looked at to say which errors are frequent
Reason = Annotated[str | None, Parameter(name="--reason", group=FILTERS)]
Ids = Annotated[str, Parameter(name="ids")]


def list_dead(
    *,
    filters: Filters = EVERYTHING,
    reason: Reason = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 30,
    common: Common = DEFAULTS,
) -> int:
    """Dead letters, the newest first, and which errors are behind them.

    For example:
      jobsworth dead
      jobsworth dead list --queue mailers --text Timeout

    Parameters
    ----------
    reason
        Given up for this reason: error, timeout, gave_up, exhausted, crashed, incompatible or pushed.
    limit
        At most so many.
    """
    if limit < 1:
        raise BadOption(f"--limit must be at least 1, not {limit}")
    where = _where(filters, reason, limit)
    with looking(common) as store:
        found = store.bridge.call(lambda engine: engine.find(where))
        if common.json:
            put_json([job_part(job) for job in found])
            return 0
        if not found:
            say("no dead letters" if not filters.given else f"no dead letters: {why_nothing(store, filters)}")
            return 0
        for line in _rows(found):
            put(line)
        _summary(store, where, len(found))
    return 0


def _where(filters: Filters, reason: str | None, limit: int | None) -> Where:
    return msgspec.structs.replace(filters.where(_DEAD, limit), reason=reason)


def _rows(found: list[Job]) -> list[str]:
    now = time.time()
    rows = [
        (
            job.id, clean(job.task, 40), clean(job.queue, 40), job.failure.reason if job.failure else "-",
            f"{job.attempt}/{job.max_attempts}", text.duration(now - (job.finished_at or now)),
            clean(error_line(job.failure), 100),
        )
        for job in found
    ]  # fmt: skip
    head, *body = text.table(("ID", "TASK", "QUEUE", "REASON", "ATTEMPT", "SINCE", "ERROR"), rows, right="....rr")
    return [styled(head, "bold"), *body]


def _summary(store: Jobsworth, where: Where, shown: int) -> None:
    """Which errors are frequent, if there are more than one can see at a glance."""
    total = store.bridge.call(lambda engine: engine.count(where))
    if total > shown:
        say(f"the newest {shown} of {total:,}; --limit shows more")
    if total > 5:
        every = store.bridge.call(lambda engine: engine.find(msgspec.structs.replace(where, limit=_GROUPED)))
        kinds = Counter((job.task, job.failure.type if job.failure else "-") for job in every)
        parts = [f"{number:,} × {clean(task, 40)}: {clean(kind, 60)}" for (task, kind), number in kinds.most_common(5)]
        say("most frequent: " + ", ".join(parts))
    say("next: jobsworth dead show ID · jobsworth dead redrive ID · jobsworth dead discard ID")


def show_dead(job_id: Annotated[str, Parameter(name="id")], /, *, common: Common = DEFAULTS) -> int:
    """One dead letter whole: every attempt, its traceback, its arguments.

    For example:
      jobsworth dead show 0199f3a2c1

    Parameters
    ----------
    job_id
        Its id, or the beginning of it.
    """
    with looking(common) as store:
        _dead_only(find_job(store, job_id))
    return show(job_id, common=common)


def _dead_only(job: Job) -> Job:
    if job.state is not State.FAILED:
        raise JobNotFound(f"job {job.id} is {job.state.value}, not a dead letter", hint=f"jobsworth show {job.id}")
    return job


def redrive(
    *job_ids: Ids,
    filters: Filters = EVERYTHING,
    reason: Reason = None,
    args: Document = None,
    rate: float | None = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    common: Common = DEFAULTS,
) -> int:
    """Run dead letters again with a fresh budget of attempts.

    For example:
      jobsworth dead redrive 0199f3a2c1
      jobsworth dead redrive 0199f3a2c1 --args '{"width": 800}'
      jobsworth dead redrive --queue mailers --text Timeout --rate 10

    Parameters
    ----------
    job_ids
        Their ids, or the beginnings of them. Without ids the filters choose (none: all), and you are asked.
    reason
        Given up for this reason: error, timeout, gave_up, exhausted, crashed, incompatible or pushed.
    args
        New arguments for one job, as JSON text, @file or - for stdin. This needs the app, to check them.
    rate
        At most so many jobs per second, by spreading their start.
    dry_run
        Only say how many it would be.
    yes
        Do not ask.
    """
    if args is not None and len(job_ids) != 1:
        raise BadOption("new arguments are for one job: name one id")
    with looking(common) as store:
        ids, chosen = _choose(store, job_ids, filters, reason)
        letters = store.dead_letters()
        count = len(ids) if ids else letters.count(**chosen)
        if not ids and not dry_run and count:
            confirm(count, f"redrive {text.count(count, 'dead letter')}{clean(filters)}", yes=yes)
        if args is not None:
            moved = _redrive_with(store, common, ids[0], args, dry_run)
        elif count:
            moved = letters.redrive(*ids, rate=rate, dry_run=dry_run, **({} if ids else chosen))
        else:
            moved = []
        unmoved = [each for each in ids if each not in moved]
        if common.json:
            put_json({"changed": moved, "unchanged": unmoved, "dry_run": dry_run})
        elif not count:
            say("no dead letters to redrive" + (f": {why_nothing(store, filters)}" if filters.given else ""))
        else:
            put(f"{'would redrive' if dry_run else 'redriven:'} {text.count(len(moved), 'job')}")
    for each in unmoved:
        say(f"{each} was left alone: another live job holds its key")
    return 0


def _redrive_with(store: Jobsworth, common: Common, job_id: str, document: str, dry_run: bool) -> list[str]:
    """With new arguments, which are checked in any case."""
    _, data = packed(store, common, store.handle(job_id).job.task, document)
    if dry_run:
        return [job_id]
    where, move = Where(ids=(job_id,), states=_DEAD), msgspec.structs.replace(REDRIVE, args=data)
    return store.bridge.call(lambda engine: engine.move(where, move))


def discard(
    *job_ids: Ids,
    filters: Filters = EVERYTHING,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    common: Common = DEFAULTS,
) -> int:
    """Delete dead letters for good.

    For example:
      jobsworth dead discard 0199f3a2c1
      jobsworth dead discard --task resize --dry-run

    Parameters
    ----------
    job_ids
        Their ids, or the beginnings of them. Without ids the filters choose (none: all), and you are asked.
    reason
        Given up for this reason: error, timeout, gave_up, exhausted, crashed, incompatible or pushed.
    dry_run
        Only say how many it would be.
    yes
        Do not ask.
    """
    with looking(common) as store:
        ids, chosen = _choose(store, job_ids, filters, reason)
        letters: DeadLetters = store.dead_letters()
        count = len(ids) if ids else letters.count(**chosen)
        if not ids and not dry_run and count:
            confirm(count, f"delete {text.count(count, 'dead letter')} for good{clean(filters)}", yes=yes)
        deleted = letters.discard(*ids, dry_run=dry_run, **({} if ids else chosen)) if count else 0
        if common.json:
            put_json({"deleted": 0 if dry_run else deleted, "count": deleted, "dry_run": dry_run})
        elif not count:
            say("no dead letters to discard" + (f": {why_nothing(store, filters)}" if filters.given else ""))
        else:
            put(f"{'would discard' if dry_run else 'discarded:'} {text.count(deleted, 'job')}")
    return 0


def _choose(
    store: Jobsworth, typed: tuple[str, ...], filters: Filters, reason: str | None
) -> tuple[list[str], dict[str, Any]]:
    """The ids named, or the filters; both would be ambiguous."""
    chosen: dict[str, Any] = {**filters.given, **({"reason": reason} if reason else {})}
    if typed and chosen:
        raise BadOption("choose dead letters by their ids or by filters, not by both")
    return [_dead_only(job).id for job in find_jobs(store, typed)], chosen


family = _family("dead", "Dead letters: jobs that were given up and wait for a person.\n\nAlone it lists them.")
family.default(list_dead)
family.command(list_dead, name="list", sort_key=0)
family.command(show_dead, name="show", sort_key=1)
family.command(redrive, name="redrive", sort_key=2)
family.command(discard, name="discard", sort_key=3)
