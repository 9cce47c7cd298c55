"""What becomes of each of Celery's settings here. `conf.py` heeds it, `check.py` tells it line by line.

A setting is heeded; or holds here anyway, for some values or all; or has no effect, which is warned of; or is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .legacy import LEGACY

JSON = "tasks and results travel as JSON; whatever else they hold is refused where it is sent"
EVENTS = "there are no event messages: the dashboard, /metrics and jobs.listeners show what they would"
BROKER = "the engine's own URL says how it connects: docs/engines.md"
SLOTS = "a worker takes no job that it has no slot for, so nothing is held ahead"
BEAT = "nothing here starts periodic tasks yet: start them by cron or a systemd timer, `jobsworth enqueue TASK`"
RESULTS = "results live with their jobs, in the engine that broker_url names"
SERVED = "the worker's command line says it: jobsworth worker --help"
CANVAS = "chains, groups and chords are not supported yet"
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
    return value is None or (not isinstance(value, str) and all(_json(each) for each in value))


def _nothing(value: Any) -> bool:
    return not value


RULES: dict[str, Rule] = {
    # Where.
    "broker_url": Rule(None, "heeded"),
    "broker_read_url": Rule(None, "refused", "one URL is for reading and writing: broker_url", _nothing),
    "broker_write_url": Rule(None, "refused", "one URL is for reading and writing: broker_url", _nothing),
    "result_backend": Rule(None, "heeded"),
    # What travels.
    "task_serializer": Rule("json", "refused", JSON, _json),
    "result_serializer": Rule("json", "refused", JSON, _json),
    "event_serializer": Rule("json", "idle", EVENTS, _json),
    "accept_content": Rule(("json",), "refused", JSON, _accepts_json),
    "result_accept_content": Rule(None, "refused", JSON, _accepts_json),
    "task_compression": Rule(None, "idle", "nothing is compressed; arguments may take 1 MiB", _nothing),
    "result_compression": Rule(None, "idle", "nothing is compressed; results may take 1 MiB", _nothing),
    "task_protocol": Rule(2, "holds", fits=_is(2)),
    "result_extended": Rule(False, "holds", fits=_is(True, False)),
    # Which queue.
    "task_default_queue": Rule("celery", "heeded"),
    "task_queues": Rule(None, "heeded"),
    "task_routes": Rule(None, "heeded"),
    "task_create_missing_queues": Rule(
        True, "idle", "a job may be sent to any queue; it waits for a worker", _is(True)
    ),
    "task_default_priority": Rule(None, "heeded"),
    "task_inherit_parent_priority": Rule(False, "idle", "each job has the priority it is given", _is(False)),
    "task_queue_max_priority": Rule(None, "holds", fits=lambda _value: True),
    "task_default_exchange": Rule(None, "idle", AMQP, _nothing),
    "task_default_exchange_type": Rule("direct", "idle", AMQP, _is("direct")),
    "task_default_routing_key": Rule(None, "idle", AMQP, _nothing),
    "task_default_delivery_mode": Rule(
        2, "idle", "every job is stored as durably as the engine can", _is(2, "persistent")
    ),
    "worker_direct": Rule(False, "idle", AMQP, _is(False)),
    # How a task runs.
    "task_annotations": Rule(None, "heeded"),
    "task_always_eager": Rule(False, "heeded"),
    "task_eager_propagates": Rule(False, "heeded"),
    "task_store_eager_result": Rule(False, "idle", "what runs eagerly is not stored", _is(False)),
    "task_ignore_result": Rule(False, "heeded"),
    "task_store_errors_even_if_ignored": Rule(False, "holds", fits=lambda _value: True),
    "task_track_started": Rule(False, "heeded"),
    "task_time_limit": Rule(None, "heeded"),
    "task_soft_time_limit": Rule(None, "heeded"),
    "task_default_rate_limit": Rule(None, "heeded"),
    "task_acks_late": Rule(
        False, "idle", "a job is settled when its run has ended: one whose worker dies runs again", _is(True)
    ),
    "task_acks_on_failure_or_timeout": Rule(
        True, "idle", "a failed job is not run again unless its task says so", _is(True)
    ),
    "task_reject_on_worker_lost": Rule(
        None, "idle", "a job whose worker dies runs again, three times at most", _is(True)
    ),
    "task_allow_error_cb_on_chord_header": Rule(False, "idle", CANVAS, _is(False)),
    "task_remote_tracebacks": Rule(False, "idle", "tracebacks are text, always kept", _is(False)),
    "task_publish_retry": Rule(True, "idle", "an enqueue that fails raises; it is not tried again", _is(False, True)),
    "task_publish_retry_policy": Rule(None, "idle", "an enqueue that fails raises; it is not tried again", _nothing),
    "task_send_sent_event": Rule(False, "idle", EVENTS, _is(False)),
    # What is kept.
    "result_expires": Rule(86_400, "heeded"),
    "result_persistent": Rule(None, "holds", fits=lambda _value: True),
    "result_backend_transport_options": Rule(None, "idle", RESULTS, _nothing),
    "result_backend_always_retry": Rule(False, "holds", fits=lambda _value: True),
    "result_backend_max_retries": Rule(None, "idle", RESULTS, _nothing),
    "result_chord_join_timeout": Rule(3.0, "idle", CANVAS, _is(3.0)),
    "result_chord_retry_interval": Rule(1.0, "idle", CANVAS, _is(1.0)),
    "cache_backend": Rule(None, "idle", RESULTS, _nothing),
    "cache_backend_options": Rule(None, "idle", RESULTS, _nothing),
    "redis_max_connections": Rule(None, "idle", BROKER, _nothing),
    "redis_socket_timeout": Rule(120.0, "idle", BROKER, _is(120.0)),
    "redis_socket_connect_timeout": Rule(None, "idle", BROKER, _nothing),
    "redis_socket_keepalive": Rule(False, "idle", BROKER, _is(False)),
    "redis_retry_on_timeout": Rule(False, "idle", BROKER, _is(False)),
    "redis_backend_use_ssl": Rule(None, "refused", "rediss:// in broker_url", _nothing),
    "redis_backend_health_check_interval": Rule(None, "idle", BROKER, _nothing),
    "database_engine_options": Rule(None, "idle", RESULTS, _nothing),
    "database_short_lived_sessions": Rule(False, "idle", RESULTS, _is(False)),
    "database_table_names": Rule(None, "idle", RESULTS, _nothing),
    "database_table_schemas": Rule(None, "idle", RESULTS, _nothing),
    # How it connects.
    "broker_connection_retry": Rule(True, "idle", "a worker always comes back to its engine", _is(True)),
    "broker_connection_retry_on_startup": Rule(None, "idle", "a worker does not start without its engine", _is(False)),
    "broker_connection_max_retries": Rule(100, "idle", "a worker always comes back to its engine", _is(100)),
    "broker_connection_timeout": Rule(4.0, "idle", BROKER, _is(4.0)),
    "broker_channel_error_retry": Rule(False, "idle", BROKER, _is(False)),
    "broker_heartbeat": Rule(120, "idle", "jobsworth worker --lease says when a worker counts as dead", _is(120)),
    "broker_heartbeat_checkrate": Rule(2, "idle", BROKER, _is(2)),
    "broker_login_method": Rule(None, "idle", BROKER, _nothing),
    "broker_pool_limit": Rule(10, "idle", BROKER, _is(10)),
    "broker_transport": Rule(None, "refused", "broker_url says it", _nothing),
    "broker_transport_options": Rule(
        None,
        "idle",
        "visibility timeouts are not needed: a worker renews its leases, and a dead one loses them",
        _nothing,
    ),
    "broker_use_ssl": Rule(None, "refused", "say it in the URL: rediss://, or sslmode= for PostgreSQL", _nothing),
    "broker_failover_strategy": Rule(None, "idle", BROKER, _nothing),
    # The worker.
    "worker_concurrency": Rule(None, "heeded"),
    "worker_pool": Rule(None, "heeded"),
    "worker_prefetch_multiplier": Rule(4, "idle", SLOTS, _is(1)),
    "worker_disable_prefetch": Rule(False, "idle", SLOTS, _is(True)),
    "worker_max_tasks_per_child": Rule(
        None, "idle", "child processes are kept; a leaking one is not replaced", _nothing
    ),
    "worker_max_memory_per_child": Rule(
        None, "idle", "child processes are kept; a large one is not replaced", _nothing
    ),
    "worker_autoscaler": Rule(None, "idle", SERVED, _nothing),
    "worker_send_task_events": Rule(False, "idle", EVENTS, _is(False)),
    "worker_enable_remote_control": Rule(True, "idle", "whoever reaches the engine can cancel its jobs", _is(True)),
    "worker_hijack_root_logger": Rule(
        True, "idle", "the worker's command configures logging if nobody has", _is(False)
    ),
    "worker_log_format": Rule(None, "idle", SERVED, _nothing),
    "worker_task_log_format": Rule(None, "idle", SERVED, _nothing),
    "worker_log_color": Rule(None, "idle", SERVED, _nothing),
    "worker_redirect_stdouts": Rule(True, "idle", "what tasks print goes where the worker's output goes", _is(False)),
    "worker_redirect_stdouts_level": Rule("WARNING", "idle", SERVED, _is("WARNING")),
    "worker_cancel_long_running_tasks_on_connection_loss": Rule(
        False, "idle", "running jobs go on while the engine is away", _is(False)
    ),
    "worker_lost_wait": Rule(10.0, "idle", "jobsworth worker --lease says it", _is(10.0)),
    "worker_proc_alive_timeout": Rule(4.0, "idle", SERVED, _is(4.0)),
    "worker_timer": Rule(None, "idle", SERVED, _nothing),
    "worker_state_db": Rule(None, "holds", fits=lambda _value: True),  # what was revoked stands in the engine
    "worker_soft_shutdown_timeout": Rule(0.0, "idle", "jobsworth worker --grace says it", _nothing),
    "worker_deduplicate_successful_tasks": Rule(False, "idle", "give the job a key", _is(False)),
    "imports": Rule((), "heeded"),
    "include": Rule((), "heeded"),
    # The rest.
    "timezone": Rule("UTC", "heeded"),
    "enable_utc": Rule(True, "heeded"),
    "beat_schedule": Rule(None, "refused", BEAT, _nothing),
    "beat_scheduler": Rule(None, "idle", BEAT, _nothing),
    "beat_schedule_filename": Rule(None, "idle", BEAT, _nothing),
    "beat_max_loop_interval": Rule(None, "idle", BEAT, _nothing),
    "security_key": Rule(None, "refused", "nothing is signed", _nothing),
    "security_certificate": Rule(None, "refused", "nothing is signed", _nothing),
}


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
