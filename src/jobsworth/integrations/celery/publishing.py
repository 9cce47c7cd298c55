"""before_task_publish and after_task_publish: what their receivers see of a job that is stored, and may add to it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import signals
from .exceptions import differs

if TYPE_CHECKING:
    from .task import Task


class Publishing:
    """One job on its way. Receivers get Celery's keywords; headers that they add travel with the job."""

    def __init__(self, task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self._task = task.name
        self._queue = str(getattr(given["queue"], "name", given["queue"]))
        self._callbacks = {name: given.get(option) for name, option in _CALLBACKS.items()}
        self._body = (args, dict(kwargs), {**self._callbacks, "chain": None, "chord": None})
        limits = [given.get("time_limit") or task.hard_limit, given.get("soft_time_limit") or task.soft_limit]
        self._own = {
            "lang": "py", "task": task.name, "id": given["task_id"], "shadow": given.get("shadow"),
            "eta": _text(given.get("eta")), "expires": _text(given.get("expires")), "group": None,
            "group_index": None, "retries": 0, "timelimit": limits, "root_id": given.get("root_id", given["task_id"]),
            "parent_id": given.get("parent_id"), "argsrepr": repr(args), "kwargsrepr": repr(dict(kwargs)),
            "origin": f"gen{os.getpid()}@{socket.gethostname()}",
            "ignore_result": given.get("ignore_result", task.ignored),
        }  # fmt: skip
        self._headers = {**self._own, **(given.get("headers") or {})}
        self._priority = given.get("priority")

    def before(self) -> dict[str, Any] | None:
        """Ask receivers; the headers that travel, None for none."""
        signals.before_task_publish.send(
            sender=self._task, body=self._body, exchange="", routing_key=self._queue, declare=[],
            headers=self._headers, retry_policy={},
            properties={"correlation_id": self._own["id"], "reply_to": "", "priority": self._priority},
        )  # fmt: skip
        changed = [name for name, value in self._own.items() if self._headers.get(name) != value]
        if changed:
            differs(
                f"before_task_publish: a receiver has changed {', '.join(changed)}, which has no effect: only headers "
                "of its own travel"
            )
        return {name: value for name, value in self._headers.items() if name not in self._own} or None

    def after(self) -> None:
        """Tell receivers that it is stored."""
        signals.after_task_publish.send(
            sender=self._task, body=self._body, headers=self._headers, exchange="", routing_key=self._queue
        )


_CALLBACKS = {"callbacks": "link", "errbacks": "link_error"}


def _text(moment: Any) -> Any:
    return moment.isoformat() if hasattr(moment, "isoformat") else moment
