"""A handler killed wherever it matters and run again, and which of its effects then happened twice.

A kill is in this process: the worker's engine answers nothing more from that moment, and the handler is thrown out
where it stands. `finally` blocks do run then, as they would not in a process that is killed; but no effect that is
watched happens any more, and nothing reaches the store. The lease runs out, another worker takes the job over.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, cast
from unittest.mock import patch

from jobsworth.app import Jobsworth
from jobsworth.context import CurrentJob, running_job
from jobsworth.engine import Engine
from jobsworth.engines.memory import MemoryEngine
from jobsworth.errors import BadOption
from jobsworth.job import Job, NewJob, State
from jobsworth.snapshot import error_line
from jobsworth.task import Task

from .clock import HandClock
from .fragile import Watched, fragile
from .hands import LEASE, DrainKit
from .kit import Declared, task_of

Effect = str | tuple[object, str]  # "shop.gateway.charge", or (gateway, "charge")
_ID = "crash"
_ADDRESS = re.compile(r"( object)? at 0x[0-9a-fA-F]+")  # of an object that is another in each run
MOST = 500  # places at which one handler is killed


class Killed(BaseException):
    """Thrown into a handler whose process is meant to have died. No `except Exception` holds it up."""


@dataclass(frozen=True)
class Crash:
    """One kill and what came of it. twice: what then happened more often than in a run that nobody killed."""

    where: str
    twice: tuple[str, ...]
    state: str


@dataclass(frozen=True)
class Report:
    """All kills of one handler, in the order of their places."""

    task: str
    crashes: tuple[Crash, ...]
    undisturbed: str = ""  # how it ended though nobody killed it, if that was not well

    @property
    def twice(self) -> dict[str, tuple[str, ...]]:
        """What happened twice, by the places of the kills; nothing for a handler that may be killed anywhere."""
        return {crash.where: crash.twice for crash in self.crashes if crash.twice}

    @property
    def unfinished(self) -> dict[str, str]:
        """Kills after which the job did not end as it does when nobody kills it: place and state."""
        return {crash.where: crash.state for crash in self.crashes if crash.state}

    def __str__(self) -> str:
        lines = [f"{self.task} was killed at {len(self.crashes)} places and run again"]
        for crash in self.crashes:
            what = list(crash.twice) + ([f"it ended as {crash.state}"] if crash.state else [])
            lines.append(f"  {crash.where}: {'; '.join(what) or 'fine'}")
        return "\n".join(lines)

    def assert_once(self) -> None:
        """Fail if anything happened twice, or a job ended otherwise than it should, and say where; also if it does not
        complete when nobody kills it, for then nothing is known."""
        __tracebackhide__ = True
        if self.undisturbed:
            raise AssertionError(f"{self.task} was killed by nobody, and {self.undisturbed}")
        if self.twice or self.unfinished:
            raise AssertionError(str(self))


def crash(
    app: Jobsworth,
    task: Declared,
    *args: Any,
    effects: Sequence[Effect] = (),
    lines: Sequence[int | str] | str = (),
    before: Callable[[], object] = lambda: None,
    engine: Callable[[HandClock], Engine] = MemoryEngine,
    **kwargs: Any,
) -> Report:
    """Run a job of the task, again and again, each time killed at another place, and let another worker finish it.

    The places: when the job was claimed and nothing has begun, before and after each word that the handler has with the
    store, when it reports progress, before job.transaction(), at its end and after it, when all is done and that is not
    written down, and when it just was. Also before each of these lines:
    lines:   numbers in the handler's file, pieces of its source text, or "every".
    effects: what must not happen twice: functions by their dotted name, or (object, "method"); they are called as ever.
             One that is given the job's idempotency_key may be repeated: who receives it can tell. One that is given
             the connection of job.transaction() has happened if that commits. What the handler enqueues is watched
             by itself, and runs when the job has ended.
    before:  called before each run from the beginning, to make what the handler finds as it was.
    engine:  makes the engine of each run, an empty one each time.

    Raises BadOption (E105) for a handler that runs in a child process, for lines that it does not have, and for an
    engine that is not empty.
    """
    of = task_of(task)
    if of.isolation == "process":
        raise BadOption(f"task {of.name!r} runs in a child process, where nobody can be watched")
    # Always the same id: each run has a store of its own, and what is told of the job to others shall not differ.
    job = of.options(id=_ID).new_job(*args, **kwargs)
    bench = _Bench(app, of, job, tuple(effects), _lines_of(of, lines), before, engine)
    return bench.report()


class _Bench:
    """Runs one job over and over."""

    def __init__(
        self,
        app: Jobsworth,
        task: Task[..., Any],
        job: NewJob,
        effects: tuple[Effect, ...],
        lines: dict[int, str],
        before: Callable[[], object],
        engine: Callable[[HandClock], Engine],
    ) -> None:
        self._app, self._task, self._job, self._effects = app, task, job, effects
        self._lines, self._before, self._engine = lines, before, engine

    def report(self) -> Report:
        calm = self._run(None)
        if len(calm.places) > MOST:
            raise BadOption(f"{self._task.name} has {len(calm.places)} places to be killed at", hint="fewer lines=")
        crashes = []
        for number, where in enumerate(calm.places):
            run = self._run(number)
            twice = tuple(_more_often(run.happened, calm.happened))
            crashes.append(Crash(where, twice, "" if run.state == calm.state else run.state))
        return Report(self._task.name, tuple(crashes), calm.trouble)

    def _run(self, killed_at: int | None) -> _Life:
        """A job from its beginning to its end, killed at one place, or nowhere."""
        self._before()
        clock = HandClock()
        engine = self._engine(clock)
        life = _Life(killed_at, self._task.name)
        kit = _CrashKit(self._app, cast(Engine, fragile(engine, life)), clock, life)
        with kit.staying(), ExitStack() as stack:
            stack.enter_context(_reporting(life))
            for effect in self._effects:
                stack.enter_context(_watching(effect, life))
            (handle,) = self._app.enqueue_many([self._job])
            if not handle.created:
                raise BadOption(
                    "the engine holds the job of another run already", hint="engine= makes an empty one each time"
                )
            around = _tracing(self._task, self._lines, life)
            self._app.around.append(around)
            try:
                kit.drain()
                if life.dead:
                    life.dead = False
                    clock.leap(LEASE + 1)
                    kit.drain()
                life.alone = False
                kit.drain()
            finally:
                self._app.around.remove(around)
            life.end(kit.jobs)
        return life


@dataclass
class _Life:
    """What one run was, place by place. `happened`: how often each effect was called, by its name and arguments."""

    killed_at: int | None
    task: str
    job_id: str = _ID
    places: list[str] = field(default_factory=list)
    happened: Counter[tuple[str, str]] = field(default_factory=Counter)
    state: str = ""
    trouble: str = ""
    dead: bool = False
    alone: bool = True
    _held: tuple[object, Counter[tuple[str, str]]] | None = None  # a transaction's connection, and what it was given
    _times: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: bool = False  # the kill has happened; what comes now is the second run

    def reach(self, where: str) -> bool:
        """At a place. True if this is where it is killed."""
        with self._lock:
            if self._over or self.dead:
                return self.dead
            self._times[where] += 1
            self.places.append(where if self._times[where] == 1 else f"{where}, time {self._times[where]}")
            self.dead = self._over = len(self.places) - 1 == self.killed_at
            return self.dead

    def reach_or_die(self, where: str) -> None:
        """The same in the handler, which does not survive it."""
        if self.is_mine() and self.reach(where):
            raise Killed(where)

    def is_mine(self) -> bool:
        """Whether the job's own handler is what calls."""
        job = running_job()
        return job is not None and job.id == self.job_id

    def happen(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """An effect. The dead have none."""
        job = running_job()
        if job is not None and self.is_mine() and self.dead:
            raise Killed(name)
        if job is not None and job.idempotency_key in (*args, *kwargs.values()):
            return
        given = [("", value) for value in args] + [(f"{key}=", value) for key, value in kwargs.items()]
        connection, happened = self._held if job is not None and self.is_mine() and self._held else (None, None)
        inside = happened is not None and any(value is connection for _, value in given)
        shown = [f"{key}{_ADDRESS.sub('', repr(value))}" for key, value in given]
        with self._lock:
            (happened if happened is not None and inside else self.happened)[name, ", ".join(shown)] += 1

    @contextmanager
    def within(self) -> Iterator[Callable[[object], None]]:
        """What is given the connection meanwhile has happened if the block ends well."""
        happened: Counter[tuple[str, str]] = Counter()

        def hold(connection: object) -> None:
            self._held = connection, happened

        try:
            yield hold
        finally:
            self._held = None
        self.happened += happened

    def end(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.id == self.job_id:
                self.state = job.state.value
                if job.state is not State.COMPLETED:
                    self.trouble = f"ended as {job.state.value}: {error_line(job.failure)}"
            else:
                self.happened[f"{job.task}.enqueue", job.args.decode(errors="replace")] += 1


def _more_often(happened: Counter[tuple[str, str]], calm: Counter[tuple[str, str]]) -> Iterator[str]:
    """What happened more often than when nobody was killed. Arguments may differ from run to run: names decide."""
    for name in dict.fromkeys(name for name, _ in happened):
        there = {shown: number for (each, shown), number in happened.items() if each == name}
        if sum(there.values()) > sum(number for (each, _), number in calm.items() if each == name):
            for shown, number in there.items():
                if number > calm[name, shown]:
                    yield f"{name}({shown}) happened {number} time{'s' if number > 1 else ''}"


class _CrashKit(DrainKit):
    """Drains until nothing is due, or the worker is dead."""

    def __init__(self, app: Jobsworth, engine: Engine, clock: HandClock, life: _Life) -> None:
        self._life = life
        super().__init__(app, engine, clock)

    def _bridge(self) -> Watched:
        return Watched(self.engine, self._life)

    async def _due(self, engine: Engine) -> list[Job]:
        due = [] if self._life.dead else await super()._due(engine)
        return [job for job in due if job.id == self._life.job_id] if self._life.alone else due


@contextmanager
def _reporting(life: _Life) -> Iterator[None]:
    """Each report of progress is a place: a pulse would have carried it, at a moment of its own."""
    original = CurrentJob.report_progress

    def reported(job: CurrentJob, *args: Any, **kwargs: Any) -> None:
        original(job, *args, **kwargs)
        life.reach_or_die("reporting progress")

    with patch.object(CurrentJob, "report_progress", reported):
        yield


@contextmanager
def _watching(effect: Effect, life: _Life) -> Iterator[None]:
    """Count the calls of a function, which is called as ever."""
    holder, name, shown = _found(effect)
    original = getattr(holder, name)

    def happened(*args: Any, **kwargs: Any) -> Any:
        life.happen(shown, args, kwargs)
        return original(*args, **kwargs)

    async def ahappened(*args: Any, **kwargs: Any) -> Any:
        life.happen(shown, args, kwargs)
        return await original(*args, **kwargs)

    with patch.object(holder, name, ahappened if inspect.iscoroutinefunction(original) else happened):
        yield


def _found(effect: Effect) -> tuple[object, str, str]:
    """Who holds it, under which name, and how it is called in the report. Raises BadOption (E105)."""
    if not isinstance(effect, str):
        holder, name = effect
        kind = holder if isinstance(holder, type) else type(holder)
        return _with(holder, name, getattr(holder, "__name__", kind.__name__))
    path, _, name = effect.rpartition(".")
    parts = path.split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        for part in parts[depth:]:
            found = getattr(found, part)
        return _with(found, name, path)
    raise BadOption(f"there is no {effect!r} to watch", hint='name it like "shop.gateway.charge"')


def _with(holder: object, name: str, shown: str) -> tuple[object, str, str]:
    if not callable(getattr(holder, name, None)):
        raise BadOption(f"{shown} has nothing called {name!r} that could be watched")
    return holder, name, f"{shown}.{name}"


def _lines_of(task: Task[..., Any], wanted: Sequence[int | str] | str) -> dict[int, str]:
    """Line numbers in the file of the handler, and what stands there. Raises BadOption (E105) for those it has not."""
    if not wanted:
        return {}
    code = _code_of(task)
    there = {line for _, _, line in code.co_lines() if line is not None and line > code.co_firstlineno}
    source, first = inspect.getsourcelines(code)
    text = {first + offset: line.strip() for offset, line in enumerate(source)}
    if wanted == "every":
        return {line: text.get(line, "") for line in there}
    found: dict[int, str] = {}
    for each in [wanted] if isinstance(wanted, str) else wanted:
        fits = {line for line in there if line == each or (isinstance(each, str) and each in text.get(line, ""))}
        if not fits:
            raise BadOption(f"the handler {task.name!r} has no line {each!r}")
        found |= {line: text.get(line, "") for line in fits}
    return found


def _code_of(task: Task[..., Any]) -> CodeType:
    code: CodeType = inspect.unwrap(getattr(task.fn, "__func__", task.fn)).__code__
    return code


def _tracing(
    task: Task[..., Any], lines: dict[int, str], life: _Life
) -> Callable[[CurrentJob], AbstractContextManager[None]]:
    """Something for `jobs.around`: looks at each line of the handler's first run before it is reached."""
    code = _code_of(task)

    def at_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and frame.f_lineno in lines:
            life.reach_or_die(f"before `{lines[frame.f_lineno]}`")
        return at_line

    def at_call(frame: FrameType, _event: str, _arg: Any) -> Any:
        return at_line if frame.f_code is code else None

    @contextmanager
    def around(job: CurrentJob) -> Iterator[None]:
        if not lines or job.id != life.job_id:
            yield
            return
        before = sys.gettrace()
        sys.settrace(at_call)
        try:
            yield
        finally:
            sys.settrace(before)

    return around
