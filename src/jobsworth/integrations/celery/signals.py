"""Celery's signals: functions that are called in the worker's process when something happens to a task.

Those that are never sent here can be named, and connecting to one says so.
"""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from .exceptions import differs

_log = logging.getLogger("jobsworth.integrations.celery")
Receiver = Callable[..., Any]


class Signal:
    """One thing that happens. Receivers are held weakly unless they say otherwise, as in Celery."""

    def __init__(self, name: str, instead: str | None = None) -> None:
        self.name = name
        self._instead = instead  # of a signal that is never sent: what tells of it here
        self._receivers: dict[Hashable, tuple[Any, Callable[[], Receiver | None]]] = {}

    def __repr__(self) -> str:
        return f"<Signal: {self.name}>"

    def connect(self, *given: Receiver, sender: Any = None, weak: bool = True, dispatch_uid: Hashable = None) -> Any:
        """Call a function whenever this happens (to this sender): `@signal.connect` or `signal.connect(function)`."""

        def connect(receiver: Receiver) -> Receiver:
            if self._instead is not None:
                differs(f"the signal {self.name} is never sent here: {self._instead}")
            self._receivers[_key(receiver, sender, dispatch_uid)] = (sender, _held(receiver, weak))
            return receiver

        return connect(*given) if given else connect

    def disconnect(self, receiver: Receiver | None = None, sender: Any = None, dispatch_uid: Hashable = None) -> bool:
        """Call it no more. True if it was connected."""
        return self._receivers.pop(_key(receiver, sender, dispatch_uid), None) is not None

    @property
    def heard(self) -> bool:
        """Whether somebody is connected."""
        return bool(self._receivers)

    def send(self, sender: Any, **named: Any) -> list[tuple[Receiver, Any]]:
        """Call every receiver. What one raises is logged and keeps nobody else from being called."""
        answers: list[tuple[Receiver, Any]] = []
        for key, (wanted, held) in list(self._receivers.items()):
            receiver = held()
            if receiver is None:
                self._receivers.pop(key, None)
            elif wanted is None or wanted is sender or (isinstance(wanted, str) and wanted == _name_of(sender)):
                try:
                    answers.append((receiver, receiver(signal=self, sender=sender, **named)))
                except Exception as exc:  # noqa: BLE001 (a user's; no other one is to suffer)
                    _log.exception("a receiver of %s raised: %r", self.name, receiver)
                    answers.append((receiver, exc))
        return answers


def _key(receiver: Receiver | None, sender: Any, uid: Hashable) -> Hashable:
    # A bound method is another object each time it is asked for; what it consists of is not.
    whom = (id(getattr(receiver, "__self__", None)), id(getattr(receiver, "__func__", receiver)))
    return (whom if uid is None else uid, sender if isinstance(sender, str) else id(sender))


def _held(receiver: Receiver, weak: bool) -> Callable[[], Receiver | None]:
    if not weak:
        return lambda: receiver
    return weakref.WeakMethod(receiver) if inspect.ismethod(receiver) else weakref.ref(receiver)


def _name_of(sender: Any) -> Any:
    return sender if isinstance(sender, str) else getattr(sender, "name", None)


task_prerun = Signal("task_prerun")
task_postrun = Signal("task_postrun")
task_success = Signal("task_success")
task_failure = Signal("task_failure")
task_retry = Signal("task_retry")
task_revoked = Signal("task_revoked")
worker_init = Signal("worker_init")
worker_ready = Signal("worker_ready")
worker_shutting_down = Signal("worker_shutting_down")
worker_shutdown = Signal("worker_shutdown")

worker_process_init = Signal("worker_process_init")
celeryd_init = Signal("celeryd_init")
celeryd_after_setup = Signal("celeryd_after_setup")
import_modules = Signal("import_modules")
setup_logging = Signal("setup_logging")
after_setup_logger = Signal("after_setup_logger")
after_setup_task_logger = Signal("after_setup_task_logger")
before_task_publish = Signal("before_task_publish")
after_task_publish = Signal("after_task_publish")


def publishing_is_heard() -> bool:
    """Whether anybody is to be told of jobs that are stored."""
    return before_task_publish.heard or after_task_publish.heard


_LISTEN = "jobs.listeners hears what workers do"
UNSENT = {
    "task_sent": "use after_task_publish",
    "task_received": f"a worker takes a job only to run it at once; {_LISTEN}",
    "task_rejected": _LISTEN,
    "task_unknown": f"jobs of an unknown task wait, and the worker says so; {_LISTEN}",
    "task_internal_error": _LISTEN,
    "heartbeat_sent": "jobsworth workers shows when each was last heard of",
    "worker_process_shutdown": "child processes end at once; worker_shutdown tells of the worker's own end",
    "worker_before_create_process": "child processes are started by need",
    "beat_init": "there is no beat here yet",
    "beat_embedded_init": "there is no beat here yet",
    "eventlet_pool_started": "there is no such pool here",
    "eventlet_pool_preshutdown": "there is no such pool here",
    "eventlet_pool_postshutdown": "there is no such pool here",
    "eventlet_pool_apply": "there is no such pool here",
    "user_preload_options": "the command line is jobsworth's",
}


def __getattr__(name: str) -> Signal:
    if name not in UNSENT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, Signal(name, UNSENT[name]))  # type: ignore[no-any-return]
