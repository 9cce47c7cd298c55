"""The clock that a test moves: every moment of the engine under test comes from it."""

from __future__ import annotations

import os
import re
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from jobsworth.clock import ManualClock
from jobsworth.errors import BadOption

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")
_MOMENT = struct.Struct("<d")
Span = float | str | timedelta


class Rider(Protocol):
    """Who goes along when the clock is moved."""

    def next_stop(self) -> float | None:
        """The next moment after now at which there is something to do; None if there is none."""
        ...

    def arrived(self) -> None:
        """The clock has moved."""
        ...


class HandClock(ManualClock):
    """A clock that stands still until a test moves it. It begins at the moment at which it was made.

    now: seconds since the epoch.
    """

    def __init__(self, now: float | None = None) -> None:
        super().__init__(time.time() if now is None else now)
        self._riders: list[Rider] = []
        self._shown: Path | None = None

    def __repr__(self) -> str:
        return f"<HandClock {self.moment.isoformat()}>"

    @property
    def moment(self) -> datetime:
        """The same as an aware datetime (UTC)."""
        return datetime.fromtimestamp(self.now, UTC)

    def advance(self, seconds: Span) -> None:
        """Move on: 90, "3h", "1d 12h", "1.5s" or a timedelta. A negative number sets it back.

        Where jobs run by themselves (jobs_inline) it stops at every moment at which one is due, as real time would.
        """
        target = self.now + seconds_of(seconds)
        while (stop := min(self._stops(), default=target)) < target:
            self._move(stop)
        self._move(target)

    def leap(self, seconds: Span) -> None:
        """Move on without a stop and without anybody running anything, as for a process that was suspended."""
        self._set(self.now + seconds_of(seconds))

    def board(self, rider: Rider) -> None:
        """From now on the rider goes along."""
        self._riders.append(rider)

    def leave(self, rider: Rider) -> None:
        """The rider stays behind."""
        self._riders.remove(rider)

    def show(self, path: Path) -> None:
        """From now on other processes may read the moment there: see ShownClock."""
        self._shown = path
        self._set(self.now)

    def _stops(self) -> list[float]:
        stops = [rider.next_stop() for rider in self._riders]
        return [stop for stop in stops if stop is not None and stop > self.now]

    def _move(self, moment: float) -> None:
        self._set(moment)
        for rider in list(self._riders):
            rider.arrived()

    def _set(self, moment: float) -> None:
        self.now = moment
        if self._shown is not None:
            beside = self._shown.with_suffix(".new")
            beside.write_bytes(_MOMENT.pack(moment))
            os.replace(beside, self._shown)  # noqa: PTH105 (readers see the old moment or the new one, never half of it)


class ShownClock:
    """The same clock as another process sees it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> float:
        (moment,) = _MOMENT.unpack(self._path.read_bytes())
        return float(moment)


def seconds_of(span: Span) -> float:
    """A span in seconds. Raises BadOption (E105)."""
    if isinstance(span, timedelta):
        return span.total_seconds()
    if isinstance(span, str):
        parts = _PART.findall(span)
        if not parts or _PART.sub("", span).strip():
            raise BadOption(f"{span!r} is no span of time", hint='for example "90s", "3h", "1d 12h" or "250ms"')
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return float(span)
