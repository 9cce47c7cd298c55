"""`jobsworth move-engine`: copies jobs and queue settings from one engine to another, and counts them there.

Nothing is written down on the way: an id that TO knows is left alone, so running it again goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.engine import Engine, Where
from jobsworth.errors import BadOption, EngineError
from jobsworth.job import HELD, Job, State
from jobsworth.log import clean

from . import text
from .operate import DryRun
from .options import COMMON, name_of, refuse_absent, refuse_memory
from .terminal import is_terminal, put, put_json, say, styled
from .values import seconds_from

BATCH = 500  # jobs at once, at most
BUDGET = 8 << 20  # bytes of jobs at once, about: large ones travel in smaller batches
FIRST = 20  # jobs in the first batch, before it is known how large they are
_ALL = (State.SCHEDULED, State.QUEUED, State.FAILED)  # copied whatever their age
_PAST = (State.COMPLETED, State.CANCELLED)  # copied if they ended lately


@dataclass
class Tally:
    """What was found on FROM, and what is on TO of it."""

    here: Counter[State] = field(default_factory=Counter)
    there: Counter[State] = field(default_factory=Counter)
    stored: int = 0  # by this run
    known: int = 0  # on TO already
    left_out: int = 0  # another live job on TO has their key
    older: int = 0  # ended before --recent
    damaged: int = 0  # cannot be read on FROM
    paused: list[str] = field(default_factory=list)

    @property
    def running(self) -> int:
        return sum(self.here[state] for state in HELD)

    @property
    def complete(self) -> bool:
        """True if TO has all there is to have, state by state."""
        return all(self.here[state] == self.there[state] for state in State)


def move_engine(
    source: Annotated[str, Parameter(name="from")],
    target: Annotated[str, Parameter(name="to")],
    /,
    *,
    recent: Annotated[str, Parameter(metavar="TIME")] = "7d",
    dry_run: DryRun = False,
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", group=COMMON)] = False,
) -> int:
    """Copy jobs and paused queues from one engine to another.

    For example:
      jobsworth move-engine sqlite:///jobsworth.db postgresql://app@db/app --dry-run
      jobsworth move-engine sqlite:///jobsworth.db postgresql://app@db/app

    Stop the workers on FROM first, and point programs to TO. Waiting, scheduled and dead jobs are copied, and those
    that ended lately, with their ids, attempts, results and tags, but without what they have logged, which stays on
    FROM, as statistics do. Running ones are not copied: run it again when they have ended. FROM is left as it is; do
    not start workers on it again, they would run the same jobs.

    It may be stopped and run again at any time: what TO has is not copied twice. At the end both are counted, state
    by state; exit code 1 if they differ.

    Parameters
    ----------
    source
        The URL jobs are copied from.
    target
        The URL they are copied to; what it lacks is made.
    recent
        Copy completed and cancelled jobs that ended within so long, by this machine's clock; 0 for none.
    dry_run
        Only count.
    force
        Copy although workers are alive on FROM.
    json
        Answer with one JSON document on stdout.
    """
    seconds = seconds_from(recent, "--recent")
    assert seconds is not None
    with _opened(source, target) as (here, there):
        if dry_run:
            tally = _counted(here, there, seconds)
        else:
            _refuse_workers(here, force=force)
            tally = _moved(here, there, seconds)
        ends = {"from": here.engine.where, "to": there.engine.where}
        names = name_of(here.engine), name_of(there.engine)
    if json:
        put_json({**ends, "dry_run": dry_run, **_as_json(tally)})
    else:
        _tell(tally, names, seconds, dry_run=dry_run)
    return 0 if dry_run or tally.complete else 1


@contextlib.contextmanager
def _opened(source: str, target: str) -> Iterator[tuple[Jobsworth, Jobsworth]]:
    here, there = Jobsworth(source), Jobsworth(target)
    for store in (here, there):
        refuse_memory(store)
    if (here.engine.kind, here.engine.where) == (there.engine.kind, there.engine.where):
        raise BadOption("FROM and TO are the same place")
    try:
        refuse_absent(here)
        yield here, there
    finally:
        here.close()
        there.close()


def _refuse_workers(here: Jobsworth, *, force: bool) -> None:
    cards = here.workers()
    if cards and not force:
        names = ", ".join(clean(card.id, 128) for card in cards[:5]) + (", …" if len(cards) > 5 else "")
        raise BadOption(
            f"{text.count(len(cards), 'worker')} alive on FROM: {names}",
            hint="stop them first (a killed one is forgotten after three leases), or add --force",
        )


def _counted(here: Jobsworth, there: Jobsworth, recent: float) -> Tally:
    """What would be copied, and what TO holds, whatever it is."""
    tally = Tally(here=here.bridge.call(lambda engine: _counts(engine, recent)))
    if there.bridge.peek(lambda engine: engine.schema_version()).found is not None:
        tally.there = there.bridge.call(lambda engine: _counts(engine, None))
    tally.paused = _paused(here)
    return tally


async def _counts(engine: Engine, recent: float | None) -> Counter[State]:
    found: Counter[State] = Counter()
    for state in State:
        within = recent if state in _PAST else None
        found[state] = await engine.count(Where(states=(state,), finished_within=within))
    return found


def _paused(store: Jobsworth) -> list[str]:
    return [queue.queue for queue in store.bridge.call(lambda engine: engine.queues(brief=True)) if queue.paused]


def _moved(here: Jobsworth, there: Jobsworth, recent: float) -> Tally:
    tally = Tally(paused=_paused(here))
    for queue in tally.paused:  # before any of its jobs arrives
        there.pause(queue)
    expected = here.bridge.call(lambda engine: _counts(engine, recent))
    cutoff = time.time() - recent
    try:
        with _bar(sum(expected[state] for state in (*_ALL, *_PAST))) as advance:
            for jobs in _batches(here):
                _copy(there, [job for job in jobs if _is_taken(job, cutoff, tally)], tally)
                advance(tally.stored + tally.known)
    except (KeyboardInterrupt, EngineError):
        say(f"stopped after {text.count(tally.stored, 'job')}, which are there to stay; run it again to go on")
        raise
    now = here.bridge.call(lambda engine: _counts(engine, 0))
    for state in (*_ALL, *HELD):  # those that came or changed meanwhile count
        tally.here[state] = now[state]
    return tally


def _batches(store: Jobsworth) -> Iterator[list[Job]]:
    """All jobs in order of creation, few at once where they are large."""
    after, limit = 0, FIRST
    while True:
        jobs, after = _scan(store, after, limit)
        if not jobs:
            return
        yield jobs
        limit = max(1, min(BATCH, limit * 4, BUDGET * len(jobs) // sum(map(_weight, jobs))))


def _scan(store: Jobsworth, after: int, limit: int) -> tuple[list[Job], int]:
    return store.bridge.call(lambda engine: engine.scan(after, limit))


def _weight(job: Job) -> int:
    told = sum(len(attempt.error.traceback or "") for attempt in job.attempts if attempt.error)
    return 500 + len(job.args) + len(job.result or b"") + len(job.meta or b"") + told


def _is_taken(job: Job, cutoff: float, tally: Tally) -> bool:
    if job.state in HELD:
        return False
    if job.state in _PAST and (job.finished_at or 0.0) < cutoff:
        tally.older += 1
        return False
    tally.here[job.state] += 1
    if job.failure is not None and job.failure.reason == "corrupt":
        tally.damaged += 1
        return False
    return True


def _copy(there: Jobsworth, jobs: Sequence[Job], tally: Tally) -> None:
    if not jobs:
        return
    ids = tuple(job.id for job in jobs)

    async def arrive(engine: Engine) -> tuple[int, int, Counter[State]]:
        known = await engine.count(Where(ids=ids))
        stored = 0 if known == len(ids) else len(await engine.adopt(jobs))
        return known, stored, await _states(engine, jobs, known + stored)

    known, stored, states = there.bridge.call(arrive)
    tally.known += known
    tally.stored += stored
    tally.left_out += len(ids) - known - stored
    tally.there += states


async def _states(engine: Engine, jobs: Sequence[Job], present: int) -> Counter[State]:
    """How many of these jobs are in which state there: looked at in the states they had here first."""
    ids, found = tuple(job.id for job in jobs), Counter[State]()
    had = {job.state for job in jobs}
    for state in sorted(State, key=lambda each: each not in had):
        if found.total() >= present:
            break
        found[state] = await engine.count(Where(ids=ids, states=(state,)))
    return found


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """How to show how many are done: a bar for a person, nothing elsewhere."""
    if not is_terminal(sys.stderr):
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("copying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def _tell(tally: Tally, names: tuple[str, str], recent: float, *, dry_run: bool) -> None:
    put(f"from  {names[0]}")
    put(f"to    {names[1]}" + (", as it is now" if dry_run else ""))
    rows = [
        (state.value, f"{tally.here[state]:,}", f"{tally.there[state]:,}", _remark(state, tally, recent, dry_run))
        for state in (*_ALL, *_PAST, *sorted(HELD))
        if state not in HELD or tally.here[state] or tally.there[state]
    ]
    for line in text.table(("STATE", "FROM", "TO", ""), rows, right=".rr."):
        put(line)
    if tally.paused:
        put(f"paused: {clean(', '.join(tally.paused), 500)}")
    if dry_run:
        put("nothing was copied: a dry run")
        return
    put(f"copied {text.count(tally.stored, 'job')}" + (f", {tally.known:,} were there already" if tally.known else ""))
    for line in _troubles(tally):
        say(styled(line, "yellow", sys.stderr))


def _remark(state: State, tally: Tally, recent: float, dry_run: bool) -> str:
    if state in _PAST:
        return f"ended within {text.duration(recent)}"
    if state in HELD and tally.here[state]:
        return "not copied while a worker holds them"
    return "" if dry_run or tally.here[state] == tally.there[state] else "differs"


def _troubles(tally: Tally) -> Iterator[str]:
    """What is to be said about jobs that are not there."""
    if tally.running:
        verb = "is" if tally.running == 1 else "are"
        yield f"{text.count(tally.running, 'job')} {verb} still held by a worker on FROM; run it again afterwards"
    if tally.left_out:
        yield f"{text.count(tally.left_out, 'job')} not copied: another live job on TO has the same key"
    if tally.damaged:
        yield f"{text.count(tally.damaged, 'job')} not copied: damaged on FROM, see jobsworth list there"
    if not tally.complete and not (tally.running or tally.left_out or tally.damaged):
        yield "the counts differ: jobs came or went on, on FROM or on TO; stop what works there and run it again"


def _as_json(tally: Tally) -> dict[str, Any]:
    states = {state.value: {"from": tally.here[state], "to": tally.there[state]} for state in State}
    return {
        "states": states, "copied": tally.stored, "known": tally.known, "left_out": tally.left_out,
        "older": tally.older, "damaged": tally.damaged, "paused": tally.paused, "complete": tally.complete,
    }  # fmt: skip
