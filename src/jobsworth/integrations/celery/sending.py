"""apply_async: from a call and Celery's options to a stored job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import msgspec

from jobsworth.errors import BadArguments, BadOption
from jobsworth.naming import checked
from jobsworth.suggest import did_you_mean
from jobsworth.task import options_from

from . import request, signals
from .canvas import stored
from .exceptions import NotSupported, differs
from .naming import CHILD_OF, new_task_id
from .publishing import Publishing
from .result import AsyncResult
from .schedule import moment, seconds_until
from .settings import AMQP, CANVAS, JSON

if TYPE_CHECKING:
    from .app import Celery
    from .calls import CallSignature
    from .canvas import Signature
    from .task import Task

IDLE = {
    "exchange": AMQP, "exchange_type": AMQP, "routing_key": AMQP, "delivery_mode": AMQP, "mandatory": AMQP,
    "immediate": AMQP, "compression": "nothing is compressed", "retry_policy": "an enqueue that fails raises",
    "connection": "the app's own engine is used", "producer": "the app's own engine is used",
    "publisher": "the app's own engine is used", "router": "task_routes are heeded",
    "reply_to": "results live with their jobs", "stamped_headers": "headers travel, stamps are not told apart",
    "user_id": AMQP, "expiration": AMQP, "argsrepr": "arguments are shown as they are stored",
    "kwargsrepr": "arguments are shown as they are stored",
}  # fmt: skip
REFUSED = {"group_id": CANVAS, "group_index": CANVAS, "chord": CANVAS, "chain": CANVAS}
_HEEDED = (
    "countdown", "eta", "expires", "queue", "priority", "task_id", "link", "link_error", "headers", "time_limit",
    "soft_time_limit", "ignore_result", "shadow", "root_id", "parent_id", "serializer", "retry", "add_to_parent",
    "retries",
)  # fmt: skip


def send(
    task: Task, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any], *, loosely: bool = False,
    shown_id: str | None = None, quietly: bool = False,
) -> AsyncResult:  # fmt: skip
    """Store a job of a task. Raises ValueRefused, BadOption (E105) or an EngineError.

    loosely: whether its function can be called so is left to the worker. shown_id: what its run takes for its id.
    quietly: a job that is there already is what was wanted.
    """
    app = task.app
    given = _routed(task, args, kwargs, options)
    given.setdefault("task_id", new_task_id())
    publishing = Publishing(task, args, kwargs, given) if signals.publishing_is_heard() else None
    if publishing is not None and (headers := publishing.before()) is not None:
        given["headers"] = headers
    handled = app.handled(task)
    _warn_of_limits(task, given)
    packed, named = _packed(handled.signature, args, kwargs, loosely=loosely)
    inside = request.running()
    parent = None if inside is None or inside[1].called_directly else inside[1]
    kept = _kept(task, given, parent) | ({"named": named} if named else {}) | ({"id": shown_id} if shown_id else {})
    job = handled.packed_job(packed, options_from(_options(app, given, parent, kept)))
    queue = str(getattr(given["queue"], "name", given["queue"]))
    if queue != job.queue:
        job = msgspec.structs.replace(job, queue=checked(queue, "queue name"))
    (handle,) = app.jobs.store([handled], [job])
    # A run that is repeated sends its callbacks again, with the same ids: they are there.
    ours = quietly or (parent is not None and handle.id.startswith(f"{parent.id}."))
    if not handle.created and not ours:
        differs(f"there is a job {handle.id} already: nothing was stored. In Celery it would run a second time")
    elif publishing is not None:
        publishing.after()
    result = AsyncResult(handle.id, task_name=task.name, app=app)
    result.ignored = bool(given.get("ignore_result", task.ignored))
    if parent is not None and given.get("add_to_parent", True):
        parent.children.append(result)
    return result


def _routed(task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for: by the call, else by the task, else by the app's routes. Its queue is among it."""
    given = {name: value for name, value in options.items() if value is not None}
    _refuse(given)
    own = {"queue": task.queue, "priority": task.priority, "expires": task.expires}
    given = {**{name: value for name, value in own.items() if value is not None}, **given}
    if "queue" not in given:
        given = {**task.app.router.route(task.name, args, kwargs, given, task), **given}
    given.setdefault("queue", task.app.conf.task_default_queue)
    task.app.router.check(given["queue"])
    return given


def _refuse(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in REFUSED:
            raise NotSupported(f"{name}={value!r} is not supported", hint=REFUSED[name])
        if name == "serializer" and value != "json":
            raise NotSupported(f"serializer={value!r} is not supported", hint=JSON)
        if name in IDLE:
            differs(f"{name}={value!r} has no effect: {IDLE[name]}")
        elif name not in _HEEDED:
            raise BadOption(f"apply_async has no option {name!r}", hint=did_you_mean(name, (*_HEEDED, *IDLE)))


def send_again(task: Task, run: request.Context, call: Signature) -> str:
    """Store the job that goes on for one whose retry() asks for other arguments or options; its id.

    It follows from the run's, so that a run that is repeated stores it once.
    """
    number = run.retries + 1
    options: dict[str, Any] = {
        "queue": (run.delivery_info or {}).get("routing_key"), "priority": (run.delivery_info or {}).get("priority"),
        "link": run.callbacks, "link_error": run.errbacks, "expires": run.expires, "headers": run.headers,
        "shadow": run.shadow, "ignore_result": run.ignore_result, "root_id": run.root_id, "parent_id": run.parent_id,
        "time_limit": run.own_limits[0], "soft_time_limit": run.own_limits[1],
    }  # fmt: skip
    options |= {**call.options, "retries": number, "task_id": f"{run.id}.retry.{number}"}
    return send(task, call.args, call.kwargs, options, loosely=True, shown_id=run.id, quietly=True).id


def _packed(
    signature: CallSignature, args: tuple[Any, ...], kwargs: dict[str, Any], *, loosely: bool
) -> tuple[bytes, list[str]]:
    """The bytes of a call, and which of what they hold by position was given by name."""
    try:
        return signature.pack(args, kwargs), [name for name in kwargs if name in signature.positions]
    except BadArguments:
        if not loosely:
            raise
        return signature.pack_loosely(args, kwargs), []


def _options(
    app: Celery, given: Mapping[str, Any], parent: request.Context | None, kept: dict[str, Any]
) -> dict[str, Any]:
    """As Jobsworth names them."""
    zone = app.zone
    options: dict[str, Any] = {"id": str(given["task_id"])}
    if "eta" in given:
        options["run_at"] = moment(given["eta"], zone)
    elif "countdown" in given:
        options["delay"] = seconds_until(given["countdown"], zone)
    if "expires" in given:
        expires = given["expires"]
        # One that is past already is sent all the same, in Celery too: the job ends as revoked.
        dated = isinstance(expires, str) or hasattr(expires, "tzinfo")
        options["expires"] = moment(expires, zone) if dated else seconds_until(expires, zone)
    priority = given.get("priority", app.conf.task_default_priority)
    if priority is not None:
        options["priority"] = app.priority_stored(int(priority))
    options["timeout"] = given.get("time_limit")
    options["label"] = given.get("shadow")
    options["meta"] = {request.META: kept} if kept else None
    if parent is not None and given.get("add_to_parent", True) and len(str(parent.id)) <= _LONGEST_ID:
        options["tags"] = [f"{CHILD_OF}{parent.id}"]
    return options


_LONGEST_ID = 128 - len(CHILD_OF)


def _kept(task: Task, given: Mapping[str, Any], parent: request.Context | None) -> dict[str, Any]:
    """What Celery would keep in the message's headers."""
    kept: dict[str, Any] = {name: stored(given[name], task.app) for name in ("link", "link_error") if given.get(name)}
    for name in ("soft_time_limit", "ignore_result", "headers"):
        if name in given:
            kept[name] = given[name]
    if given.get("retries"):
        kept["retries"] = int(given["retries"])
    if "eta" in given:
        kept["eta"] = moment(given["eta"], task.app.zone).isoformat()
    elif given.get("countdown"):
        kept["eta"] = _later(given["countdown"], task.app.zone)
    if "expires" in given:
        kept["expires"] = _later(given["expires"], task.app.zone)
    if parent is not None:
        kept["parent_id"], kept["root_id"] = parent.id, parent.root_id
    kept |= {name: given[name] for name in ("parent_id", "root_id") if name in given}
    return kept


def _warn_of_limits(task: Task, given: Mapping[str, Any]) -> None:
    if task.name not in task.app.tasks:
        return  # who knows where it runs
    isolation = task.app.handled(task).isolation
    if given.get("soft_time_limit") and isolation != "process":
        differs(NO_SOFT_LIMIT.format(task.name))
    if given.get("time_limit") and isolation == "thread":
        differs(NO_HARD_LIMIT.format(task.name))


def _later(when: Any, zone: tzinfo) -> str:
    """As Celery's headers say it. Nothing goes by it."""
    if isinstance(when, str) or hasattr(when, "tzinfo"):
        return moment(when, zone).isoformat()
    return (datetime.now(UTC) + timedelta(seconds=seconds_until(when, zone))).isoformat()


NO_HARD_LIMIT = (
    "time_limit of {} ends the job, but not the thread that runs it, which nothing can: give the task a limit of its "
    'own, or say worker_pool="prefork", and it runs in a child process'
)
NO_SOFT_LIMIT = (
    "soft_time_limit of {} has no effect in a thread, which nothing can interrupt: give the task a limit of its "
    'own, or say worker_pool="prefork", and it runs in a child process'
)
