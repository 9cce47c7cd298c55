"""The job state machine, whole.

Rule 1: what may follow what is decided here and nowhere else. Engines apply it atomically and know nothing of it.
Rule 2: nothing here knows a clock or a store. Waits are delays in seconds.

The holder of a lease ends its run with settle(); an operator changes a job with one of MOVES. Rescue is no special
case: upkeep takes over an expired lease and settles Lost() like any other ending.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

import msgspec

from .errors import MoveRefused, TimedOut
from .job import FINAL, HELD, Claim, Failure, Job, Lease, LogLine, NewJob, Progress, State
from .outcome import Failed, Lost, Outcome, Released, Snoozed, Stopped, Succeeded
from .retry import Retry

_COMPLETED, _FAILED = State.COMPLETED, State.FAILED  # an enum's members take their time to be looked up


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What an engine writes when a run ends. Pure data: the deciding is already done.

    if_cancelling: where the job goes instead when somebody asked it to stop meanwhile.
    outcome:       the attempt's word in the history: succeeded, failed, timed_out, snoozed, cancelled, released, lost…
    refund:        the attempt is not counted (its number is used again).
    forward:       a new job to store in the same transaction if the target is reached (the dead letter's delivery).
    lines:         what the run has logged and no pulse has carried: see Pulse.
    """

    lease: Lease
    target: State
    outcome: str
    if_cancelling: State
    delay: float = 0.0
    refund: bool = False
    errors: int = 0
    crashes: int = 0
    result: bytes | None = None
    failure: Failure | None = None
    progress: Progress | None = None
    forward: NewJob | None = None
    lines: tuple[LogLine, ...] = ()


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's change: from each of these states to that one. A job in any other state is left alone.

    renews: attempts, errors and crashes start from nothing again (the history is kept, attempt numbers go on).
    args:   new arguments, for a dead letter that is edited before it is tried again.
    """

    name: str
    to: Mapping[State, State]
    renews: bool = False
    reason: str | None = None
    grace: float | None = None
    delay: float = 0.0
    args: bytes | None = None


CANCEL = Move(
    name="cancel",
    to={
        State.SCHEDULED: State.CANCELLED,
        State.QUEUED: State.CANCELLED,
        State.RUNNING: State.CANCELLING,
        State.CANCELLING: State.CANCELLING,  # asked again: a shorter grace, another reason
    },
)
REDRIVE = Move(
    name="redrive",
    to=dict.fromkeys((State.FAILED, State.CANCELLED, State.COMPLETED), State.QUEUED),
    renews=True,
)
RUN_NOW = Move(name="run_now", to={State.SCHEDULED: State.QUEUED})
MOVES = (CANCEL, REDRIVE, RUN_NOW)


def settle(claim: Claim, outcome: Outcome, retry: Retry, draw: Callable[[], float] = random.random) -> Settlement:
    """Decide what follows the end of a run.

    `retry` gives backoff and max_crashes; the number of attempts allowed is the job's own (`claim.max_attempts`).
    `draw` gives the jitter, uniform in [0, 1).
    """
    lease = claim.lease
    match outcome:
        case Succeeded():
            # Most runs end so: by position, which is the quickest way to make one.
            done = _COMPLETED
            result, progress = outcome.result, outcome.progress
            return Settlement(lease, done, "succeeded", done, 0.0, False, 0, 0, result, None, progress)
        case Failed():
            return _after_failure(claim, outcome, retry, draw)
        case Snoozed(delay, progress):
            return Settlement(lease, State.SCHEDULED, "snoozed", State.CANCELLED, delay, True, progress=progress)
        case Stopped(reason, expired, progress):
            why = Failure("Expired", "it was not started in time", "expired") if expired else None
            why = why or cancelled(reason)
            word = "expired" if expired else "cancelled"
            return Settlement(
                lease, State.CANCELLED, word, State.CANCELLED, refund=expired, failure=why, progress=progress
            )
        case Released(delay, progress):
            target = State.SCHEDULED if delay > 0 else State.QUEUED
            return Settlement(lease, target, "released", State.CANCELLED, delay, True, progress=progress)
        case Lost(detail, progress):
            return _after_crash(claim, detail, progress, retry, draw)
        case _:
            assert_never(outcome)


def _after_failure(claim: Claim, outcome: Failed, retry: Retry, draw: Callable[[], float]) -> Settlement:
    failure, errors = outcome.failure, claim.errors + 1
    timed_out = failure.reason == "timeout"
    word = "timed_out" if timed_out else "failed"
    final = outcome.final or (timed_out and TimedOut in retry.give_up_on)
    allowed = claim.max_attempts if outcome.max_attempts is None else outcome.max_attempts
    if final or errors >= allowed:
        if not final:
            failure = msgspec.structs.replace(failure, reason="exhausted")
        return Settlement(
            claim.lease, State.FAILED, word if outcome.charged else failure.reason, State.FAILED,
            refund=not outcome.charged, errors=int(outcome.charged), failure=failure, progress=outcome.progress,
        )  # fmt: skip
    delay = outcome.delay if outcome.delay is not None else retry.delay(errors, draw)
    return Settlement(
        claim.lease, State.SCHEDULED, word, State.CANCELLED, delay,
        errors=1, failure=failure, progress=outcome.progress,
    )  # fmt: skip


def _after_crash(
    claim: Claim, detail: str, progress: Progress | None, retry: Retry, draw: Callable[[], float]
) -> Settlement:
    """A crash is charged to `crashes`, never to the attempts. The first is tried again at once, later ones back off.

    Worker processes run at most one once-crashed job at a time (see Want.crashed), so a poison job's neighbours are
    marked once at most and the poison alone runs out of crashes.
    """
    crashes = claim.crashes + 1
    if crashes >= retry.max_crashes:
        why = Failure("WorkerLost", f"its process died {crashes} times while running it; {detail}", "crashed")
        return Settlement(claim.lease, State.FAILED, "lost", State.FAILED, crashes=1, failure=why, progress=progress)
    delay = 0.0 if crashes == 1 else retry.delay(crashes - 1, draw)
    target = State.SCHEDULED if delay > 0 else State.QUEUED
    why = Failure("WorkerLost", detail, "crashed")
    return Settlement(claim.lease, target, "lost", State.CANCELLED, delay, crashes=1, failure=why, progress=progress)


def refuse_held(jobs: Iterable[Job]) -> None:
    """Raise MoveRefused (E307) if a worker holds one of them: only there can its run end."""
    for job in jobs:
        if job.state in HELD:
            raise MoveRefused(f"job {job.id} is {job.state.value}: a worker holds it", hint="move it when it has ended")


def cancelled(reason: str | None) -> Failure:
    """What a job shows that was stopped because somebody asked."""
    return Failure("Cancelled", reason or "cancelled", "cancelled")


def gives_up(settlement: Settlement) -> bool:
    """True when this ending makes the job a dead letter."""
    return settlement.target is _FAILED


def transitions() -> dict[State, dict[str, State]]:
    """Every state and what can follow it, by what. The docs' diagram is made from this."""
    table: dict[State, dict[str, State]] = {state: {} for state in State}
    table[State.SCHEDULED]["due"] = State.QUEUED
    table[State.QUEUED]["claim"] = State.RUNNING
    for move in MOVES:
        for source, target in move.to.items():
            table[source][move.name] = target
    for word, target in _ENDINGS.items():
        table[State.RUNNING][word] = target
        table[State.CANCELLING][word] = target if target in FINAL else State.CANCELLED
    return table


_ENDINGS = {
    "succeeded": State.COMPLETED,
    "retry": State.SCHEDULED,
    "snoozed": State.SCHEDULED,
    "released": State.QUEUED,
    "cancelled": State.CANCELLED,
    "given up": State.FAILED,
}
