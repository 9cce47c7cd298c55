"""Celery tasks that run in child processes, which import this module."""

from __future__ import annotations

import os
import time
from pathlib import Path

from jobsworth.integrations.celery import Celery, signals

app = Celery("celery_children", broker="memory://")
set_up: list[int] = []  # processes, by their own account


@signals.worker_process_init.connect
def begins(**_named):
    set_up.append(os.getpid())


@app.task(time_limit=60)
def long():
    time.sleep(60)


class Slow(app.Task):
    def on_success(self, retval, task_id, args, kwargs):
        time.sleep(self.soft_time_limit * 1.5)
        Path(args[0]).touch()


@app.task(base=Slow, soft_time_limit=0.8)
def tidies(_path):
    return "done"


@app.task(time_limit=60, rate_limit="1/h")
def rare():
    return os.getpid(), set_up
