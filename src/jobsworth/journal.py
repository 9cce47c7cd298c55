"""What a run has logged: its newest lines, numbered, and which of them have not travelled yet.

A handler writes in it from any of its threads and the worker's office reads it. All journals share one lock, which
nobody holds for longer than it takes to put a line down.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections import deque
from typing import Protocol

from .job import LogLine, storable
from .logged import KEPT

LONGEST = 2000  # characters of a line; of a longer one both ends are kept
OFF = 1 << 31  # a level that no record reaches
_NAME = 200  # characters of a logger's name
_lock = threading.Lock()


class Journal:
    """The lines of one attempt that began at `began`, a moment of time.monotonic()."""

    __slots__ = ("_began", "_number", "_ring", "_told")

    def __init__(self, began: float) -> None:
        self._began = began
        self._number = 0  # of the newest line
        self._told = 0  # up to which number they have travelled
        self._ring: deque[LogLine] = deque(maxlen=KEPT)

    def note(self, record: logging.LogRecord) -> None:
        """One more line. Never raises, whatever was logged."""
        at = round(time.monotonic() - self._began, 6)
        level, logger, text = _exact(record.levelname), _exact(record.name), text_of(record)
        with _lock:
            self._number += 1
            self._ring.append(LogLine(self._number, at, level, logger, text))

    def relay(self, lines: tuple[LogLine, ...]) -> None:
        """More lines, which another journal of this attempt has numbered."""
        with _lock:
            self._ring.extend(lines)
            self._number = lines[-1].number

    def untold(self) -> tuple[LogLine, ...]:
        """The lines that have not travelled yet; from now on they count as told."""
        with _lock:
            told, self._told = self._told, self._number
            return () if told == self._number else tuple([line for line in self._ring if line.number > told])

    def untell(self, lines: tuple[LogLine, ...]) -> None:
        """These could not be delivered: they, and what came after them, count as untold again."""
        with _lock:
            self._told = min(self._told, lines[0].number - 1)

    def newest(self) -> tuple[LogLine, ...]:
        """All lines that are still here, told or not. They go on counting as what they were."""
        with _lock:
            return tuple(self._ring)


class Holder(Protocol):
    """Who keeps a journal: a run."""

    journal: Journal | None
    began: float


def journal_of(run: Holder) -> Journal:
    """A run's journal, opened with its first line: several threads may be about to write that."""
    with _lock:
        if run.journal is None:
            run.journal = Journal(run.began)
        return run.journal


def text_of(record: logging.LogRecord) -> str:
    """What a record says, with its traceback, of bounded length. Never raises: anything at all may be logged."""
    try:
        text = record.getMessage()
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            text += "\n" + "".join(traceback.TracebackException.from_exception(error, limit=-60).format()).rstrip()
    except BaseException as broken:  # noqa: BLE001 (a user's __str__ may raise anything; the handler must not notice)
        text = f"<what was logged here raised {type(broken).__name__} when it was read>"
    return storable(_bounded(_exact(text, len(text))))


def _exact(text: object, most: int = _NAME) -> str:
    """Of exactly the type that every wire takes."""
    return storable("".join([text])[:most]) if isinstance(text, str) else "?"


def _bounded(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = (LONGEST - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def number_of(level: object) -> int:
    """A level as logging counts them; OFF for None and for "OFF". Raises ValueError if there is none of that name."""
    if level is None or (isinstance(level, str) and level.upper() == "OFF"):
        return OFF
    if isinstance(level, str):
        numbers = logging.getLevelNamesMapping()
        level = numbers.get(level, numbers.get(level.upper(), -1))
    if not isinstance(level, int) or isinstance(level, bool) or level < 0:
        raise ValueError("not the name or the number of a level")
    return level


def is_level(level: object) -> bool:
    """True for what number_of() understands."""
    try:
        number_of(level)
    except ValueError:
        return False
    return True


def _after_fork() -> None:
    """In a forked child: whoever held the lock is not here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
