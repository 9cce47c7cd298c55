"""Rings everybody who listens. A ring says only "something may have changed"; it carries nothing and may be lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

Ring = Callable[[], None]


class Bell:
    """A set of listeners; safe from any thread. Listeners must return at once and must not raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[Ring, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def listen(self, ring: Ring) -> Callable[[], None]:
        """Add a listener; returns how to remove it."""
        # A bound method equals itself but each lookup is a new object, so identity is given by this wrapper.
        entry: Ring = lambda: ring()  # noqa: E731
        with self._lock:
            self._listeners = (*self._listeners, entry)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not entry)

        return stop

    def ring(self) -> None:
        """Tell everybody."""
        for listener in self._listeners:
            listener()
