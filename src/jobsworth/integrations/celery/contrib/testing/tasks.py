"""A task to see whether a worker works. Nobody needs to declare it: `start_worker` asks otherwise."""

from __future__ import annotations

from jobsworth.integrations.celery import shared_task


@shared_task(name="celery.ping")
def ping() -> str:
    """Whoever gets this has a worker."""
    return "pong"
