"""What a task is called when nobody says: its module and its function, the same in every process."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobsworth.worker.spec import FILE_PREFIX

if TYPE_CHECKING:
    from .app import Celery


def task_name(app: Celery, fn: Callable[..., Any]) -> str:
    """Celery's way: "module.function", where the app's own name stands for a module that is run as a script."""
    module = fn.__module__.removeprefix(FILE_PREFIX)
    if module == "__main__" and app.main:
        module = app.main
    return f"{module}.{fn.__name__}"


def new_task_id() -> str:
    """A fresh task id, of the form that Celery's have: programs keep them in columns made for a UUID."""
    return str(uuid.uuid4())
