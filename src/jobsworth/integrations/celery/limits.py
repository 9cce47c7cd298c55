"""The soft time limit: SoftTimeLimitExceeded raised inside the task, where its thread can be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .exceptions import SoftTimeLimitExceeded


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Raise SoftTimeLimitExceeded in the block after so many seconds.

    Tasks with a soft limit run in child processes, whose main thread is theirs. In another thread nothing happens:
    where that is so has been warned of when it was declared.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise SoftTimeLimitExceeded(f"{seconds:g} s are over")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
