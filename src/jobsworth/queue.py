"""Queues as a person declares them: a name, a bounded number of slots, and defaults for their jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from .context import CurrentJob, current_job, running_job
from .errors import BadOption, UnknownQueue
from .job import Job, NewJob
from .journal import is_level
from .naming import checked
from .retry import Retry

if TYPE_CHECKING:
    from .handle import JobHandle
    from .task import OptionsGiven, Task, TaskWithOptions

Isolation = Literal["loop", "thread", "process"]
ISOLATIONS = ("loop", "thread", "process")
LEVEL = 'the name or the number of a logging level, "OFF" or None'
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Keep:
    """How long finished jobs are kept: at most `count` of them and at most `age` seconds. None means no limit."""

    count: int | None = None
    age: float | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 0:
            raise BadOption(f"Keep(count=...) must be at least 0, not {self.count}")
        if self.age is not None and self.age < 0:
            raise BadOption(f"Keep(age=...) must be at least 0 seconds, not {self.age}")


class Queue:
    """A queue. Set options as class attributes, as constructor arguments, or both (arguments win).

    name:         what it is called, everywhere.
    worker_count: how many of its jobs run at once in each worker process.
    retry:        when a failed job is tried again (see Retry).
    timeout:      seconds an attempt may take; None for no limit.
    grace:        seconds between asking a run to stop and using force (where there is any).
    isolation:    "thread" (the default for `def`), "loop" (for `async def`) or "process".
    max_size:     waiting jobs it takes; beyond that enqueue raises QueueFull. None for no limit.
    keep:         how long completed and cancelled jobs are kept; a number means seconds.
    keep_failed:  the same for dead letters; None keeps them until a person acts.
    dead_letter:  name of a queue that receives a new job for every job given up here.
    log_level:    what handlers log from this level on is kept with the job; None for nothing.
    """

    name: str = ""
    worker_count: int = 4
    retry: Retry = Retry()
    timeout: float | None = None
    grace: float = 10.0
    isolation: Isolation | None = None
    max_size: int | None = None
    keep: Keep | float = Keep(age=7 * _DAY)
    keep_failed: Keep | float | None = None
    dead_letter: str | None = None
    log_level: str | int | None = "INFO"

    _OPTIONS: ClassVar[tuple[str, ...]] = (
        "name", "worker_count", "retry", "timeout", "grace", "isolation", "max_size", "keep", "keep_failed",
        "dead_letter", "log_level", "on_exhausted",
    )  # fmt: skip

    def __init__(self, name: str | None = None, **options: Any) -> None:
        if name is not None:
            options["name"] = name
        for option, value in options.items():
            if option not in self._OPTIONS:
                known = ", ".join(self._OPTIONS)
                raise BadOption(f"{type(self).__name__}() has no option {option!r}", hint=f"it has: {known}")
            setattr(self, option, value)
        if self.name:
            self.check()

    def check(self) -> None:
        """Raise BadName or BadOption if the declaration makes no sense."""
        checked(self.name, "queue name")
        # A person may have written anything: what the annotations promise is made true here.
        given: dict[str, Any] = {option: getattr(self, option) for option in self._OPTIONS}
        for option, wanted, fits in _WANTED:
            if not fits(given[option]):
                raise BadOption(f"queue {self.name!r}: {option} must be {wanted}, not {given[option]!r}")
        if isinstance(given["retry"], int):
            self.retry = Retry(max_attempts=given["retry"])
        for option in ("keep", "keep_failed"):
            if isinstance(given[option], (int, float)):
                setattr(self, option, Keep(age=float(given[option])))
        if self.dead_letter is not None:
            checked(self.dead_letter, "dead_letter queue name")
            if self.dead_letter == self.name:
                raise BadOption(f"queue {self.name!r}: dead_letter must be another queue")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {self.worker_count} slots>"

    def on_exhausted(self, job: Job, error: str) -> None:
        """Called once when one of the queue's jobs is given up, after that is stored. `error` is "Type: message"."""


class QueueService(Queue):
    """A queue with one task: its own `handle_item`.

    Inside it `self.job`, `self.report_progress`, `self.check_cancelled` and `self.log` speak of the job being run, in
    whichever slot, and `raise self.retry(...)` tries it again. One instance serves all slots, so keep nothing about a
    job on `self`.
    """

    _task: Task[..., Any] | None = None

    def handle_item(self, item: Any) -> Any:
        """Do the work. `def` runs in a thread, `async def` in the loop."""
        raise NotImplementedError(f"{type(self).__name__} must define handle_item(self, item)")

    def bind(self, task: Task[..., Any]) -> None:
        """Called by Jobsworth.add()."""
        self._task = task

    @property
    def task(self) -> Task[..., Any]:
        """The task behind handle_item. Raises UnknownQueue before the queue was added to a Jobsworth."""
        if self._task is None:
            raise UnknownQueue(
                f"queue {self.name!r} belongs to no Jobsworth yet", hint="call jobs.add(queue) before using it"
            )
        return self._task

    # What a program says to the queue.
    def enqueue(self, item: Any) -> JobHandle[Any]:
        """Store a job; returns when it is durable. Raises ValueRefused, QueueFull or an EngineError."""
        return self.task.enqueue(item)

    async def aenqueue(self, item: Any) -> JobHandle[Any]:
        """The async twin of enqueue."""
        return await self.task.aenqueue(item)

    def enqueue_many(self, items: Sequence[Any]) -> list[JobHandle[Any]]:
        """Store many jobs in one transaction: all of them or none."""
        return self.task.enqueue_many([(item,) for item in items])

    async def aenqueue_many(self, items: Sequence[Any]) -> list[JobHandle[Any]]:
        """The async twin of enqueue_many."""
        return await self.task.aenqueue_many([(item,) for item in items])

    def new_job(self, item: Any) -> NewJob:
        """The job as a value, not stored; for jobs.enqueue_many()."""
        return self.task.new_job(item)

    def options(self, **options: Unpack[OptionsGiven]) -> TaskWithOptions[..., Any]:
        """The queue with options for the next enqueue: see Options."""
        return self.task.options(**options)

    # What a handler says about its job.
    @property
    def job(self) -> CurrentJob:
        """The job being run. Raises NoCurrentJob outside handle_item."""
        return current_job()

    def report_progress(
        self,
        current: float | None = None,
        total: float | None = None,
        percent: float | None = None,
        message: str | None = None,
        result: Any = None,
    ) -> None:
        """See CurrentJob.report_progress. Says nothing to nobody when handle_item is called directly."""
        job = running_job()
        if job is not None:
            job.report_progress(current, total, percent, message, result)

    def check_cancelled(self) -> None:
        """See CurrentJob.check_cancelled. Nobody cancels a direct call."""
        job = running_job()
        if job is not None:
            job.check_cancelled()

    def log(self, message: str, *args: object) -> None:
        """See CurrentJob.log. Silent when handle_item is called directly."""
        job = running_job()
        if job is not None:
            job.log(message, *args)


def _integer(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_WANTED: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("worker_count", "an integer of at least 1", _integer(1)),
    ("retry", "a Retry, or a number of attempts", lambda value: isinstance(value, Retry) or _integer(1)(value)),
    ("timeout", "a number of seconds above 0, or None", _or_none(lambda value: _seconds(value) and value > 0)),
    ("grace", "a number of seconds of at least 0", _seconds),
    ("isolation", "one of loop, thread, process", _or_none(lambda value: value in ISOLATIONS)),
    ("max_size", "an integer of at least 0, or None", _or_none(_integer(0))),
    ("keep", "a Keep, or a number of seconds", lambda value: isinstance(value, Keep) or _seconds(value)),
    ("keep_failed", "a Keep, a number of seconds, or None",
     _or_none(lambda value: isinstance(value, Keep) or _seconds(value))),
    ("log_level", LEVEL, is_level),
)  # fmt: skip
