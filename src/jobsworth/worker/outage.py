"""An outage of the engine, as one worker knows it: since when, and how long until the next try."""

from __future__ import annotations

import random

BACKOFF = (0.1, 1.5)  # seconds between tries: first, longest. To connect may take 3 s besides
ALL_BACK = 5.0  # seconds after an outage within which every living worker has been heard again


class Outage:
    """Moments are the office's loop's."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._tries = 0

    def __bool__(self) -> bool:
        return self._since is not None

    def lasted(self, now: float) -> float:
        """Seconds so far; 0 without an outage."""
        return 0.0 if self._since is None else now - self._since

    def failed(self, now: float) -> float:
        """The engine has failed, perhaps again: seconds to wait, a little longer each time, with jitter."""
        if self._since is None:
            self._since = now
        first, longest = BACKOFF
        self._tries += 1
        return float(min(longest, first * 2 ** min(self._tries, 16)) * random.uniform(0.5, 1.0))  # noqa: S311

    def end(self) -> None:
        """The engine is back."""
        self._since, self._tries = None, 0
