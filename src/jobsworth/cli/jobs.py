"""How jobs are shown: as a row of a list, as a line that changes, and whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TextIO

from jobsworth.codec import decode
from jobsworth.errors import JobsworthError
from jobsworth.job import FINAL, Attempt, Job, Progress, State
from jobsworth.log import clean
from jobsworth.logged import Logged
from jobsworth.snapshot import error_line
from jobsworth.statistics import Eta, at_last_report

from . import text
from .terminal import json_text, styled

SIGNS = {
    State.SCHEDULED: ("◷", "cyan"), State.QUEUED: ("○", "cyan"), State.RUNNING: ("●", "blue"),
    State.CANCELLING: ("●", "yellow"), State.COMPLETED: ("✓", "green"), State.FAILED: ("✗", "red"),
    State.CANCELLED: ("⊘", "yellow"),
}  # fmt: skip
_LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_HEAD = ("ID", "STATE", "TASK", "QUEUE", "ATTEMPT", "AGE", "WHAT")
_SHOWN_BYTES = 4000  # of arguments, result and meta; --json has them whole


def rows(jobs: Sequence[Job]) -> list[str]:
    """A list of jobs, one line each."""
    now = time.time()
    cells = [
        (
            job.id, state_word(job.state), clean(job.task, 40), clean(job.queue, 40),
            f"{job.attempt}/{job.max_attempts}", text.duration(now - job.created_at), what(job, 100),
        )
        for job in jobs
    ]  # fmt: skip
    return _coloured(text.table(_HEAD, cells, right="....rr"), [job.state for job in jobs])


def _coloured(lines: list[str], states: Sequence[State]) -> list[str]:
    """Colour after aligning: codes have no width, but a table cannot know that."""
    head, *body = lines
    done = [styled(head, "bold")]
    for line, state in zip(body, states, strict=True):
        word = state_word(state)
        done.append(line.replace(word, styled(word, SIGNS[state][1]), 1))
    return done


def state_word(state: State) -> str:
    """The state with its sign: no meaning is in the colour alone."""
    return f"{SIGNS[state][0]} {state.value}"


def what(job: Job, limit: int) -> str:
    """What there is to say about a job besides its state: label, progress, error."""
    parts = [job.label or ""]
    if job.state not in FINAL:
        parts += [how_far(job.progress), left(at_last_report(job))]
    parts += [trouble(job)]
    return clean(" · ".join(part for part in parts if part), limit)


def trouble(job: Job) -> str:
    """The error of a job that has one, or why it was cancelled; "" where the state says it all."""
    if job.state is State.COMPLETED or job.failure is None:
        return ""
    if job.failure.reason == "cancelled":
        return "" if job.failure.message == "cancelled" else job.failure.message
    return error_line(job.failure)


def how_far(progress: Progress | None) -> str:
    """42 % (3/7) Loading image..."""
    if progress is None:
        return ""
    done = text.percent(progress.current, progress.total, progress.percent)
    parts = [] if done is None else [f"{done:.0f} %"]
    if progress.current is not None and progress.total is not None:
        parts.append(f"({progress.current:g}/{progress.total:g})")
    elif progress.current is not None:
        parts.append(f"{progress.current:g}")
    return " ".join([*parts, progress.message or ""]).strip()


def left(eta: Eta | None) -> str:
    """about 12 s left"""
    return "" if eta is None else f"about {text.duration(eta.seconds)} left"


def expectation(eta: Eta) -> str:
    """about 12 s left (4 s to 25 s), going by 120 earlier runs"""
    basis = "its progress" if eta.basis == "progress" else text.count(eta.runs, "earlier run")
    return f"{left(eta)} ({text.duration(eta.low)} to {text.duration(eta.high)}), going by {basis}"


def line(job: Job) -> str:
    """A job in one line, for what is followed without a terminal."""
    more = what(job, 200)
    return f"{state_word(job.state)}  {clean(job.task, 60)} {job.id}  attempt {job.attempt}/{job.max_attempts}" + (
        f"  {more}" if more else ""
    )


def failed_attempt(job: Job, attempt: Attempt) -> list[str]:
    """An attempt that failed: what, where, what follows."""
    word = {"lost": "was lost", "timed_out": "ran out of time"}.get(attempt.outcome or "", "failed")
    head = f"{clean(job.task, 60)} attempt {attempt.number}/{job.max_attempts} {word}"
    lines = [f"{styled('✗', 'red')} {head}: {clean(error_line(attempt.error))}"]
    frame = text.user_frame(attempt.error.traceback) if attempt.error else None
    if frame:
        lines.append(f"  at {frame}")
    if job.state is State.SCHEDULED and job.run_at is not None and attempt is job.attempts[-1]:
        lines.append(f"  next attempt in {text.duration(job.run_at - time.time())}")
    return lines


def logged(line: Logged, stream: TextIO | None = None) -> list[str]:
    """A line of a job's log; several if its message has several. In colour where `stream` (stdout) shows it."""
    level, colour = clean(line.level, 20), _LEVELS.get(line.level)
    name = "" if line.logger == "jobsworth.job" else f"{clean(line.logger, 60)}: "
    first, *more = line.message.splitlines() or [""]
    word = f"{level:<7}" if colour is None else styled(f"{level:<7}", colour, stream)
    head = f"{text.clock(line.at, time.time())} {word} {name}{clean(first, 2000)}"
    return [head, *(f"  {clean(each, 2000)}" for each in more)]


def _log(lines: Sequence[Logged]) -> list[str]:
    """The end of what the last attempt that said anything has logged."""
    if not lines:
        return []
    attempt = lines[-1].attempt
    shown = [line for line in lines if line.attempt == attempt]
    begin = f", from line {shown[0].number} on" if shown[0].number > 1 else ""
    body = [f"  {each}" for line in shown for each in logged(line)]
    return ["", styled(f"log of attempt {attempt}", "bold") + begin, *body]


def whole(job: Job, eta: Eta | None = None, lines: Sequence[Logged] = ()) -> list[str]:
    """Everything a person may want to know of one job. `lines`: the end of its log."""
    now = time.time()
    told = [*_headline(job), *([f"  {expectation(eta)}"] if eta else [])]
    told += ["", *_facts(job, now), "", *_timeline(job, now)]
    for name, data in (("arguments", job.args), ("result", job.result), ("meta", job.meta)):
        if data is not None:
            told += _value(name, data)
    told += _log(lines)
    trouble = next((attempt for attempt in reversed(job.attempts) if attempt.error), None)
    if job.state is not State.COMPLETED and trouble is not None and trouble.error and trouble.error.traceback:
        told += ["", styled(f"traceback of attempt {trouble.number}", "bold")]
        told += [f"  {each}" for each in text.user_traceback(trouble.error.traceback)]
    return told


def _headline(job: Job) -> list[str]:
    sign, colour = SIGNS[job.state]
    parts = [
        styled(clean(job.task, 128), "bold"), styled(f"{sign} {job.state.value}", colour),
        f"attempt {job.attempt}/{job.max_attempts}",
    ]  # fmt: skip
    done = text.percent(job.progress.current, job.progress.total, job.progress.percent) if job.progress else None
    if done is not None and job.state not in FINAL:
        parts.append(f"{text.bar(done)} {done:.0f} %")
    if job.progress and job.progress.message:
        parts.append(clean(job.progress.message, 200))
    lines = ["  ".join(parts)]
    if job.failure is not None and trouble(job):
        lines.append(f"  {styled(clean(trouble(job)), 'red')}  ({job.failure.reason})")
        at = next((text.user_frame(each.error.traceback) for each in reversed(job.attempts) if each.error), None)
        lines += [f"  at {at}"] if at else []
    return lines


def _facts(job: Job, now: float) -> list[str]:
    facts: list[tuple[str, Any]] = [
        ("id", job.id), ("queue", job.queue), ("label", job.label), ("key", job.key), ("owner", job.owner),
        ("tags", ", ".join(job.tags)), ("priority", job.priority or None), ("worker", job.worker),
        ("timeout", job.timeout and text.duration(job.timeout)),
        ("crashes", job.crashes or None), ("cancel", (job.cancel_reason or "asked") if job.cancel_requested else None),
        ("expires", job.expires_at and text.clock(job.expires_at, now)),
    ]  # fmt: skip
    return [f"{name:<9} {clean(value)}" for name, value in facts if value]


def _timeline(job: Job, now: float) -> list[str]:
    lines = [f"{text.clock(job.created_at, now)}  enqueued"]
    if job.state is State.SCHEDULED and not job.attempts:
        lines.append(f"{text.clock(job.run_at, now)}  may start, in {text.duration((job.run_at or now) - now)}")
    for attempt in job.attempts:
        where = f" on {clean(attempt.worker, 128)}" if attempt.worker else ""
        lines.append(f"{text.clock(attempt.started_at, now)}  attempt {attempt.number} started{where}")
        if attempt.outcome is not None:
            took = None
            if attempt.finished_at is not None and attempt.started_at is not None:
                took = attempt.finished_at - attempt.started_at
            error = f": {clean(error_line(attempt.error))}" if attempt.error else ""
            lines.append(
                f"{text.clock(attempt.finished_at, now)}  attempt {attempt.number} {attempt.outcome} after "
                f"{text.duration(took)}{error}"
            )
    if job.state is State.SCHEDULED and job.attempts:
        lines.append(f"{text.clock(job.run_at, now)}  next attempt, in {text.duration((job.run_at or now) - now)}")
    elif job.state is State.CANCELLED and (not job.attempts or job.attempts[-1].outcome != "cancelled"):
        lines.append(f"{text.clock(job.finished_at, now)}  cancelled")
    return lines


def _value(name: str, data: bytes) -> list[str]:
    try:
        shown = json_text(decode(data), indent=2)
    except JobsworthError as exc:
        shown = f"(unreadable: {clean(exc)}) {clean(data[:200])}"
    if len(shown) > _SHOWN_BYTES:
        shown = f"{shown[:_SHOWN_BYTES]}\n… {len(shown):,} characters in all; --json has them"
    lines = shown.splitlines() or [""]
    if len(lines) == 1:
        return ["", f"{styled(name, 'bold')}  {lines[0]}"]
    return ["", styled(name, "bold"), *(f"  {each}" for each in lines)]
