"""Following jobs until they end: every change is told, by bars on a terminal, by lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from jobsworth.app import Jobsworth
from jobsworth.engine import Engine, Where
from jobsworth.errors import JobNotFound
from jobsworth.job import FINAL, HELD, PENDING, Job, JobId, State
from jobsworth.log import clean
from jobsworth.logged import Logged
from jobsworth.why import NOBODY

from . import jobs as show
from . import text
from .terminal import is_terminal, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LATEST = 20  # lines of a log that are told of what was logged before anybody looked
PATIENCE = 0.8  # seconds a job may wait before somebody asks why


def follow(
    store: Jobsworth,
    ids: Sequence[JobId],
    changed: Callable[[Job], None],
    timeout: float | None,
    said: Callable[[Job, list[Logged]], None] | None = None,
) -> dict[JobId, Job]:
    """Call `changed` with every version seen, until all have ended or `timeout` seconds are over; the last ones seen.

    said: called with what a job has logged since it was last looked at, before its end is told.
    Raises JobNotFound if one is not there (any more).
    """
    seen: dict[JobId, Job] = {}
    places: dict[JobId, int] = {}  # of the last line seen

    async def listen(engine: Engine, job: Job) -> None:
        first = job.id not in places
        lines = await engine.logs(job.id, places.get(job.id, 0), LATEST if first else None)
        places[job.id] = lines[-1].place if lines else places.get(job.id, 0)
        if lines and said is not None:
            said(job, lines)

    async def look(engine: Engine) -> bool | None:
        open_ones = tuple(each for each in ids if each not in seen or seen[each].state not in FINAL)
        found = {job.id: job for job in await engine.find(Where(ids=open_ones, limit=None))}
        for each in open_ones:
            if each not in found:
                raise JobNotFound(f"job {each} is not there any more", hint="was it deleted meanwhile?")
            is_news = each not in seen or seen[each].version != found[each].version
            if said is not None and (is_news or found[each].state in HELD):
                await listen(engine, found[each])
            if is_news:
                seen[each] = found[each]
                changed(found[each])
        return True if all(job.state in FINAL for job in seen.values()) else None

    store.bridge.wait(look, timeout)
    return seen


def why_waiting(store: Jobsworth, job: Job, how_to_start: str) -> str | None:
    """Why a waiting job may wait for long: nobody would take it."""
    for finding in store.handle(job.id).why(start=how_to_start).findings:
        if finding.word in NOBODY:
            return clean(f"{finding.text}; {finding.do}", 1000)
    return None


class Display(Protocol):
    """Where followed jobs are shown."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    def show(self, job: Job) -> None:
        """The newest of a job."""
        ...

    def note(self, line: str) -> None:
        """Something to tell besides."""
        ...


def display(*, one: bool = False) -> Display:
    """Bars if a person watches stderr on a terminal, else lines. `one`: a single job, whose bar goes when it ends."""
    return Bars(goes=one) if is_terminal(sys.stderr) else Lines(one=one)


class Lines:
    """A line for every change worth one; not for every percent."""

    EVERY = 2.0  # seconds between lines about the progress of one job

    def __init__(self, *, one: bool = False) -> None:
        self._one = one  # whoever started a single job knows that it is queued
        self._said: dict[JobId, tuple[State, int, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        return None

    def show(self, job: Job) -> None:
        state, attempt, at = self._said.get(job.id, (None, 0, 0.0))
        now = time.monotonic()
        if (state, attempt) == (job.state, job.attempt) and now - at < self.EVERY:
            return
        if self._one and job.state in PENDING:
            return
        self._said[job.id] = (job.state, job.attempt, now)
        say(show.line(job))

    def note(self, line: str) -> None:
        say(line)


class Bars:
    """One live bar per job, by rich."""

    def __init__(self, *, goes: bool) -> None:
        self._goes = goes
        self._rows: dict[JobId, TaskID] = {}
        self._progress: Progress = _progress(goes)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, job: Job) -> None:
        sign, colour = show.SIGNS[job.state]
        note = job.progress
        done = text.percent(note.current, note.total, note.percent) if note else None
        if job.state is State.COMPLETED:
            done = 100.0
        fields: dict[str, Any] = {"sign": sign, "colour": colour, "said": _said(job)}
        if job.id not in self._rows:
            name = clean(job.label or job.task, 40)
            self._rows[job.id] = self._progress.add_task(name, total=None, id=job.id, **fields)
        row = self._rows[job.id]
        # Without a known end the bar moves to and fro; a job that waits has an empty one.
        total = None if done is None and job.state is State.RUNNING else 100.0
        self._progress.update(row, total=total, completed=done or 0.0, **fields)
        if job.state in FINAL:
            self._progress.stop_task(row)

    def note(self, line: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text.from_ansi(line), soft_wrap=True)


def _said(job: Job) -> str:
    if job.state is State.COMPLETED:
        return "done"
    if job.state in PENDING and job.attempt:
        return f"{job.state.value}, attempt {job.attempt} of {job.max_attempts} ended"
    return show.what(job, 60) or job.state.value


def _progress(goes: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeElapsedColumn
    from rich.table import Column
    from rich.text import Text

    class Words(ProgressColumn):
        """Text from data, never read as markup."""

        def __init__(self, field: str, **column: Any) -> None:
            super().__init__(table_column=Column(no_wrap=True, overflow="ellipsis", **column))
            self._field = field

        def render(self, task: Task) -> Text:
            if self._field == "name":
                return Text.assemble((f"{task.fields['sign']} ", task.fields["colour"]), task.description)
            return Text(str(task.fields[self._field]))

    return Progress(
        Words("name", max_width=42), Words("id", max_width=28), BarColumn(bar_width=24), Words("said", ratio=1),
        TimeElapsedColumn(), console=Console(stderr=True), transient=goes, refresh_per_second=10,
    )  # fmt: skip
