"""Celery tasks with limits, in a module that a child process can import."""

from __future__ import annotations

import os
import time

from jobsworth.integrations.celery import Celery, Task
from jobsworth.integrations.celery.exceptions import SoftTimeLimitExceeded

app = Celery("celery_limits", broker=os.environ.get("LIMITS_BROKER", "memory://"))


@app.task(soft_time_limit=0.3)
def soft():
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "tidied"


told = []


class Told(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        told.append((type(exc).__name__, task_id))


@app.task
def errback(task_id):
    told.append(("errback", task_id))


@app.task(base=Told, time_limit=0.5)
def hard():
    time.sleep(60)


@app.task(time_limit=60)
def sends():
    errback.delay("nobody")


@app.task(time_limit=60)
def long():
    time.sleep(60)
