"""What a test holds in every mode: the app whose jobs stay in an engine of the test's, and what was enqueued there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from jobsworth.app import Jobsworth
from jobsworth.bridge import Bridge
from jobsworth.engine import Engine, Where
from jobsworth.errors import BadOption
from jobsworth.home import Home
from jobsworth.job import Job
from jobsworth.queue import QueueService
from jobsworth.task import Task

from .clock import HandClock, Span, seconds_of
from .wanted import Wanted, bound, told

PATIENCE = 30.0  # seconds of real time until a test is told that something hangs
_NOT_HERE = ("drain", "adrain", "lose", "take_over", "cancel", "observe")


class Translated(Protocol):
    """A task in the words of another library: Celery's."""

    @property
    def jobsworth_task(self) -> Task[..., Any]:
        """The same as a Jobsworth knows it."""
        ...


Declared = Task[..., Any] | QueueService | Translated


class Kit:
    """The app under test and the engine that it was handed. `jobs_fake` is one: it records, and runs nothing.

    app: the Jobsworth.  engine: where its jobs live meanwhile.  clock: what that engine takes for the time.
    advice: what to do where a test waits for a job that does not end.  patience: how long it waits if it says nothing.
    """

    patience: float | None = PATIENCE  # nothing runs by itself
    advice = "nobody runs jobs in jobs_fake: jobs_drain and jobs_inline do"

    def __init__(self, app: Jobsworth, engine: Engine, clock: HandClock) -> None:
        if not engine.blocking:
            raise BadOption(f"the testing kit takes blocking engines, and {engine!r} is none")
        self.app = app
        self.engine = engine
        self.clock = clock
        self.bridge = self._bridge()
        self.bridge.patience, self.bridge.advice = self.patience, self.advice

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app!r}>"

    def _bridge(self) -> Bridge:
        return Bridge(self.engine)

    @contextmanager
    def staying(self) -> Iterator[Self]:
        """Within the block the app's jobs live here. Raises BadOption (E105) if they live in another kit already."""
        __tracebackhide__ = True
        check_mode(self.app)
        with self.app.staying(Home("", self.engine, self.bridge)):
            self.bridge.open()  # the tables are there, also for who enqueues in a transaction
            try:
                yield self
            finally:
                self.bridge.close()

    @property
    def jobs(self) -> list[Job]:
        """Every job that is there, oldest first, whoever enqueued it and however it ended."""
        return self.bridge.call(lambda engine: engine.find(Where(limit=None, newest_first=False)))

    def enqueued(self, task: Declared, *args: Any, **kwargs: Any) -> list[Job]:
        """The jobs of a task with these arguments, or with whichever if none are given; oldest first."""
        of = self._task(task)
        return self._matching(Wanted(of, bound(of, args, kwargs), None, None))

    def assert_enqueued(
        self,
        task: Declared,
        *args: Any,
        queue: str | None = None,
        delay: Span | None = None,
        count: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Fail unless such a job was enqueued, and say what was.

        The arguments are those of `enqueue`; defaults count, and unittest.mock.ANY fits everything. None at all: any.
        queue: on this one.  delay: not before so long (60, "3h", a timedelta).  count: exactly so many.
        Arguments of the handler's own that are named like these are given by position.
        """
        __tracebackhide__ = True
        of = self._task(task)
        wanted = Wanted(of, bound(of, args, kwargs), queue, None if delay is None else seconds_of(delay))
        found = len(self._matching(wanted))
        if found == 0 if count is None else found != count:
            times = "" if count is None else f" {count} times; it was {found} times"
            raise AssertionError(f"{wanted} was not enqueued{times}\n{self._told(wanted)}")

    def refute_enqueued(self, task: Declared, *args: Any, queue: str | None = None, **kwargs: Any) -> None:
        """Fail if such a job was enqueued, and say which."""
        __tracebackhide__ = True
        of = self._task(task)
        wanted = Wanted(of, bound(of, args, kwargs), queue, None)
        if self._matching(wanted):
            raise AssertionError(f"{wanted} was enqueued\n{self._told(wanted)}")

    def _task(self, given: Declared) -> Task[..., Any]:
        """The task meant. Raises BadOption (E105) for one whose jobs do not come here."""
        __tracebackhide__ = True
        of = task_of(given)
        if self.app.tasks.get(of.name) is not of:
            raise BadOption(
                f"task {of.name!r} belongs to another Jobsworth than the one that is tested, and its jobs go elsewhere",
                hint='say which is tested: jobsworth_app = "module:name" in pytest\'s options',
            )
        return of

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            why = f": {self.advice}" if name in _NOT_HERE and type(self) is Kit else ""
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{why}")

    def _matching(self, wanted: Wanted) -> list[Job]:
        return [job for job in self.jobs if job.task == wanted.task.name and not wanted.differences(job)]

    def _told(self, wanted: Wanted) -> str:
        jobs = self.jobs
        mine = [job for job in jobs if job.task == wanted.task.name]
        text = told(wanted, mine, [job for job in jobs if job.task != wanted.task.name])
        waits = self.app.waiting_for()
        return text if waits is None else f"{text}\njobs were enqueued that wait for {waits}"


def check_mode(app: Jobsworth) -> None:
    """Raise BadOption (E105) if its jobs are where another fixture has them."""
    __tracebackhide__ = True
    if not app.may_stay:
        raise BadOption(
            "the app's jobs are in another mode of the testing kit already",
            hint="a test has one of jobs_fake, jobs_inline, jobs_drain and jobs_real; or celery_app, for Celery",
        )


def task_of(given: Declared) -> Task[..., Any]:
    """The task meant. Raises BadOption (E105)."""
    if isinstance(given, QueueService):
        return given.task
    found = given if isinstance(given, Task) else getattr(given, "jobsworth_task", None)
    if not isinstance(found, Task):
        raise BadOption(f"this takes a task or a QueueService, not {given!r}", hint="the function under @jobs.task")
    return found
