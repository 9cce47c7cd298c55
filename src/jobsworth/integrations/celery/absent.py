"""Settings of those parts of Celery that are not here, with Celery's defaults, by what there is instead.

They are read as in Celery; setting one to something else warns. `settings.py` says the words.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

_RETRIES = {"max_retries": 3, "interval_start": 0, "interval_max": 1, "interval_step": 0.2}
_LOG = "[%(asctime)s: %(levelname)s/%(processName)s] "
DAY = timedelta(days=1)
ABSENT: dict[str, dict[str, Any]] = {
    "results": {
        "arangodb_backend_settings": None,
        "azureblockblob_base_path": "", "azureblockblob_connection_timeout": 20,
        "azureblockblob_container_name": "celery", "azureblockblob_read_timeout": 120,
        "azureblockblob_retry_increment_base": 2, "azureblockblob_retry_initial_backoff_sec": 2,
        "azureblockblob_retry_max_attempts": 3,
        "cache_backend": None, "cache_backend_options": {},
        "cassandra_auth_kwargs": None, "cassandra_auth_provider": None, "cassandra_bundle_path": None,
        "cassandra_entry_ttl": None, "cassandra_keyspace": None, "cassandra_options": {}, "cassandra_port": None,
        "cassandra_read_consistency": None, "cassandra_servers": None, "cassandra_table": None,
        "cassandra_write_consistency": None,
        "cosmosdbsql_collection_name": "celerycol", "cosmosdbsql_consistency_level": "Session",
        "cosmosdbsql_database_name": "celerydb", "cosmosdbsql_max_retry_attempts": 9,
        "cosmosdbsql_max_retry_wait_time": 30, "couchbase_backend_settings": None,
        "database_create_tables_at_setup": True, "database_engine_callback": None,
        "database_engine_options": {"pool_pre_ping": True, "pool_recycle": 3600},
        "database_short_lived_sessions": False, "database_table_names": None, "database_table_schemas": None,
        "database_url": None,
        "elasticsearch_max_retries": None, "elasticsearch_retry_on_timeout": None,
        "elasticsearch_save_meta_as_text": True, "elasticsearch_timeout": None,
        "gcs_base_path": "", "gcs_bucket": None, "gcs_project": None, "gcs_ttl": 0,
        "mongodb_backend_settings": None,
        "redis_db": None, "redis_host": None, "redis_password": None, "redis_port": None, "redis_username": None,
        "result_backend_base_sleep_between_retries_ms": 10, "result_backend_max_retries": float("inf"),
        "result_backend_max_sleep_between_retries_ms": 10_000, "result_backend_transport_options": {},
        "result_cache_max": -1,
        "s3_access_key_id": None, "s3_base_path": None, "s3_bucket": None, "s3_endpoint_url": None,
        "s3_region": None, "s3_secret_access_key": None,
    },
    "broker": {
        "broker_channel_error_retry": False, "broker_connection_timeout": 4, "broker_failover_strategy": None,
        "broker_heartbeat_checkrate": 3.0, "broker_login_method": None, "broker_pool_acquire_timeout": None,
        "broker_pool_limit": 10,
        "redis_backend_health_check_interval": None, "redis_max_connections": None, "redis_retry_on_timeout": False,
        "redis_socket_connect_timeout": None, "redis_socket_keepalive": False, "redis_socket_timeout": 120.0,
    },
    "exchanges": {
        "broker_native_delayed_delivery_queue_type": "quorum", "result_exchange": "celeryresults",
        "result_exchange_type": "direct", "task_create_missing_queue_exchange_type": None,
        "task_create_missing_queue_type": "classic", "task_default_exchange": None,
        "task_default_exchange_type": "direct", "task_default_queue_type": "classic",
        "task_default_routing_key": None, "worker_direct": False,
    },
    "events": {
        "event_exchange": "celeryev", "event_queue_durable": False, "event_queue_exclusive": True,
        "event_queue_expires": 60.0, "event_queue_prefix": "celeryev", "event_queue_ttl": 5.0,
        "event_serializer": "json", "task_send_sent_event": False, "worker_send_task_events": False,
    },
    "control": {
        "control_exchange": "celery", "control_queue_durable": False, "control_queue_exclusive": True,
        "control_queue_expires": 10.0, "control_queue_ttl": 300.0,
    },
    "beat": {
        "beat_cron_starting_deadline": None, "beat_enable_remote_control": False, "beat_max_loop_interval": 0,
        "beat_remote_control_max_tick_age": None, "beat_schedule_filename": "celerybeat-schedule",
        "beat_scheduler": "celery.beat:PersistentScheduler", "beat_sync_every": 0,
    },
    "canvas": {
        "result_chord_expires": None, "result_chord_join_timeout": 3.0, "result_chord_retry_interval": 1.0,
        "task_allow_error_cb_on_chord_header": False,
    },
    "publishing": {"task_publish_retry": True, "task_publish_retry_policy": _RETRIES},
    "worker": {
        "worker_agent": None, "worker_autoscaler": "celery.worker.autoscale:Autoscaler",
        "worker_consumer": "celery.worker.consumer:Consumer", "worker_log_color": None, "worker_log_datefmt": None,
        "worker_log_format": f"{_LOG}%(message)s", "worker_pool_putlocks": True, "worker_pool_restarts": False,
        "worker_proc_alive_timeout": 4.0, "worker_redirect_stdouts_level": "WARNING",
        "worker_task_log_datefmt": None, "worker_task_log_format": f"{_LOG}%(task_name)s[%(task_id)s]: %(message)s",
        "worker_timer": None, "worker_timer_precision": 1.0,
    },
    "keys": {
        "security_cert_store": None, "security_certificate": None, "security_digest": "sha256", "security_key": None,
        "security_key_password": None,
    },
    "one url": {
        "broker_host": None, "broker_password": None, "broker_port": None, "broker_transport": None,
        "broker_user": None, "broker_vhost": None, "broker_read_url": None, "broker_write_url": None,
    },
}  # fmt: skip
