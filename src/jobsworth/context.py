"""What a handler can see and say. Does no I/O, so it has no colour: the same calls work in a coroutine, a thread
and a child process. What is said is a note in memory; the worker carries it with its next pulse.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol

from .codec import decode, encode
from .errors import BadOption, Cancelled, LeaseLost, NoCurrentJob, NoTransaction, RetryAfter
from .job import Claim, Lease, LogLine, Progress, storable
from .journal import OFF, Journal, journal_of
from .lifecycle import Settlement


class JobTransaction(Protocol):
    """What `transaction()` gives: for `with` in a thread and `async with` in a coroutine. Swallows no exception."""

    def __enter__(self) -> Any: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...


_log = logging.getLogger("jobsworth.job")
Begin = Callable[["CurrentJob", Any], JobTransaction]
Around = Callable[["CurrentJob"], AbstractContextManager[Any]]
_current: ContextVar[CurrentJob | None] = ContextVar("jobsworth_current_job", default=None)


class CurrentJob:
    """The job being run: what it is, and what its handler may say.

    deadline: the time.monotonic() moment at which this attempt's time runs out; None without a timeout.
    fence:    a number that only grows from attempt to attempt; pass it to other systems so that they can refuse a
              worker that was paused and woke up too late.
    """

    __slots__ = (
        "_begin", "_news", "_why", "began", "claim", "deadline", "in_transaction", "journal", "log_level", "note",
        "settled", "settling", "told",
    )  # fmt: skip

    def __init__(
        self,
        claim: Claim,
        news: Callable[[], None] | None = None,
        begin: Begin | None = None,
        began: float = 0.0,
        log_level: int = OFF,
    ) -> None:
        self.claim = claim
        self.began = began  # the time.monotonic() moment at which the attempt did
        self.log_level = log_level  # records below it are not kept
        self.journal: Journal | None = None  # what it has logged; made at the first line
        self._news = news
        self._begin = begin
        self.in_transaction = False
        self.settling: Settlement | None = None  # what its transaction writes, or has written
        self.settled: Settlement | None = None  # ... once that is committed
        self._why: Cancelled | LeaseLost | None = None
        self.deadline: float | None = None
        self.note: Progress | None = None  # the newest progress
        self.told = True  # False while `note` has not travelled yet

    @property
    def id(self) -> str:
        return self.claim.lease.job_id

    @property
    def fence(self) -> int:
        return self.claim.lease.fence

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this job, different for every other: for APIs that take such a key.

        It is the job's id and not its `key`, which another job may use once this one has ended.
        """
        return self.claim.lease.job_id

    @property
    def queue(self) -> str:
        return self.claim.queue

    @property
    def task(self) -> str:
        return self.claim.task

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.claim.attempt

    @property
    def max_attempts(self) -> int:
        return self.claim.max_attempts

    @property
    def key(self) -> str | None:
        return self.claim.key

    @property
    def owner(self) -> str | None:
        return self.claim.owner

    @property
    def label(self) -> str | None:
        return self.claim.label

    @property
    def tags(self) -> tuple[str, ...]:
        return self.claim.tags

    @property
    def meta(self) -> Mapping[str, Any]:
        return decode(self.claim.meta) if self.claim.meta else {}

    @property
    def cancel_requested(self) -> bool:
        """True once the handler should stop, for whatever reason."""
        return self._why is not None

    def report_progress(
        self,
        current: float | None = None,
        total: float | None = None,
        percent: float | None = None,
        message: str | None = None,
        result: Any = None,
    ) -> None:
        """Say how far the work has come. Cheap: call it as often as you like, the newest note travels.

        percent (0 to 100) follows from current and total when it is not given. result: what is there of the result so
        far; it is shown until the run ends, and what the handler returns takes its place. Raises BadOption for numbers
        that make no sense (not finite, negative, no numbers), ValueRefused for a result that cannot travel.
        """
        current, total, percent = _number("current", current), _number("total", total), _number("percent", percent)
        if current is not None and total is not None and current > total:
            current = total
        if percent is None and current is not None and total:
            percent = round(100 * current / total, 2)
        if percent is not None:
            percent = min(percent, 100.0)
        before = self.note
        if message is not None:
            message = storable(message)
        elif before is not None:
            message = before.message
        if result is not None:
            result = encode(result, what="the result so far").decode()
        elif before is not None:
            result = before.result
        self.note = Progress(current, total, percent, message, result)
        self.told = False
        if self._news is not None:
            self._news()

    def check_cancelled(self) -> None:
        """Raise Cancelled (or TimedOut, Interrupted, LeaseLost) if this run should stop; do nothing otherwise."""
        if self._why is not None:
            raise self._why

    def transaction(self, *, result: Any = None) -> JobTransaction:
        """`with job.transaction() as conn:` your writes and the job's completion commit together, or neither does.

        In a coroutine: `async with job.transaction() as conn:`.

        conn: a psycopg.Connection, with `async with` a psycopg.AsyncConnection, or a sqlite3.Connection on the jobs'
        database, its transaction open. It commits when the block ends and rolls back on any exception; never commit
        inside. Be quick: in SQLite the block holds the file's write lock.
        result: what the job's result is; what the handler returns afterwards cannot change it.

        Raises LeaseLost (E305) at the block's end, with everything rolled back, when another attempt has the lease or
        the job has ended otherwise. Before the block begins: what check_cancelled() raises, and NoTransaction (E113)
        where there can be none (another engine, `with` in a coroutine, a second one in one run). A coroutine that is
        cancelled inside the block rolls back; once the block's end is reached, and in a thread from its beginning, a
        cancellation comes too late: the job is completed.
        """
        if self._begin is None:
            raise NoTransaction("this call is not run by a worker, so there is no job to complete")
        return self._begin(self, result)

    def log(self, message: str, *args: object, level: int = logging.INFO) -> None:
        """Write a line to the logger `jobsworth.job`, with job_id, queue, task and attempt as extra fields.

        It is kept with the job (see the queue's log_level) also where that logger lets nothing of this level through.
        """
        extra = {"job_id": self.id, "queue": self.queue, "task": self.task, "attempt": self.attempt}
        _log.log(level, message, *args, extra=extra)
        if level >= self.log_level:
            self.note_line(logging.LogRecord(_log.name, level, "", 0, message, args, None))

    def retry(self, *, exc: BaseException | None = None, countdown: float | None = None) -> RetryAfter:
        """What to raise to be tried again in `countdown` seconds (else after the queue's backoff)."""
        return RetryAfter(countdown, exc)

    @property
    def why(self) -> Cancelled | LeaseLost | None:
        """Why the run should stop; None while it should not."""
        return self._why

    def untold(self) -> Progress | None:
        """The newest progress if it has not travelled yet; from now on it counts as told."""
        if self.told:
            return None
        self.told = True  # before reading: a note made meanwhile is told again rather than never
        return self.note

    def untell(self, note: Progress) -> None:
        """The note could not be delivered: it counts as untold again, unless a newer one was made meanwhile."""
        if self.note is note:
            self.told = False

    def note_line(self, record: logging.LogRecord) -> None:
        """Called for what is logged in this run, from any thread: the line belongs to the job."""
        journal_of(self).note(record)
        if self._news is not None:
            self._news()

    def relay(self, lines: tuple[LogLine, ...]) -> None:
        """Called with what the run has logged in its child process."""
        if lines:
            journal_of(self).relay(lines)
            if self._news is not None:
                self._news()

    def untold_lines(self) -> tuple[LogLine, ...]:
        """The lines that have not travelled yet; from now on they count as told."""
        return () if self.journal is None else self.journal.untold()

    def ask_to_stop(self, why: Cancelled | LeaseLost) -> None:
        """Called by the worker: from now on check_cancelled() raises `why`. The first reason stays."""
        if self._why is None:
            self._why = why


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise BadOption(f"report_progress({name}=...) must be a finite number of at least 0, not {value!r}")
    return number


def current_job() -> CurrentJob:
    """The job being run by this coroutine, thread or process. Raises NoCurrentJob (E306) outside a handler."""
    job = _current.get()
    if job is None:
        raise NoCurrentJob(
            "there is no current job here",
            hint="current_job() works inside a handler; threads that a handler starts need contextvars.copy_context()",
        )
    return job


def running_job() -> CurrentJob | None:
    """The current job, or None where there is none: for what may be said outside a handler too."""
    return _current.get()


@contextmanager
def called_directly(queue: str, task: str, max_attempts: int) -> Iterator[CurrentJob]:
    """A job that is nobody's, for a task called like a plain function: what is said goes nowhere, nobody cancels it."""
    claim = Claim(
        lease=Lease("direct-call", 0), queue=queue, task=task, args=b"", attempt=1, errors=0, crashes=0,
        max_attempts=max_attempts,
    )  # fmt: skip
    job = CurrentJob(claim)
    token = _current.set(job)
    try:
        yield job
    finally:
        _current.reset(token)


def enter(job: CurrentJob) -> None:
    """Make `job` the current one in this context."""
    _current.set(job)


def leave() -> None:
    """Forget the current job; for threads, whose context outlives the job."""
    _current.set(None)
