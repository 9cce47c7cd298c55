"""The commands that only look: list, show, watch and workers. They change nothing and need no app."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from jobsworth.codec import decode
from jobsworth.errors import BadOption, JobsworthError
from jobsworth.handle import eta_of, status_of
from jobsworth.job import FINAL, Job, State
from jobsworth.log import clean
from jobsworth.logged import Logged
from jobsworth.snapshot import job_part, line_part

from . import jobs as show_jobs
from . import text
from .find import find_job, find_jobs, why_nothing
from .follow import Display, display, follow
from .options import DEFAULTS, EVERYTHING, Common, Filters, Time, looking
from .status import worker_json, worker_note
from .terminal import put, put_json, say
from .values import seconds_from

LINES = 20  # of a job's log that are shown


def list_jobs(
    *,
    filters: Filters = EVERYTHING,
    state: Annotated[list[str] | None, Parameter(name=["--state", "-s"], negative="")] = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 30,
    common: Common = DEFAULTS,
) -> int:
    """Jobs, the newest first.

    For example:
      jobsworth list
      jobsworth list --state failed --queue mailers
      jobsworth list --text Timeout --limit 5 --json

    Parameters
    ----------
    state
        In this state: scheduled, queued, running, cancelling, completed, failed or cancelled; may be repeated.
    limit
        At most so many.
    """
    where = filters.where(states_from(state), _at_least_one(limit, "--limit"))
    with looking(common) as store:
        found = store.bridge.call(lambda engine: engine.find(where))
        if common.json:
            put_json([job_part(job) for job in found])
        elif found:
            for line in show_jobs.rows(found):
                put(line)
            if len(found) == limit:
                total = store.bridge.call(lambda engine: engine.count(where))
                if total > limit:
                    say(f"the newest {limit} of {total:,}; --limit shows more")
        else:
            nothing = why_nothing(store, filters)
            say("no job matches" if state and nothing.startswith("no jobs yet") else nothing)
    return 0


def states_from(names: list[str] | None) -> tuple[State, ...] | None:
    """States as typed. Raises BadOption."""
    found: list[State] = []
    for name in (part for each in names or () for part in each.split(",")):
        try:
            found.append(State(name.strip().lower()))
        except ValueError:
            from jobsworth.suggest import did_you_mean

            raise BadOption(
                f"there is no state {clean(name, 50)!r}",
                hint=f"{did_you_mean(name, [each.value for each in State])} ({', '.join(State)})",
            ) from None
    return tuple(found) or None


def _at_least_one(number: int, option: str) -> int:
    if number < 1:
        raise BadOption(f"{option} must be at least 1, not {number}")
    return number


def show(job_id: Annotated[str, Parameter(name="id")], /, *, common: Common = DEFAULTS) -> int:
    """Everything about one job: attempts, errors, arguments, result, the last lines of its log.

    With --json the whole log is there.

    For example:
      jobsworth show 0199f3a2c1
      jobsworth show 0199f3a2c1 --json | jq .job.attempts

    Parameters
    ----------
    job_id
        Its id, or the beginning of it.
    """
    with looking(common) as store:
        job = find_job(store, job_id)
        eta = store.bridge.call(lambda engine: eta_of(engine, job))
        if common.json:
            snapshot = store.bridge.call(lambda engine: status_of(engine, job))
            log = [line_part(each) for each in store.bridge.call(lambda engine: engine.logs(job.id))]
            eta_part = eta and msgspec.to_builtins(eta)
            put_json({**snapshot, "arguments": readable(job.args), "eta": eta_part, "log": log})
        else:
            last = store.bridge.call(lambda engine: engine.logs(job.id, limit=LINES))
            for line in show_jobs.whole(job, eta, last):
                put(line)
    return 0


def readable(data: bytes) -> Any:
    """Stored JSON as a value; None if it is damaged."""
    try:
        return decode(data)
    except JobsworthError:
        return None


def watch(
    *job_ids: Annotated[str, Parameter(name="ids")],
    timeout: Time = None,
    common: Common = DEFAULTS,
) -> int:
    """Follow jobs until all have ended: their state, their progress and what they log.

    For example:
      jobsworth watch 0199f3a2c1 0199f3a2d4
      jobsworth watch $(jobsworth list --state running --json | jq -r '.[].id')

    Exit code 1 if one failed or was cancelled, 4 if time is up.

    Parameters
    ----------
    job_ids
        Their ids, or the beginnings of them.
    timeout
        How long, such as 30 or 5m; for ever if not given.
    """
    if not job_ids:
        raise BadOption("which jobs?", hint="jobsworth list shows their ids")
    seconds = seconds_from(timeout, "--timeout")
    with looking(common) as store:
        ids = [job.id for job in find_jobs(store, job_ids)]
        if common.json:
            last = follow(store, ids, lambda job: put_json(job_part(job), one_line=True), seconds)
        else:
            with display() as bars:
                last = follow(store, ids, bars.show, seconds, teller(bars, name=len(ids) > 1))
    return ended(list(last.values()), seconds)


def teller(shown: Display, *, name: bool) -> Callable[[Job, list[Logged]], None]:
    """How to show what jobs log; `name` says whose it is."""

    def said(job: Job, lines: list[Logged]) -> None:
        whose = f"{clean(job.task, 60)} {job.id}  " if name else ""
        for line in lines:
            for each in show_jobs.logged(line, sys.stderr):
                shown.note(whose + each)

    return said


def ended(jobs: list[Job], seconds: float | None) -> int:
    """The exit code of jobs that were waited for."""
    left = [job for job in jobs if job.state not in FINAL]
    if left:
        say(f"error[E304]: {text.count(len(left), 'job')} not finished within {text.duration(seconds)}; they go on")
        return 4
    return 0 if all(job.state is State.COMPLETED for job in jobs) else 1


def workers(*, common: Common = DEFAULTS) -> int:
    """The live workers and what they serve.

    For example:
      jobsworth workers
      jobsworth workers --json
    """
    with looking(common) as store:
        cards = store.workers()
    if common.json:
        put_json([worker_json(card) for card in cards])
        return 0
    if not cards:
        say("no worker is live; start one: jobsworth worker")
        return 0
    rows = [
        (
            clean(card.id, 128), clean(card.host, 60), str(card.pid), clean(card.version, 20),
            clean(", ".join(f"{queue}:{slots}" for queue, slots in card.queues.items()), 200), str(card.running),
            text.size(card.rss), text.duration(card.beat), worker_note(card),
        )
        for card in cards
    ]  # fmt: skip
    head = ("WORKER", "HOST", "PID", "VERSION", "QUEUES", "BUSY", "MEMORY", "BEAT", "")
    for line in text.table(head, rows, right="..r..rrr"):
        put(line)
    return 0
