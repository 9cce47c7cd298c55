"""From a function and Celery's options to a task, and what is said of options that nobody heeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .exceptions import NotSupported, differs
from .settings import RULES, verdict
from .task import AS_SETTING, Task

if TYPE_CHECKING:
    from .app import Celery


def heed(task: Task) -> None:
    """Warn of what the task or its base says and nobody heeds. Raises NotSupported (E105)."""
    for option, setting in AS_SETTING.items():
        value = getattr(task, option, None)
        broken = None if value is None else verdict(setting, value)
        if broken is not None and broken.kind == "refused":
            raise NotSupported(f"task {task.name}: {option}={value!r} is not supported", hint=broken.text)
        if broken is not None and value != RULES[setting].default:
            differs(f"{task.name}: {option}={value!r} has no effect: {broken.text}")
    for name in ("Request", "Strategy"):
        if hasattr(task, name):
            differs(f"{task.name}: nobody heeds {name}")


def make(
    app: Celery, fn: Callable[..., Any], base: type[Task], bind: bool, name: str, options: Mapping[str, Any]
) -> Task:
    """A task of a function: an instance of a class of its own, with the options as attributes."""
    for option, value in options.items():
        if option not in AS_SETTING and not hasattr(base, option):
            differs(f"task {name}: nobody heeds {option}={value!r}")
    attributes = {
        **options, "name": name, "app": app, "run": fn if bind else staticmethod(fn), "__doc__": fn.__doc__,
        "__module__": fn.__module__, "__wrapped__": staticmethod(fn), "__qualname__": fn.__qualname__,
        "__name__": fn.__name__, "abstract": False,
    }  # fmt: skip
    made: Task = type(fn.__name__, (base,), attributes)()
    return made
