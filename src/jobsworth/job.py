"""What a job is. Values only: nothing here does I/O, reads a clock or starts a thread.

Moments are seconds since the epoch, stamped by the engine. Everything above an engine speaks in delays.
`gc=False`: a value of this kind can be in no cycle, so the garbage collector need not look at the thousands of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

JobId = str
WorkerId = str


class State(StrEnum):
    """Where a job stands. The first four are live, the last three final."""

    SCHEDULED = "scheduled"  # not before `run_at`: delayed, snoozed, or waiting for its next attempt
    QUEUED = "queued"  # next in line
    RUNNING = "running"  # leased to a worker
    CANCELLING = "cancelling"  # leased, and asked to stop
    COMPLETED = "completed"  # the handler returned
    FAILED = "failed"  # given up: a dead letter, kept for a person
    CANCELLED = "cancelled"  # stopped on request, or expired before it could start


FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})
LIVE = frozenset(State) - FINAL
HELD = frozenset({State.RUNNING, State.CANCELLING})  # a worker holds the lease
PENDING = frozenset({State.SCHEDULED, State.QUEUED})  # waiting for a worker


def storable(text: object) -> str:
    """`text` as text that every store and wire can carry: lone surrogates (from odd file names) become escapes."""
    plain = text if isinstance(text, str) else str(text)
    return plain if plain.isascii() else plain.encode("utf-8", "backslashreplace").decode()


class Progress(msgspec.Struct, frozen=True, gc=False):
    """How far a run has come. `percent` is 0 to 100; any part may be unknown. `result`: what is there of it (JSON)."""

    current: float | None = None
    total: float | None = None
    percent: float | None = None
    message: str | None = None
    result: str | None = None


class LogLine(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One line that was logged inside a handler.

    number: its place among the lines of its attempt, from 1.
    at:     seconds after the attempt began, by its worker's monotonic clock.
    level:  the level's name ("INFO").
    """

    number: int
    at: float
    level: str
    logger: str
    message: str


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why an attempt, or a whole job, did not succeed. Text only: nothing is ever re-instantiated from it.

    `reason` is one of: error, timeout, gave_up, exhausted, crashed, incompatible, expired, cancelled, pushed.
    """

    type: str
    message: str
    reason: str = "error"
    traceback: str | None = None

    def __post_init__(self) -> None:
        # What failed may say anything about itself; that it failed must be written down all the same.
        for part in ("type", "message", "traceback"):
            text = getattr(self, part)
            if text is not None and not (type(text) is str and text.isascii()):
                msgspec.structs.force_setattr(self, part, storable(text))


class Attempt(msgspec.Struct, frozen=True):
    """One run of one job. `outcome` is None while it runs; `error` keeps its traceback."""

    number: int
    worker: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    outcome: str | None = None
    error: Failure | None = None


class NewJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A wish. Building one does no I/O; waits are delays in seconds, `run_at` a moment the user named.

    `max_size` is the room its queue has for waiting jobs; None means no limit.
    """

    id: JobId
    queue: str
    task: str
    args: bytes
    max_attempts: int
    delay: float = 0.0
    run_at: float | None = None
    priority: int = 0
    key: str | None = None
    owner: str | None = None
    label: str | None = None
    tags: tuple[str, ...] = ()
    meta: bytes | None = None
    timeout: float | None = None
    expires: float | None = None
    expires_at: float | None = None
    max_size: int | None = None
    failure: Failure | None = None  # set only for a dead letter pushed by hand: it is born FAILED


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A fact: what the store knows of one job, all attempts included."""

    id: JobId
    queue: str
    task: str
    state: State
    args: bytes
    priority: int = 0
    attempt: int = 0
    errors: int = 0
    crashes: int = 0
    max_attempts: int = 1
    key: str | None = None
    owner: str | None = None
    label: str | None = None
    tags: tuple[str, ...] = ()
    meta: bytes | None = None
    timeout: float | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    run_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    worker: WorkerId | None = None
    progress: Progress | None = None
    result: bytes | None = None
    failure: Failure | None = None
    cancel_reason: str | None = None
    cancel_requested: bool = False
    version: int = 0
    attempts: tuple[Attempt, ...] = ()


class Lease(msgspec.Struct, frozen=True, gc=False):
    """The right to end one attempt. `fence` only grows; `row` is the engine's own shortcut, opaque to everyone else."""

    job_id: JobId
    fence: int
    row: Any = None


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job handed to a worker, with the lease that lets it write. Narrow on purpose: this is the hot path."""

    lease: Lease
    queue: str
    task: str
    args: bytes
    attempt: int
    errors: int
    crashes: int
    max_attempts: int
    priority: int = 0
    key: str | None = None
    owner: str | None = None
    label: str | None = None
    tags: tuple[str, ...] = ()
    meta: bytes | None = None
    timeout: float | None = None
    worker: WorkerId | None = None  # for a reclaimed job: who lost it
    expired: bool = False  # its time to start has passed: settle it, never run it
    corrupt: str | None = None  # what is wrong with the stored row; settle it, never run it
    cancelling: bool = False
    cancel_reason: str | None = None


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The engine's word that a wish is stored. `created` is False when an id or a key was already there."""

    id: JobId
    created: bool = True


class CancelRequest(msgspec.Struct, frozen=True, gc=False):
    """What a running job is told when somebody asks it to stop. `grace` is seconds until force may be used."""

    job_id: JobId
    reason: str | None = None
    grace: float | None = None


def unique_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags once each, in the order given."""
    return tuple(dict.fromkeys(tags))
