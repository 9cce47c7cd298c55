"""The API of Celery on Jobsworth's engines: change a program's imports, and it runs. docs/celery.md is the guide.

    from jobsworth.integrations.celery import Celery, Task, shared_task
    from jobsworth.integrations.celery.result import AsyncResult

It translates and holds no rule: the Jobsworth behind an app is `app.jobs`. What cannot be had here raises NotSupported
or warns with DiffersFromCelery; nothing is ignored in silence.
"""

from __future__ import annotations

from .app import Celery
from .canvas import Signature, chain, chord, chunks, group, maybe_signature, signature, subtask, xmap, xstarmap
from .current import current_app, current_task
from .exceptions import DiffersFromCelery, NotSupported, TaskFailed
from .naming import new_task_id as uuid
from .result import AsyncResult
from .task import Task, shared_task

__all__ = [
    "AsyncResult",
    "Celery",
    "DiffersFromCelery",
    "NotSupported",
    "Signature",
    "Task",
    "TaskFailed",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "uuid",
    "xmap",
    "xstarmap",
]
