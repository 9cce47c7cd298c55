"""One run of one job, as the worker keeps it: who runs it, when to act on it next, and how to make it stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jobsworth.context import CurrentJob
from jobsworth.errors import Cancelled, LeaseLost, TimedOut
from jobsworth.job import Claim
from jobsworth.lifecycle import Settlement
from jobsworth.outcome import Failed, Outcome, Succeeded
from jobsworth.snapshot import error_line

if TYPE_CHECKING:
    import asyncio

    from jobsworth.runners.process import ChildProcess
    from jobsworth.task import Task

AGAIN = 0.1  # seconds between cancellations of a coroutine that swallows them
Key = tuple[str, int]


def may_take_us_down(claim: Claim, task: Task[..., Any]) -> bool:
    """True if the job's process died under it before and it runs inside this one."""
    return claim.crashes > 0 and task.isolation != "process"


def afterthought(settled: Settlement, outcome: Outcome) -> str | None:
    """In what a handler that completed its job in a transaction then contradicted that; None if in nothing."""
    match outcome:
        case Succeeded(result):
            contradicts = result is not None and result != settled.result
            return "returned something else than transaction(result=...) was given" if contradicts else None
        case Failed(failure):
            return f"failed ({error_line(failure)})"
        case _:
            return f"ended as {type(outcome).__name__.lower()}"


class Run:
    """A run and its escalation: running -> asked to stop -> (after its grace) forced or left behind.

    due: the time.monotonic() moment at which something must be done about it; None while nothing must.
    """

    __slots__ = (
        "aio",
        "asked_at",
        "child",
        "claim",
        "context",
        "due",
        "force_at",
        "grace",
        "key",
        "left_behind",
        "lost",
        "started",
        "stuck",
        "task",
    )

    def __init__(self, claim: Claim, task: Task[..., Any], context: CurrentJob) -> None:
        self.key: Key = (claim.lease.job_id, claim.lease.fence)
        self.claim = claim
        self.task = task
        self.context = context
        self.grace = task.queue.grace
        self.started = False  # the coroutine has taken its first step
        self.stuck = False  # it was told about, once
        self.left_behind: bool | None = None  # ended without its thread; True if another thread got its slot
        self.lost = False  # its lease is another's, and that was told
        self.asked_at: float | None = None
        self.force_at: float | None = None
        self.aio: asyncio.Task[None] | None = None
        self.child: ChildProcess | None = None
        self.due: float | None = None

    def begin(self) -> None:
        """Its time starts to run."""
        timeout = self.claim.timeout if self.claim.timeout is not None else self.task.timeout
        if timeout is not None:
            self.context.deadline = self.due = time.monotonic() + timeout

    @property
    def crashed_before(self) -> bool:
        """True for a job that may take this very process down: it must be the only such one in it."""
        return may_take_us_down(self.claim, self.task)

    def stop(self, why: Cancelled | LeaseLost, grace: float | None = None) -> None:
        """Ask the handler to end. Asking again may shorten the grace; the first reason stays."""
        now = time.monotonic()
        if grace is not None:
            self.grace = grace
        if self.asked_at is None:
            self.asked_at = now
        force_at = self.asked_at + self.grace
        self.force_at = force_at if self.force_at is None else min(self.force_at, force_at)
        self.context.ask_to_stop(why)
        if self.child is not None:
            self.child.tell(self.context.why or why)
        self.nudge(now)

    def nudge(self, now: float) -> None:
        """Cancel the coroutine; again and again if it swallows that. Before its first step it looks by itself."""
        if self.aio is not None and self.started and self.task.isolation == "loop":
            self.aio.cancel()
            self.due = now + AGAIN
        else:
            self.due = self.force_at

    def expire(self) -> None:
        """Its time has run out."""
        timeout = self.claim.timeout if self.claim.timeout is not None else self.task.timeout
        self.stop(TimedOut(f"took longer than {timeout:g} s"))
