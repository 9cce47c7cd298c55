"""The program of the migration guide: Celery's own, with only its import lines changed. And hooks to look at it."""

from __future__ import annotations

import os
from typing import Any

from jobsworth.integrations.celery import Celery, Task
from jobsworth.integrations.celery.result import AsyncResult

celery_app = Celery("tasks", broker=os.environ.get("PROGRAM_BROKER", "memory://"))
celery_app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_serializer="json",
    task_track_started=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
)
noted: list[Any] = []
fails: list[int] = []  # how often get_file still fails


def get_file(file_id: int) -> str:
    if fails and fails[0] > 0:
        fails[0] -= 1
        raise ConnectionError("Temporary error")
    return f"file {file_id}"


def perform_analysis(file: str) -> str:
    return file


def notify_completion(file_id: int, result: str) -> None:
    noted.append((file_id, result))


@celery_app.task(bind=True, max_retries=3)
def process_upload(self, file_id: int):
    try:
        file = get_file(file_id)
        result = perform_analysis(file)
        notify_completion(file_id, result)
        return {"status": "completed", "file_id": file_id}
    except Exception as e:
        raise self.retry(exc=e, countdown=0 * 2**self.request.retries)  # noqa: B904 (as people write it)


class ResilientTask(Task):
    autoretry_for = (Exception,)
    retry_kwargs = {"max_retries": 5, "countdown": 0}
    retry_jitter = True

    def on_dead_letter(self, exc, task_id, args, kwargs, einfo):
        noted.append((task_id, exc))


@celery_app.task(base=ResilientTask)
def process_with_recovery(data: dict):
    raise ConnectionError(data["why"])


def result_of(task_id: str) -> AsyncResult:
    return AsyncResult(task_id, app=celery_app)


@celery_app.task(bind=True)
def look(self, *args, **kwargs):
    """What a run sees of its call."""
    run = self.request
    return {"id": run.id, "args": run.args, "kwargs": run.kwargs, "retries": run.retries, "parent": run.parent_id}


@celery_app.task(bind=True, max_retries=2)
def changes(self, steps, left=1):
    if left:
        raise self.retry(args=([*steps, left],), kwargs={"left": left - 1}, countdown=0)
    return {"id": self.request.id, "steps": steps, "retries": self.request.retries}


@celery_app.task
def sends(n):
    look.delay(n)
    return n


@celery_app.task
def breaks():
    raise KeyError("broken")


@celery_app.task
def failed(task_id):
    noted.append(task_id)
