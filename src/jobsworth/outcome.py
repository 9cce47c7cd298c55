"""How a run can end. What follows from each is decided in lifecycle.py, nowhere else."""

from __future__ import annotations

import msgspec

from .job import Failure, Progress


class Succeeded(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The handler returned; `result` is its encoded value."""

    result: bytes | None
    progress: Progress | None = None


class Failed(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The handler raised, or ran out of time.

    `final` means no further attempt whatever the budget; `delay` (seconds) overrides the backoff;
    `charged` is False when the job never reached the user's code (arguments that no longer fit);
    `max_attempts` counts instead of the job's own.
    """

    failure: Failure
    final: bool = False
    delay: float | None = None
    charged: bool = True
    progress: Progress | None = None
    max_attempts: int | None = None


class Snoozed(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The handler asked to be called again in `delay` seconds. No attempt is used."""

    delay: float
    progress: Progress | None = None


class Stopped(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The run ended because somebody asked, or because its time to start had passed (`expired`)."""

    reason: str | None = None
    expired: bool = False
    progress: Progress | None = None


class Released(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The worker hands the job back (shutdown). It costs the job nothing."""

    delay: float = 0.0
    progress: Progress | None = None


class Lost(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The process that ran it is gone: no heartbeat, or a child that died. A crash, not an error."""

    detail: str = "the worker stopped sending heartbeats"
    progress: Progress | None = None


Outcome = Succeeded | Failed | Snoozed | Stopped | Released | Lost
