"""apply_async: from a call and Celery's options to a stored job."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from jobsworth.errors import BadOption
from jobsworth.suggest import did_you_mean
from jobsworth.task import options_from

from . import request, signals
from .canvas import Signature
from .exceptions import DiffersFromCelery, NotSupported
from .naming import new_task_id
from .publishing import Publishing
from .result import AsyncResult
from .schedule import moment, seconds_until
from .settings import AMQP, CANVAS, JSON

if TYPE_CHECKING:
    from .task import Task

IDLE = {
    "exchange": AMQP, "exchange_type": AMQP, "routing_key": AMQP, "delivery_mode": AMQP, "mandatory": AMQP,
    "immediate": AMQP, "compression": "nothing is compressed", "retry_policy": "an enqueue that fails raises",
    "connection": "the app's own engine is used", "producer": "the app's own engine is used",
    "publisher": "the app's own engine is used", "router": "task_routes are heeded",
    "reply_to": "results live with their jobs", "stamped_headers": "headers travel, stamps are not told apart",
}  # fmt: skip
REFUSED = {"group_id": CANVAS, "group_index": CANVAS, "chord": CANVAS, "chain": CANVAS}
_HEEDED = (
    "countdown", "eta", "expires", "queue", "priority", "task_id", "link", "link_error", "headers", "time_limit",
    "soft_time_limit", "ignore_result", "shadow", "root_id", "parent_id", "serializer", "retry", "add_to_parent",
)  # fmt: skip


def send(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]) -> AsyncResult:
    """Store a job of a task. Raises ValueRefused, BadOption (E105) or an EngineError."""
    app = task.app
    given = {name: value for name, value in options.items() if value is not None}
    _refuse(given)
    own = {"queue": task.queue, "priority": task.priority, "expires": task.expires}
    given = {**{name: value for name, value in own.items() if value is not None}, **given}
    if "queue" not in given:
        given = {**app.router.route(task.name, args, kwargs, given, task), **given}
    given.setdefault("queue", app.conf.task_default_queue)
    app.router.check(given["queue"])
    given.setdefault("task_id", new_task_id())
    publishing = Publishing(task, args, kwargs, given) if signals.publishing_is_heard() else None
    if publishing is not None and (headers := publishing.before()) is not None:
        given["headers"] = headers
    handled = app.handled(task)
    job = handled.build(args, kwargs, options_from(_options(task, given)))
    queue = str(getattr(given["queue"], "name", given["queue"]))
    if queue != job.queue:
        job = msgspec.structs.replace(job, queue=queue)
    (handle,) = app.jobs.store([handled], [job])
    if not handle.created:
        warnings.warn(
            f"there is a job {handle.id} already: nothing was stored. In Celery it would run a second time",
            DiffersFromCelery, stacklevel=4,
        )  # fmt: skip
    elif publishing is not None:
        publishing.after()
    return AsyncResult(handle.id, task_name=task.name, app=app)


def _refuse(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in REFUSED:
            raise NotSupported(f"{name}={value!r} is not supported", hint=REFUSED[name])
        if name == "serializer" and value != "json":
            raise NotSupported(f"serializer={value!r} is not supported", hint=JSON)
        if name in IDLE:
            warnings.warn(f"{name}={value!r} has no effect: {IDLE[name]}", DiffersFromCelery, stacklevel=5)
        elif name not in _HEEDED:
            raise BadOption(f"apply_async has no option {name!r}", hint=did_you_mean(name, (*_HEEDED, *IDLE)))


def _options(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """As Jobsworth names them."""
    app, zone = task.app, task.app.zone
    options: dict[str, Any] = {"id": str(given["task_id"])}
    if "eta" in given:
        options["run_at"] = moment(given["eta"], zone)
    elif "countdown" in given:
        options["delay"] = seconds_until(given["countdown"], zone)
    if "expires" in given:
        expires = given["expires"]
        options["expires"] = (
            moment(expires, zone) if isinstance(expires, str) or hasattr(expires, "tzinfo") else expires
        )
    priority = given.get("priority", app.conf.task_default_priority)
    if priority is not None:
        options["priority"] = app.priority_stored(int(priority))
    options["timeout"] = given.get("time_limit")
    options["label"] = given.get("shadow")
    kept = _kept(task, given)
    options["meta"] = {request.META: kept} if kept else None
    return options


def _kept(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """What Celery would keep in the message's headers."""
    kept: dict[str, Any] = {}
    for name in ("link", "link_error"):
        if name in given:
            many = given[name] if isinstance(given[name], (list, tuple)) else [given[name]]
            kept[name] = [Signature.read(each, task.app).as_dict() for each in many]
    for name in ("soft_time_limit", "ignore_result", "headers"):
        if name in given:
            kept[name] = given[name]
    if kept.get("soft_time_limit") and task.app.handled(task).isolation != "process":
        warnings.warn(NO_SOFT_LIMIT.format(task.name), DiffersFromCelery, stacklevel=7)
    for name in ("eta", "expires"):
        if hasattr(given.get(name), "isoformat"):
            kept[name] = moment(given[name], task.app.zone).isoformat()
    inside = request.running()
    if inside is not None and not inside[1].called_directly:
        kept["parent_id"], kept["root_id"] = inside[1].id, inside[1].root_id
    kept |= {name: given[name] for name in ("parent_id", "root_id") if name in given}
    return kept


NO_SOFT_LIMIT = (
    "soft_time_limit of {} has no effect in a thread, which nothing can interrupt: give the task a limit of its "
    'own, or say worker_pool="prefork", and it runs in a child process'
)
