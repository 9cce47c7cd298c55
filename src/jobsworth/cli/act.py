"""Putting work in: run a task and wait for it, or just enqueue it."""

from __future__ import annotations

import time
from typing import Annotated, Any

from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.codec import decode
from jobsworth.errors import JobsworthError, WaitTimeout
from jobsworth.handle import JobHandle, status_of
from jobsworth.job import FINAL, PENDING, Job, State
from jobsworth.log import clean
from jobsworth.snapshot import error_line

from . import jobs as show_jobs
from . import text
from .follow import PATIENCE, Display, display, follow, why_waiting
from .options import DEFAULTS, Common, Document, Time, how_to_start, working
from .terminal import json_text, put, put_json, say, styled
from .values import call_from, meta_from, moment_from, seconds_from

Arguments = Annotated[str, Parameter(name="arguments", allow_leading_hyphen=False)]


def run(
    task: str,
    /,
    *arguments: Arguments,
    args: Document = None,
    timeout: Time = None,
    common: Common = DEFAULTS,
) -> int:
    """Run a task through a worker and print its result.

    For example:
      jobsworth run add 1 2
      jobsworth run send_email 7 template=welcome
      jobsworth run images --args @item.json --timeout 5m

    The job is enqueued like any other; a worker must be running. The result goes to stdout as JSON.
    Exit code 1 if the job fails or is cancelled, 4 if time is up.

    Parameters
    ----------
    task
        The task's name, or a queue's if it has one task of its own.
    arguments
        Values by position, or name=value. JSON is read as JSON where the task's signature allows it.
    args
        All arguments as JSON: text, @file, or - for stdin. An object is by name, a list by position.
    timeout
        How long to wait, such as 30 or 5m; for ever if not given. The job goes on afterwards.
    """
    seconds = seconds_from(timeout, "--timeout")
    with working(common) as app:
        found = app.find_task(task)
        positional, named = call_from(found, arguments, args)
        handle = found.enqueue(*positional, **named)
        try:
            job = _wait(app, handle, how_to_start(common), seconds)
        except KeyboardInterrupt:
            say(f"the job goes on: jobsworth watch {handle.id}, or stop it: jobsworth cancel {handle.id}")
            raise
        return _told(app, job, seconds, common)


def _wait(app: Jobsworth, handle: JobHandle[Any], start: str, seconds: float | None) -> Job:
    """Follow the job to its end, with what is worth a line on the way."""
    with display(one=True) as shown:
        first = PATIENCE if seconds is None else min(PATIENCE, seconds)
        told: set[int] = set()

        def changed(job: Job) -> None:
            _tell_failed_attempts(job, told, shown)
            if job.state not in FINAL:
                shown.show(job)

        since = time.monotonic()
        job = follow(app, [handle.id], changed, first)[handle.id]
        if job.state in FINAL:
            return job
        if job.state in PENDING and (why := why_waiting(app, job, start)) is not None:
            shown.note(f"{styled('hint', 'yellow')}: {why}")
        left = None if seconds is None else max(0.0, seconds - (time.monotonic() - since))
        return follow(app, [handle.id], changed, left)[handle.id]


def _tell_failed_attempts(job: Job, told: set[int], shown: Display) -> None:
    for attempt in job.attempts:
        if attempt.outcome in ("failed", "timed_out", "lost") and attempt.number not in told and job.state not in FINAL:
            told.add(attempt.number)
            for line in show_jobs.failed_attempt(job, attempt):
                shown.note(line)


def _told(app: Jobsworth, job: Job, seconds: float | None, common: Common) -> int:
    """Print how it ended, and give the exit code."""
    if job.state not in FINAL:
        raise WaitTimeout(
            f"job {job.id} has not ended within {text.duration(seconds)}; it goes on",
            hint=f"jobsworth watch {job.id}, or jobsworth cancel {job.id}",
        )
    if common.json:
        put_json(app.bridge.call(lambda engine: status_of(engine, job)))
    if job.state is State.COMPLETED:
        if not common.json:
            put(json_text(None if job.result is None else decode(job.result)))
        say(styled(f"({_took(job)}, attempt {job.attempt})", "dim"))
        return 0
    _tell_failure(job)
    return 1


def _took(job: Job) -> str:
    ran = None if job.started_at is None or job.finished_at is None else job.finished_at - job.started_at
    waited = (job.started_at or job.created_at) - job.created_at
    return text.duration(ran) + (f" after waiting {text.duration(waited)}" if waited >= 1 else "")


def _tell_failure(job: Job) -> None:
    """The error first, then their frame, then what to do, then the traceback."""
    name = clean(job.task, 128)
    if job.state is State.CANCELLED:
        why = show_jobs.trouble(job)
        say(f"{styled('⊘', 'yellow')} {name} {job.id} was cancelled{f': {clean(why)}' if why else ''}")
        return
    after = f"gave up after {text.count(job.attempt, 'attempt')}" if job.attempt > 1 else "failed"
    say(f"{styled('✗', 'red')} {name} {after}: {clean(error_line(job.failure))}")
    traceback = job.failure.traceback if job.failure else None
    frame = text.user_frame(traceback)
    if frame:
        say(f"  at {frame}")
    say(f"  jobsworth show {job.id} · jobsworth retry {job.id}")
    if traceback:
        say()
        for line in text.user_traceback(traceback):
            say(line)


def enqueue(
    task: str,
    /,
    *arguments: Arguments,
    args: Document = None,
    delay: Time = None,
    run_at: str | None = None,
    priority: int | None = None,
    key: str | None = None,
    owner: str | None = None,
    tag: Annotated[list[str] | None, Parameter(negative="")] = None,
    meta: Annotated[list[str] | None, Parameter(negative="")] = None,
    label: str | None = None,
    id: str | None = None,  # noqa: A002 (the option's name)
    expires: Time = None,
    timeout: Time = None,
    max_attempts: int | None = None,
    common: Common = DEFAULTS,
) -> int:
    """Store a job and print its id.

    For example:
      jobsworth enqueue send_email 7 welcome
      jobsworth enqueue report --delay 10m --key nightly
      echo '{"file_path": "a.png"}' | jobsworth enqueue images --args -

    When it returns, the job is on disk. No worker needs to be running.

    Parameters
    ----------
    task
        The task's name, or a queue's if it has one task of its own.
    arguments
        Values by position, or name=value. JSON is read as JSON where the task's signature allows it.
    args
        All arguments as JSON: text, @file, or - for stdin. An object is by name, a list by position.
    delay
        Not before so long from now: 90, 30s, 5m, 2h, 1d.
    run_at
        Not before this moment: 2026-01-31T08:00 (local time, or with a zone).
    priority
        Higher runs first; 0 if not given.
    key
        One live job of the task per key: if there is one already, its id is printed.
    owner
        Whose job it is, such as user:7.
    tag
        A tag; may be repeated.
    meta
        name=value, or a JSON object; may be repeated.
    label
        What people see as its name.
    id
        An id of your own; enqueueing it again stores nothing.
    expires
        It must not start later than so long from now.
    timeout
        How long an attempt may take.
    max_attempts
        Attempts at most.
    """
    options: dict[str, Any] = {
        "delay": seconds_from(delay, "--delay"), "run_at": moment_from(run_at, "--run-at"), "priority": priority,
        "key": key, "owner": owner, "tags": tag, "meta": meta_from(meta or ()), "label": label, "id": id,
        "expires": seconds_from(expires, "--expires"), "timeout": seconds_from(timeout, "--timeout"),
        "max_attempts": max_attempts,
    }  # fmt: skip
    with working(common) as app:
        found = app.find_task(task)
        positional, named = call_from(found, arguments, args)
        handle = found.options(**options).enqueue(*positional, **named)
        if common.json:
            put_json({**handle.status(), "accepted": handle.created})
        else:
            put(handle.id)
        if not handle.created:
            say(f"nothing new was stored: {_why_not_new(handle, key)}")
    return 0


def _why_not_new(handle: JobHandle[Any], key: str | None) -> str:
    try:
        state = handle.state.value
    except JobsworthError:
        state = "gone meanwhile"
    return f"a job with this {'key' if key else 'id'} is there already ({state})"
