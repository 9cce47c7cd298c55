"""What happens in a worker, and to jobs that no run can tell of, as Celery's signals."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from jobsworth.events import AttemptEnded, Event, WorkerStarted, WorkerStarting, WorkerStopped, WorkerStopping
from jobsworth.job import Claim, Job, Lease, State

from . import signals
from .request import Context

if TYPE_CHECKING:
    from .app import Celery
    from .house import Handled

Described = Callable[[Claim], "tuple[Handled, Context] | None"]


class Consumer:
    """Who sends a worker's signals."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self.app = app
        self.hostname = self.name = hostname

    def __str__(self) -> str:
        return self.hostname

    def __repr__(self) -> str:
        return f"<Consumer: {self.hostname}>"


class Hearing:
    """Hears the workers of an app. What is sent about jobs is sent on threads of its own: the worker waits for no
    receiver, and its leases depend on none."""

    def __init__(self, app: Celery, described: Described) -> None:
        self._app = app
        self._described = described  # the task of a job, if it is the app's, and its request
        self._logging_of: int | None = None  # the process in which receivers have set up logging

    def hear(self, event: Event) -> None:
        """A listener of workers."""
        match event:
            case WorkerStarting(worker=name):
                self._starting(_hostname(name))
            case WorkerStarted(worker=name):
                signals.worker_ready.send(sender=self._consumer(name))
            case WorkerStopping(worker=name):
                # Which signal it was, if any, is not told.
                signals.worker_shutting_down.send(sender=_hostname(name), sig=None, how="Warm", exitcode=0)
            case WorkerStopped(worker=name):
                signals.worker_shutdown.send(sender=self._consumer(name))
            case AttemptEnded(settlement=settlement) if settlement.target is State.CANCELLED:
                self._app.jobs.defer(self._revoked, event)
            case _:
                return

    def _consumer(self, worker: str) -> Consumer:
        return Consumer(self._app, _hostname(worker))

    def _starting(self, hostname: str) -> None:
        """Before it has a job."""
        consumer = Consumer(self._app, hostname)
        signals.celeryd_init.send(sender=hostname, instance=consumer, conf=self._app.conf, options={})
        signals.worker_init.send(sender=consumer)
        self.set_up_logging()
        signals.celeryd_after_setup.send(sender=hostname, instance=consumer, conf=self._app.conf)
        signals.worker_process_init.send(sender=hostname)  # its threads run tasks

    def in_child(self) -> None:
        """A child process is about to run its first task."""
        self.set_up_logging()
        signals.worker_process_init.send(sender=_hostname(str(os.getpid())))

    def set_up_logging(self) -> None:
        """Let receivers do it, once in each process. As in Celery the other two are for what `setup_logging` left."""
        if self._logging_of == os.getpid():
            return
        self._logging_of = os.getpid()
        root, conf = logging.getLogger(), self._app.conf
        how: dict[str, Any] = {"loglevel": root.getEffectiveLevel(), "logfile": None, "colorize": False}
        if not signals.setup_logging.send(sender=None, format=conf.worker_log_format, **how):
            signals.after_setup_logger.send(sender=None, logger=root, format=conf.worker_log_format, **how)
            task_logger = logging.getLogger("celery.task")
            signals.after_setup_task_logger.send(
                sender=None, logger=task_logger, format=conf.worker_task_log_format, **how
            )

    def _revoked(self, event: AttemptEnded) -> None:
        """A run cannot tell it itself."""
        settlement, described = event.settlement, self._described(event.claim)
        if described is None:
            return
        task, request = described
        terminated = settlement.outcome == "cancelled"
        signals.task_revoked.send(
            sender=task.celery, request=request, terminated=terminated,
            signum=signal.SIGKILL if terminated and task.isolation == "process" else None,
            expired=settlement.outcome == "expired",
        )  # fmt: skip

    def revoked_waiting(self, ids: Iterable[str]) -> None:
        """Jobs that were revoked here while they waited: no worker will ever hear of them."""
        if not signals.task_revoked.heard or not (chosen := list(ids)):
            return
        for job in self._app.jobs.find(ids=chosen, limit=len(chosen)):
            described = self._described(_claim(job))
            if described is not None:
                signals.task_revoked.send(
                    sender=described[0].celery, request=described[1], terminated=False, signum=None, expired=False
                )


def _hostname(worker: str) -> str:
    return f"celery@{worker}"


def _claim(job: Job) -> Claim:
    """A job that was never handed to a worker, as one would have had it."""
    return Claim(
        lease=Lease(job.id, 0), queue=job.queue, task=job.task, args=job.args, attempt=job.attempt, errors=job.errors,
        crashes=job.crashes, max_attempts=job.max_attempts, priority=job.priority, key=job.key, owner=job.owner,
        label=job.label, tags=job.tags, meta=job.meta, timeout=job.timeout,
    )  # fmt: skip
