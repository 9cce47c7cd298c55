"""What a task is called when nobody says: its module and its function, the same in every process."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from jobsworth.worker.spec import FILE_PREFIX

if TYPE_CHECKING:
    from .app import Celery


CHILD_OF = "parent:"  # and the id of the job whose run has sent it: a tag, so that its children are found


def task_name(app: Celery, name: str, module: str) -> str:
    """Celery's way: "module.function", where the app's own name stands for a module that is run as a script."""
    module = module.removeprefix(FILE_PREFIX)
    if module == "__main__" and app.main:
        module = app.main
    return f"{module}.{name}"


def new_task_id() -> str:
    """A fresh task id, of the form that Celery's have: programs keep them in columns made for a UUID."""
    return str(uuid.uuid4())
