"""Engines' sense of time. Nothing above an engine reads it; tests hand in a ManualClock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the moment, in seconds since the epoch."""

    def __call__(self) -> float: ...


system_clock: Clock = time.time


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`; negative values are a test of clocks that jump back."""
        self.now += seconds
