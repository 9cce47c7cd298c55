"""What becomes of each of Celery's settings here. `conf.py` heeds it, `check.py` tells it line by line.

A setting is heeded; or holds here anyway, for some values or all; or has no effect, which is warned of; or is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .absent import ABSENT, DAY
from .legacy import old_names

JSON = "tasks and results travel as JSON; whatever else they hold is refused where it is sent"
EVENTS = "there are no event messages: the dashboard, /metrics and jobs.listeners show what they would"
BROKER = "the engine's own URL says how it connects: docs/engines.md"
SLOTS = "a worker takes no job that it has no slot for, so nothing is held ahead"
BEAT = "nothing here starts periodic tasks yet: start them by cron or a systemd timer, `jobsworth enqueue TASK`"
RESULTS = "results live with their jobs, in the engine that broker_url names"
SERVED = "the worker's command line says it: jobsworth worker --help"
CANVAS = "chains, groups and chords are not supported yet"
BACK = "a worker always comes back to its engine"
LOST = "a job whose worker dies runs again, three times at most"
POOLS = 'tasks run in threads, or with "prefork" in child processes; an `async def` in the worker\'s loop'
NOT_AGAIN = "a failed job is not run again unless its task says so"
AMQP = "there are no exchanges: a queue is its name, and task_routes or queue= choose it"


class Rule(NamedTuple):
    """default: what Celery gives. kind: heeded, holds, idle or refused. fits: values for which it holds as it is."""

    default: Any
    kind: str
    text: str = ""
    fits: Callable[[Any], bool] = lambda _value: False


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value is None or any(value is each or value == each for each in values)


def _json(value: Any) -> bool:
    return value in ("json", "application/json")


def _accepts_json(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple, set, frozenset)) and all(_json(each) for each in value))


def _nothing(value: Any) -> bool:
    return not value


def _any(_value: Any) -> bool:
    return True


RULES: dict[str, Rule] = {
    # Where.
    "broker_url": Rule(None, "heeded"),
    "result_backend": Rule(None, "heeded"),
    "broker_use_ssl": Rule(False, "refused", "say it in the URL: rediss://, or sslmode= for PostgreSQL", _nothing),
    "redis_backend_use_ssl": Rule(None, "refused", "rediss:// in broker_url", _nothing),
    # What travels.
    "task_serializer": Rule("json", "refused", JSON, _json),
    "result_serializer": Rule("json", "refused", JSON, _json),
    "accept_content": Rule(("json",), "refused", JSON, _accepts_json),
    "result_accept_content": Rule(None, "refused", JSON, _accepts_json),
    "task_compression": Rule(None, "idle", "nothing is compressed; arguments may take 1 MiB", _nothing),
    "result_compression": Rule(None, "idle", "nothing is compressed; results may take 1 MiB", _nothing),
    "task_protocol": Rule(2, "idle", "jobs are rows of an engine, in a form of its own", _is(2)),
    "task_repr_maxlevels": Rule(3, "idle", "arguments are shown as they are stored", _is(3)),
    "result_extended": Rule(False, "holds", "a job has its name, arguments, worker and queue anyway", _any),
    # Which queue.
    "task_default_queue": Rule("celery", "heeded"),
    "task_queues": Rule(None, "heeded"),
    "task_routes": Rule(None, "heeded"),
    "task_create_missing_queues": Rule(True, "heeded"),
    "task_default_priority": Rule(None, "heeded"),
    "task_inherit_parent_priority": Rule(False, "idle", "each job has the priority it is given", _is(False)),
    "task_queue_max_priority": Rule(None, "holds", "every queue has priorities", _any),
    "task_default_delivery_mode": Rule(
        2, "idle", "every job is stored as durably as the engine can", _is(2, "persistent")
    ),
    # How a task runs.
    "task_annotations": Rule(None, "heeded"),
    "task_always_eager": Rule(False, "heeded"),
    "task_eager_propagates": Rule(False, "heeded"),
    "task_store_eager_result": Rule(False, "idle", "what runs eagerly is not stored", _is(False)),
    "task_ignore_result": Rule(False, "heeded"),
    "task_store_errors_even_if_ignored": Rule(False, "holds", "how a job failed is always kept", _any),
    "task_track_started": Rule(False, "heeded"),
    "task_time_limit": Rule(None, "heeded"),
    "task_soft_time_limit": Rule(None, "heeded"),
    "task_default_rate_limit": Rule(None, "heeded"),
    "worker_disable_rate_limits": Rule(False, "heeded"),
    "task_acks_late": Rule(
        False, "idle", "a job is settled when its run has ended: one whose worker dies runs again", _is(True)
    ),
    "task_acks_on_failure_or_timeout": Rule(True, "idle", NOT_AGAIN, _is(True)),
    "task_acks_on_failure": Rule(None, "idle", NOT_AGAIN, _is(True)),
    "task_acks_on_timeout": Rule(None, "idle", NOT_AGAIN, _is(True)),
    "task_reject_on_worker_lost": Rule(None, "idle", LOST, _is(True)),
    "task_retry_on_worker_lost": Rule(False, "idle", LOST, _is(True)),
    "task_remote_tracebacks": Rule(False, "idle", "tracebacks are text, always kept", _is(False)),
    # What is kept.
    "result_expires": Rule(DAY, "heeded"),
    "result_failure_expires": Rule(None, "heeded"),
    "result_persistent": Rule(None, "holds", "results are as durable as their jobs", _any),
    "result_backend_always_retry": Rule(False, "holds", "a worker keeps its endings until the engine is back", _any),
    # How it connects.
    "broker_connection_retry": Rule(True, "idle", BACK, _is(True)),
    "broker_connection_retry_on_startup": Rule(None, "idle", "a worker does not start without its engine", _is(False)),
    "broker_connection_max_retries": Rule(100, "idle", BACK, _is(100)),
    "broker_heartbeat": Rule(120, "idle", "jobsworth worker --lease says when a worker counts as dead", _is(120)),
    "broker_transport_options": Rule(
        {},
        "idle",
        "visibility timeouts are not needed: a worker renews its leases, and a dead one loses them",
        _nothing,
    ),
    # The worker.
    "worker_concurrency": Rule(None, "heeded"),
    "worker_pool": Rule("prefork", "idle", POOLS, _is("prefork", "processes", "threads", "solo")),
    "worker_pool_start_method": Rule(
        "fork", "idle", "child processes start afresh and import the app", _is("spawn", "forkserver")
    ),
    "worker_prefetch_multiplier": Rule(4, "idle", SLOTS, _is(1)),
    "worker_disable_prefetch": Rule(False, "idle", SLOTS, _is(True)),
    "worker_enable_prefetch_count_reduction": Rule(True, "holds", SLOTS, _any),
    "worker_eta_task_limit": Rule(None, "holds", "jobs wait in the engine until they are due", _any),
    "worker_detect_quorum_queues": Rule(True, "holds", AMQP, _any),
    "worker_max_tasks_per_child": Rule(
        None, "idle", "child processes are kept; a leaking one is not replaced", _nothing
    ),
    "worker_max_memory_per_child": Rule(
        None, "idle", "child processes are kept; a large one is not replaced", _nothing
    ),
    "worker_enable_remote_control": Rule(True, "idle", "whoever reaches the engine can cancel its jobs", _is(True)),
    "worker_hijack_root_logger": Rule(
        True, "idle", "the worker's command configures logging if nobody has", _is(False)
    ),
    "worker_redirect_stdouts": Rule(True, "idle", "what tasks print goes where the worker's output goes", _is(False)),
    "worker_cancel_long_running_tasks_on_connection_loss": Rule(
        False, "idle", "running jobs go on while the engine is away", _is(False)
    ),
    "worker_lost_wait": Rule(10.0, "idle", "jobsworth worker --lease says it", _is(10.0)),
    "worker_state_db": Rule(None, "holds", "what was revoked stands in the engine", _any),
    "worker_soft_shutdown_timeout": Rule(0.0, "idle", "jobsworth worker --grace says it", _nothing),
    "worker_enable_soft_shutdown_on_idle": Rule(False, "idle", "jobsworth worker --grace says it", _nothing),
    "worker_deduplicate_successful_tasks": Rule(False, "idle", "give the job a key", _is(False)),
    "imports": Rule((), "heeded"),
    "include": Rule((), "heeded"),
    # The rest.
    "timezone": Rule(None, "heeded"),
    "enable_utc": Rule(True, "heeded"),
    "beat_schedule": Rule({}, "refused", BEAT, _nothing),
}
_INSTEAD = {
    "results": ("idle", RESULTS), "broker": ("idle", BROKER), "exchanges": ("idle", AMQP), "events": ("idle", EVENTS),
    "control": ("idle", "workers are told nothing: what they heed stands in the engine"), "beat": ("idle", BEAT),
    "canvas": ("idle", CANVAS), "publishing": ("idle", "an enqueue that fails raises; it is not tried again"),
    "worker": ("idle", SERVED), "keys": ("refused", "nothing is signed"),
    "one url": ("refused", "broker_url alone says where the jobs live"),
}  # fmt: skip
RULES |= {
    name: Rule(default, *_INSTEAD[part], _is(default))
    for part, settings in ABSENT.items()
    for name, default in settings.items()
}
LEGACY = old_names(RULES)


def name_of(given: str, namespace: str | None = None) -> str | None:
    """A setting's name of today from one in a config: CELERY_TASK_ROUTES, CELERY_RESULT_BACKEND, task_routes.

    None for what belongs to somebody else: in a namespace everything without its prefix, else what is no setting.
    """
    if namespace:
        prefix = f"{namespace}_"
        if not given.upper().startswith(prefix.upper()):
            return None
        given = given[len(prefix) :]
        return LEGACY.get(f"CELERY_{given.upper()}", LEGACY.get(given.upper(), given.lower()))
    if given in LEGACY:
        return LEGACY[given]
    return given if given in RULES or not given.isupper() else None


def verdict(name: str, value: Any) -> Rule | None:
    """The rule that a setting breaks; None if it is heeded, or holds here as it is. The name must be known."""
    rule = RULES[name]
    return None if rule.kind == "heeded" or rule.fits(value) else rule
