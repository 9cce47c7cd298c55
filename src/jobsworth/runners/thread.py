"""Run a `def` in a thread. Threads cannot be stopped, only asked; one that does not listen is replaced, not killed."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

from jobsworth.context import CurrentJob, enter
from jobsworth.errors import Incompatible
from jobsworth.job import Claim
from jobsworth.outcome import Outcome
from jobsworth.task import Task

from . import around
from .ending import arguments, ending_of, incompatible, succeeded


def run_in_thread(task: Task[..., Any], claim: Claim, context: CurrentJob) -> Outcome:
    """One run, start to end, in the calling thread, in a context of its own: its variables do not reach the next."""
    return contextvars.Context().run(_run, task, claim, context)


def _run(task: Task[..., Any], claim: Claim, context: CurrentJob) -> Outcome:
    try:
        args, kwargs = arguments(task, claim, context)
    except Incompatible as exc:
        return incompatible(exc)
    enter(context)
    try:
        value = around.call(task, context, args, kwargs) if task.around else task.fn(*args, **kwargs)
    except BaseException as exc:  # noqa: BLE001 (SystemExit too: a handler must not end its worker)
        return ending_of(exc, task, context)
    return succeeded(task, value, context)


class Threads:
    """As many threads as there is work for at once; callers bound that. Daemons: a stuck one cannot hold up an exit."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` in an idle thread, or in a new one."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                self._count += 1
                name = f"jobsworth-slot-{self._count}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.put(work)

    def close(self) -> None:
        """Let idle threads end; busy ones end after their work."""
        for _ in range(self._count):
            self._work.put(None)

    def _serve(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            work()
            with self._lock:
                self._idle += 1
