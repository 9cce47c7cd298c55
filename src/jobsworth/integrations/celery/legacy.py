"""The names that Celery's settings had before version 4, which its configs may still use."""

from __future__ import annotations

from collections.abc import Iterable

_PREFIXES = {"task_": "CELERY_", "worker_": "CELERYD_", "beat_": "CELERYBEAT_"}
_KEPT = (
    "accept_content", "arangodb_", "cache_", "couchbase_", "elasticsearch_", "event_", "imports", "include",
    "mongodb_", "redis_", "result_", "security_", "timezone",
)  # fmt: skip
_NOT_KEPT = ("result_accept_content",)  # younger than the old names
_ODD = {
    "CELERY_EAGER_PROPAGATES_EXCEPTIONS": "task_eager_propagates",
    "CELERY_ENABLE_REMOTE_CONTROL": "worker_enable_remote_control",
    "CELERY_DISABLE_RATE_LIMITS": "worker_disable_rate_limits",
    "CELERY_MAX_CACHED_RESULTS": "result_cache_max",
    "CELERY_MESSAGE_COMPRESSION": "task_compression",
    "CELERY_REDIRECT_STDOUTS": "worker_redirect_stdouts",
    "CELERY_REDIRECT_STDOUTS_LEVEL": "worker_redirect_stdouts_level",
    "CELERY_RESULT_DBURI": "database_url",
    "CELERY_RESULT_DB_SHORT_LIVED_SESSIONS": "database_short_lived_sessions",
    "CELERY_RESULT_DB_TABLENAMES": "database_table_names",
    "CELERY_RESULT_ENGINE_OPTIONS": "database_engine_options",
    "CELERY_SEND_EVENTS": "worker_send_task_events",
    "CELERY_SEND_TASK_SENT_EVENT": "task_send_sent_event",
    "CELERY_TASK_PROTOCOL": "task_protocol",
    "CELERY_TASK_PUBLISH_RETRY": "task_publish_retry",
    "CELERY_TASK_PUBLISH_RETRY_POLICY": "task_publish_retry_policy",
    "CELERY_TASK_RESULT_EXPIRES": "result_expires",
    "CELERY_TASK_SERIALIZER": "task_serializer",
    "CELERY_WORKER_DIRECT": "worker_direct",
    "CELERYD_TASK_SOFT_TIME_LIMIT": "task_soft_time_limit",
    "CELERYD_TASK_TIME_LIMIT": "task_time_limit",
    "CELERYD_WORKER_LOST_WAIT": "worker_lost_wait",
    # No old names, but in so many configs that they are taken for what they mean.
    "CELERY_BROKER_URL": "broker_url",
    "CELERY_ENABLE_UTC": "enable_utc",
}


def old_names(settings: Iterable[str]) -> dict[str, str]:
    """Old name to new of these settings."""
    odd = set(_ODD.values()) - {"broker_url", "enable_utc"}
    return {_old(name): name for name in settings if name not in odd} | _ODD


def _old(name: str) -> str:
    for prefix, old in _PREFIXES.items():
        if name.startswith(prefix):
            return f"{old}{name.removeprefix(prefix)}".upper()
    kept = name.startswith(_KEPT) and name not in _NOT_KEPT
    return f"CELERY_{name}".upper() if kept else name.upper()
