"""task_routes: which queue a task is sent to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from .exceptions import ImproperlyConfigured, NotSupported, QueueNotFound
from .settings import AMQP

if TYPE_CHECKING:
    from .app import Celery
    from .task import Task

Route = Mapping[str, Any]
_HEEDED = ("queue", "priority", "countdown", "expires", "ignore_result", "time_limit", "soft_time_limit")
_AMQP = ("exchange", "exchange_type", "routing_key", "delivery_mode")


class Router:
    """Reads the app's settings anew at each question, for they may change."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def queue_of(self, task: Task) -> str:
        """The queue for a task of which no arguments are known yet."""
        return str(self.route(task.name, (), {}, {}, task).get("queue") or self._app.conf.task_default_queue)

    def route(self, name: str, args: Any, kwargs: Any, options: Route, task: Task | None) -> dict[str, Any]:
        """The options that the first route gives which knows the task; {} if none does."""
        for router in _routers(self._app.conf.task_routes):
            found = _asked(router, name, args, kwargs, options, task)
            if found:
                return _checked({"queue": found} if isinstance(found, str) else dict(found), name)
        return {}

    def check(self, queue: Any) -> None:
        """Raises QueueNotFound for a queue that task_queues does not name, if it is to name all."""
        conf, name = self._app.conf, str(getattr(queue, "name", queue))
        if not conf.task_create_missing_queues and name not in self._named():
            raise QueueNotFound(f"Queue {name!r} missing from task_queues")

    def _named(self) -> list[str]:
        conf = self._app.conf
        return [str(conf.task_default_queue), *(str(getattr(each, "name", each)) for each in conf.task_queues or ())]

    def queue_names(self) -> list[str]:
        """Queues that the settings name: a worker serves them, whatever is sent there."""
        names = self._named()
        for router in _routers(self._app.conf.task_routes):
            for route in router.values() if isinstance(router, Mapping) else ():
                queue = route if isinstance(route, str) else route.get("queue")
                if queue:
                    names.append(str(getattr(queue, "name", queue)))
        return list(dict.fromkeys(names))


def _routers(given: Any) -> Iterator[Any]:
    if given is None:
        return
    for each in given if isinstance(given, (list, tuple)) else [given]:
        # A pair ("feed.*", {...}) is a map of one; so is a list of pairs, one by one.
        if isinstance(each, (list, tuple)) and len(each) == 2 and isinstance(each[0], (str, re.Pattern)):
            yield {each[0]: each[1]}
        elif isinstance(each, (list, tuple)):
            yield from _routers(list(each))
        elif isinstance(each, Mapping) or callable(each):
            yield each
        elif hasattr(each, "route_for_task"):
            yield each.route_for_task
        else:
            raise ImproperlyConfigured(f"task_routes: {each!r} is no map, no pair and no function")


def _asked(router: Any, name: str, args: Any, kwargs: Any, options: Route, task: Task | None) -> Any:
    if not isinstance(router, Mapping):
        return router(name, args, kwargs, dict(options), task=task)
    if name in router:
        return router[name]
    for pattern, route in router.items():
        if pattern.match(name) if isinstance(pattern, re.Pattern) else fnmatchcase(name, pattern):
            return route
    return None


def _checked(route: dict[str, Any], name: str) -> dict[str, Any]:
    if "queue" not in route and any(word in route for word in _AMQP):
        raise NotSupported(f"the route of {name} names no queue", hint=AMQP)
    queue = route.get("queue")
    if queue is not None:
        route["queue"] = str(getattr(queue, "name", queue))
    return {option: value for option, value in route.items() if option in _HEEDED}


def annotated(given: Any, task: Task) -> dict[str, Any]:
    """What task_annotations says of a task: for all ("*"), and then for it."""
    found: dict[str, Any] = {}
    many: Sequence[Any] = given if isinstance(given, (list, tuple)) else [given] if given else []
    for each in many:
        if isinstance(each, Mapping):
            found |= {**(each.get("*") or {}), **(each.get(task.name) or {})}
        elif hasattr(each, "annotate"):
            found |= {
                **(each.annotate_any() or {} if hasattr(each, "annotate_any") else {}),
                **(each.annotate(task) or {}),
            }
    return found
