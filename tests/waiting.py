"""Waiting for facts: tests never sleep for a guessed time, they look until it is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds that a fact may take on a slow machine with much to do: patience, and no promise. Less than a lease has, so
# that nothing passes that only the end of a lease has mended. A promise is a bound of its own, given by its test.
PATIENCE = 20.0


def until(fact: Callable[[], T], within: float = PATIENCE, what: str = "", every: float = 0.005) -> T:
    """What `fact()` returns once that is true; fails after `within` seconds, telling what it saw last.

    It looks every so many seconds; less often the longer it has waited, for to look costs what others need.
    """
    began = time.monotonic()
    while True:
        seen = fact()
        if seen:
            return seen
        waited = time.monotonic() - began
        if waited > within:
            raise AssertionError(f"not so within {within:g} s: {what or fact}; last seen: {seen!r}")
        time.sleep(max(every, min(waited / 20, 0.05)))
