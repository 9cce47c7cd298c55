"""Captured logs: what is logged inside a handler belongs to the job that it runs.

One logging handler on the root logger, for as long as a worker of this process lives. Whose record it is, the context
variable of the current job says: in the threads of the pool, in coroutines and in what asyncio.to_thread() calls.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from jobsworth.context import running_job

OURS = "jobsworth."  # loggers of this library: what they say is about jobs, and CurrentJob.log() keeps its own lines
_lock = threading.Lock()
_users = 0


class Capture(logging.Handler):
    """Gives each record to the job in whose handler it was made. Takes no lock: a journal has its own."""

    def handle(self, record: logging.LogRecord) -> bool:
        found: Any = self.filter(record)
        if not found:
            return False
        self.emit(found if isinstance(found, logging.LogRecord) else record)
        if record.levelno >= logging.WARNING:
            self._stand_in(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        job = running_job()
        if job is not None and record.levelno >= job.log_level and not record.name.startswith(OURS):
            job.note_line(record)

    def _stand_in(self, record: logging.LogRecord) -> None:
        """Where nobody has configured logging, warnings go to stderr. That we listen must not change it."""
        last_resort = logging.lastResort
        if last_resort is None or record.levelno < last_resort.level:
            return
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(each is not self for each in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        last_resort.handle(record)


_capture = Capture()


def begin() -> None:
    """From now on records are captured, until end() was called as often as this."""
    global _users
    with _lock:
        _users += 1
        root = logging.getLogger()
        if _capture not in root.handlers:  # whoever configures logging anew takes it away
            root.addHandler(_capture)


def end() -> None:
    """One of those who wanted this does not any more."""
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            logging.getLogger().removeHandler(_capture)
