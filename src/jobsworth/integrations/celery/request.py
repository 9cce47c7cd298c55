"""What a task can see of its run: `self.request`, and which task runs here."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from jobsworth.context import CurrentJob

from .calls import as_called

if TYPE_CHECKING:
    from .task import Task

META = "_celery"  # in a job's meta: what Celery keeps in a message's headers. The underscore keeps it off every page


class Context:
    """One run of a task. Without one (a task that is called like a function) `called_directly` is True.

    retries: failed runs of this job before this one.
    """

    id: str | None = None
    task: str | None = None
    args: Sequence[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    retries = 0
    is_eager = False
    called_directly = True
    hostname: str | None = None
    delivery_info: dict[str, Any] | None = None
    eta: str | None = None
    expires: str | None = None
    timelimit: Sequence[float | None] | None = None
    headers: dict[str, Any] | None = None
    callbacks: list[Any] | None = None
    errbacks: list[Any] | None = None
    correlation_id: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    ignore_result = False
    shadow: str | None = None
    logfile: str | None = None
    loglevel: int | None = None
    utc: bool | None = None
    # What messages and compositions have in Celery, and nothing has here.
    reply_to = origin = properties = chain = chord = group = group_index = taskset = stamps = stamped_headers = None
    replaced_task_nesting = 0

    def __init__(self, *given: Any, **named: Any) -> None:
        self.exhausted: BaseException | None = None  # what retry() raised because there were no retries left
        self.asked: BaseException | None = None  # the Retry that retry() has made, whatever became of it
        self.state: tuple[str, Any] | None = None  # what an eager run has said with update_state()
        self.begun = False  # whether the run has got as far as the task's own code
        self.own_limits: Sequence[float | None] = (None, None)  # of timelimit, what this very job was given
        self.replaced: str | None = None  # the job that goes on with other arguments, after retry(args=...)
        self.children: list[Any] = []
        self.update(*given, **named)

    @property
    def time_limit(self) -> float | None:
        return self.timelimit[0] if self.timelimit else None

    @property
    def soft_time_limit(self) -> float | None:
        return self.timelimit[1] if self.timelimit else None

    @property
    def argsrepr(self) -> str:
        return repr(self.args)

    @property
    def kwargsrepr(self) -> str:
        return repr(self.kwargs)

    def update(self, *given: Any, **named: Any) -> None:
        for name, value in dict(*given, **named).items():
            setattr(self, name, value)

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)

    def __repr__(self) -> str:
        return f"<Context: {self.id} {self.task}>"


def of_job(task: Task, job: CurrentJob, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Context:
    """The context of a job's run in a worker."""
    kept = kept_in(job.meta)
    hard, soft = task.hard_limit, task.soft_limit
    args, kwargs = as_called(task.app.handled(task).signature, args, kwargs, kept.get("named", ()))
    first = kept.get("id", job.id)
    return Context(
        id=first, task=task.name, args=args, kwargs=kwargs, retries=job.claim.errors + kept.get("retries", 0),
        correlation_id=first, called_directly=False, hostname=f"celery@{socket.gethostname()}",
        delivery_info={
            "exchange": "", "routing_key": job.queue, "priority": task.app.priority_shown(job.claim.priority),
            "redelivered": job.claim.crashes > 0,
        },
        eta=kept.get("eta"), expires=kept.get("expires"),
        timelimit=[job.claim.timeout or hard, kept.get("soft_time_limit") or soft],
        own_limits=(job.claim.timeout, kept.get("soft_time_limit")),
        headers=kept.get("headers"), callbacks=kept.get("link"), errbacks=kept.get("link_error"),
        root_id=kept.get("root_id", first), parent_id=kept.get("parent_id"),
        ignore_result=kept.get("ignore_result", task.ignored), shadow=job.label,
    )  # fmt: skip


def kept_in(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was kept of a call beside its arguments."""
    kept = (meta or {}).get(META)
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


def push(task: Task, request: Context) -> None:
    """The same until pop()."""
    _runs.set((*_runs.get(), (task, request)))


def pop(task: Task) -> None:
    """Undo the last push() of this task. Raises IndexError if there is none."""
    runs = list(_runs.get())
    del runs[max((place for place, (each, _) in enumerate(runs) if each is task), default=len(runs))]
    _runs.set(tuple(runs))


def request_of(task: Task) -> Context | None:
    """The request of this task's innermost run here."""
    return next((request for each, request in reversed(_runs.get()) if each is task), None)


def running() -> Running | None:
    """The innermost run here, of whichever task."""
    runs = _runs.get()
    return runs[-1] if runs else None
