"""Deferred actions: run soon, in this process, in nobody's slot. Not stored, not retried, no history."""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("jobsworth.defer")
_Action = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Deferrals:
    """A few threads that come when there is something to do and go when there is not.

    They are not daemons: Python waits for them when the program ends, so what was deferred is done. What waits is
    unbounded by design; what must be bounded, survive a crash or be seen belongs in a queue.
    """

    MOST = 16  # threads at once

    def __init__(self) -> None:
        self.on_error: Callable[[Callable[..., Any], BaseException], None] | None = None
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[_Action] = deque()
        self._threads = 0

    def submit(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run `fn(*args, **kwargs)` soon; a coroutine function on a loop of its own."""
        if self._pid != os.getpid():
            self._start()  # a forked child has none of its parent's threads, nor its parent's work
        with self._changed:
            self._waiting.append((fn, args, kwargs))
            if self._threads < self.MOST:
                self._threads += 1
                threading.Thread(target=self._work, name="jobsworth-defer").start()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left, at most `timeout` seconds. True if nothing is."""
        if self._pid != os.getpid():
            return True
        with self._changed:
            return self._changed.wait_for(lambda: not self._threads, timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._threads -= 1
                    self._changed.notify_all()
                    return
                fn, args, kwargs = self._waiting.popleft()
            try:
                if inspect.iscoroutinefunction(fn):
                    import asyncio

                    asyncio.run(fn(*args, **kwargs))
                else:
                    fn(*args, **kwargs)
            except BaseException as exc:  # noqa: BLE001 (logged and offered to the hook)
                self._report(fn, exc)

    def _report(self, fn: Callable[..., Any], exc: BaseException) -> None:
        _log.error("deferred %s failed", getattr(fn, "__qualname__", fn), exc_info=exc)
        if self.on_error is not None:
            try:
                self.on_error(fn, exc)
            except Exception:  # noqa: BLE001 (a user's hook)
                _log.exception("on_deferred_error itself failed")
