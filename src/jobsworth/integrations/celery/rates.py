"""Rate limits, counted in each worker process as in Celery, its child processes together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from .schedule import per_second

if TYPE_CHECKING:
    from .task import Task

_FORGET = 60.0  # seconds after its turn that a job which never came back keeps it


class Rates:
    """Gives each job its turn. One that is too early is told how long to wait, and then need not wait again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}  # by task: the first moment that is nobody's turn yet
        self._turns: dict[str, float] = {}  # by job

    def wait(self, task: Task, job_id: str) -> float:
        """Seconds until this job may run; 0 for now."""
        rate = None if task.app.conf.worker_disable_rate_limits else per_second(task.rate)
        if rate is None:
            return 0.0
        now = time.monotonic()
        with self._lock:
            turn = self._turns.pop(job_id, None)
            if turn is None:
                turn = max(now, self._next.get(task.name, 0.0))
                self._next[task.name] = turn + 1 / rate
            if turn <= now:
                return 0.0
            self._turns = {each: at for each, at in self._turns.items() if at > now - _FORGET}
            self._turns[job_id] = turn
            return turn - now
