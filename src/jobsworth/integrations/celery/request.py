"""What a task can see of its run: `self.request`, and which task runs here."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from jobsworth.context import CurrentJob

if TYPE_CHECKING:
    from .task import Task

META = "_celery"  # in a job's meta: what Celery keeps in a message's headers. The underscore keeps it off every page


class Context:
    """One run of a task. Without one (a task that is called like a function) `called_directly` is True.

    retries: failed runs of this job before this one.
    """

    def __init__(self, **given: Any) -> None:
        self.id: str | None = None
        self.task: str | None = None
        self.args: Sequence[Any] = ()
        self.kwargs: Mapping[str, Any] = {}
        self.retries = 0
        self.is_eager = False
        self.called_directly = True
        self.hostname: str | None = None
        self.delivery_info: dict[str, Any] = {}
        self.eta: str | None = None
        self.expires: str | None = None
        self.timelimit: list[float | None] = [None, None]
        self.headers: dict[str, Any] | None = None
        self.callbacks: list[dict[str, Any]] = []
        self.errbacks: list[dict[str, Any]] = []
        self.root_id: str | None = None
        self.parent_id: str | None = None
        self.group: str | None = None
        self.ignore_result = False
        self.shadow: str | None = None
        self.exhausted: BaseException | None = None  # what retry() raised because there were no retries left
        self.state: tuple[str, Any] | None = None  # what an eager run has said with update_state()
        for name, value in given.items():
            setattr(self, name, value)

    @property
    def correlation_id(self) -> str | None:
        return self.id

    @property
    def reply_to(self) -> None:
        """Nobody is replied to: results live with their jobs."""
        return

    @property
    def argsrepr(self) -> str:
        return repr(self.args)

    @property
    def kwargsrepr(self) -> str:
        return repr(self.kwargs)

    @property
    def chain(self) -> None:
        return None

    @property
    def chord(self) -> None:
        return None

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)

    def __repr__(self) -> str:
        return f"<Context: {self.id} {self.task}>"


def of_job(task: Task, job: CurrentJob, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Context:
    """The context of a job's run in a worker."""
    kept = kept_in(job.meta)
    hard, soft = task.hard_limit, task.soft_limit
    return Context(
        id=job.id, task=task.name, args=list(args), kwargs=dict(kwargs), retries=job.claim.errors,
        called_directly=False, hostname=f"celery@{socket.gethostname()}",
        delivery_info={
            "exchange": "", "routing_key": job.queue, "priority": task.app.priority_shown(job.claim.priority),
            "redelivered": job.claim.crashes > 0,
        },
        eta=kept.get("eta"), expires=kept.get("expires"),
        timelimit=[job.claim.timeout or hard, kept.get("soft_time_limit") or soft],
        headers=kept.get("headers"), callbacks=kept.get("link", []), errbacks=kept.get("link_error", []),
        root_id=kept.get("root_id", job.id), parent_id=kept.get("parent_id"),
        ignore_result=kept.get("ignore_result", task.ignored), shadow=job.label,
    )  # fmt: skip


def kept_in(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What was kept of a call beside its arguments."""
    kept = meta.get(META)
    return kept if isinstance(kept, dict) else {}


Running = tuple["Task", Context]
_runs: ContextVar[tuple[Running, ...]] = ContextVar("jobsworth_celery_runs", default=())


@contextmanager
def entered(task: Task, request: Context) -> Iterator[None]:
    """Within this, `task.request` is that."""
    token = _runs.set((*_runs.get(), (task, request)))
    try:
        yield
    finally:
        _runs.reset(token)


def request_of(task: Task) -> Context | None:
    """The request of this task's innermost run here."""
    return next((request for each, request in reversed(_runs.get()) if each is task), None)


def running() -> Running | None:
    """The innermost run here, of whichever task."""
    runs = _runs.get()
    return runs[-1] if runs else None
