"""What was recorded of a worker of Celery 5.7.0: its signals as they were sent, and what its inspect() answered."""

from __future__ import annotations

from typing import Any

# Each signal with the keywords that its receivers get beside `signal` and `sender`. None: none was sent in a worker
# with child processes, nor by its client.
SIGNALS: dict[str, tuple[str, ...] | None] = {
    "before_task_publish": ("body", "exchange", "routing_key", "declare", "headers", "properties", "retry_policy"),
    "after_task_publish": ("body", "headers", "exchange", "routing_key"),
    "task_sent": ("task_id", "task", "args", "kwargs", "eta", "taskset"),
    "task_received": ("request",),
    "task_prerun": ("task_id", "task", "args", "kwargs"),
    "task_postrun": ("task_id", "task", "args", "kwargs", "retval", "state"),
    "task_success": ("result", "runtime"),
    "task_retry": ("request", "reason", "einfo"),
    "task_failure": ("task_id", "exception", "args", "kwargs", "traceback", "einfo"),
    "task_revoked": ("request", "terminated", "signum", "expired"),
    "task_internal_error": None,
    "task_rejected": None,
    "task_unknown": None,
    "import_modules": (),
    "celeryd_init": ("instance", "conf", "options"),
    "celeryd_after_setup": ("instance", "conf"),
    "setup_logging": ("loglevel", "logfile", "format", "colorize"),
    "after_setup_logger": None,
    "after_setup_task_logger": None,
    "worker_init": (),
    "worker_before_create_process": (),
    "worker_process_init": (),
    "worker_process_shutdown": ("pid", "exitcode"),
    "worker_ready": (),
    "worker_shutting_down": ("sig", "how", "exitcode"),
    "worker_shutdown": (),
    "heartbeat_sent": (),
    "beat_init": None,
    "beat_embedded_init": None,
    "eventlet_pool_started": None,
    "eventlet_pool_preshutdown": None,
    "eventlet_pool_postshutdown": None,
    "eventlet_pool_apply": None,
    "user_preload_options": None,
}

# The answers of inspect(), each of one worker. A type stands for a value of that type, a list of one for such a list,
# a set for one of several types; KEYS in a map stands for keys that are data (a task's name, an id).
KEYS = "*"
TASK = {
    "id": str, "name": str, "args": list, "kwargs": dict, "type": str, "hostname": str, "time_start": {float, None},
    "acknowledged": bool, "worker_pid": {int, None},
    "delivery_info": {"exchange": str, "priority": int, "redelivered": bool, "routing_key": str},
}  # fmt: skip
EXCHANGE = {
    "arguments": None, "auto_delete": bool, "delivery_mode": None, "durable": bool, "name": str, "no_declare": bool,
    "passive": bool, "type": str,
}  # fmt: skip
QUEUE = {
    "alias": None, "auto_delete": bool, "binding_arguments": None, "bindings": list, "consumer_arguments": None,
    "durable": bool, "exchange": EXCHANGE, "exclusive": bool, "expires": None, "max_length": None,
    "max_length_bytes": None, "max_priority": None, "message_ttl": None, "name": str, "no_ack": bool,
    "no_declare": None, "queue_arguments": None, "routing_key": str,
}  # fmt: skip
BROKER = {
    "alternates": list, "connect_timeout": int, "credential_provider": None, "failover_strategy": str,
    "heartbeat": float, "hostname": str, "insist": bool, "login_method": None, "port": {int, None}, "ssl": bool,
    "transport": str, "transport_options": dict, "uri_prefix": None, "userid": {str, None}, "virtual_host": str,
}  # fmt: skip
POOL = {
    "implementation": str, "max-concurrency": int, "max-tasks-per-child": str, "processes": [int],
    "put-guarded-by-semaphore": bool, "timeouts": [int], "writes": {
        "all": str, "avg": str, "inqueues": {"active": int, "total": int}, "raw": str, "strategy": str, "total": int,
    },
}  # fmt: skip
RUSAGE = {
    "idrss": int, "inblock": int, "isrss": int, "ixrss": int, "majflt": int, "maxrss": int, "minflt": int,
    "msgrcv": int, "msgsnd": int, "nivcsw": int, "nsignals": int, "nswap": int, "nvcsw": int, "oublock": int,
    "stime": float, "utime": float,
}  # fmt: skip
INSPECTED: dict[str, Any] = {
    "active": [TASK],
    "reserved": [TASK],
    "scheduled": [{"eta": str, "priority": int, "request": TASK}],
    "registered": [str],  # "proj.add", or "proj.add [rate_limit=10/m]" where there is one
    "ping": {"ok": str},
    "active_queues": [QUEUE],
    "revoked": [str],
    "query_task": {KEYS: [str, TASK]},  # a pair
    "stats": {
        "broker": BROKER, "clock": str, "pid": int, "pool": POOL, "prefetch_count": int, "rusage": RUSAGE,
        "total": {KEYS: int}, "uptime": int,
    },
}  # fmt: skip
