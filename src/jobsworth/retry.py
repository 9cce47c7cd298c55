"""Whether and when a failed job is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .errors import BadOption, GiveUp, RetryAfter


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry policy. The default: 5 attempts, exponential backoff with full jitter, capped.

    The wait before attempt n+1 is uniform in [0, min(cap, base * factor**(n-1))] seconds ("full jitter":
    Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015); without jitter it is that bound.

    max_attempts: runs at most, the first included.
    max_crashes:  how often the job may take its process down before it is given up; counted apart from errors.
    retry_on:     exceptions that are tried again.  give_up_on: exceptions that are not, even if in retry_on; with
                  TimedOut among them a run whose time ran out is not.
    """

    max_attempts: int = 5
    base: float = 2.0
    factor: float = 2.0
    cap: float = 600.0
    jitter: bool = True
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()
    max_crashes: int = 3

    def __post_init__(self) -> None:
        for name, least in (("max_attempts", 1), ("max_crashes", 1), ("base", 0), ("factor", 1), ("cap", 0)):
            if not getattr(self, name) >= least:  # put so that NaN is refused too
                raise BadOption(f"Retry({name}=...) must be at least {least}, not {getattr(self, name)!r}")
        for name in ("retry_on", "give_up_on"):
            kinds = getattr(self, name)
            if isinstance(kinds, type):
                object.__setattr__(self, name, (kinds,))
            elif not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
                raise BadOption(f"Retry({name}=...) takes exception classes, not {kinds!r}")

    def __call__(self, *, exc: BaseException | None = None, countdown: float | None = None) -> RetryAfter:
        """What a handler raises to be tried again in `countdown` seconds, or after the backoff when that is None.

        It makes `raise self.retry(exc=..., countdown=...)` work in a QueueService, where `retry` is its policy.
        """
        return RetryAfter(countdown, exc)

    def delay(self, errors: int, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the `errors`-th failure (1 for the first)."""
        # The exponent is bounded so that a long-lived job cannot overflow a float.
        bound = min(self.cap, self.base * self.factor ** min(max(errors - 1, 0), 64))
        return bound * draw() if self.jitter else bound

    def gives_up_on(self, exc: BaseException) -> bool:
        """True when this exception ends the job at once, whatever attempts are left."""
        if isinstance(exc, (GiveUp, *self.give_up_on)):
            return True
        return not isinstance(exc, self.retry_on)


NEVER = Retry(max_attempts=1)
