"""Declared with django.tasks, of whichever kind is there."""

from __future__ import annotations

from typing import Any

from django_site.shop.models import Order
from jobsworth import current_job
from jobsworth.errors import Snooze

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task

runs: list[Any] = []


@task
def add(one: int, other: int = 1) -> int:
    return one + other


@task(queue_name="mail", priority=7)
def post(to: str) -> str:
    return f"to {to}"


@task
async def amultiply(one: int, other: int) -> int:
    return one * other


@task
def fail(message: str) -> None:
    raise ValueError(message)


@task(takes_context=True, backend="often")
def fail_at_first(context: Any) -> list[Any]:
    runs.append((context.attempt, context.task_result.id, list(context.task_result.worker_ids)))
    if context.attempt == 1:
        raise OSError("not yet")
    return [context.attempt, context.task_result.id]


@task
def nonsense() -> Any:
    return object()


@task
def how_many_orders() -> int:
    return Order.objects.count()


@task
def sleep_on_it() -> None:
    raise Snooze(600)


@task
def half_way() -> None:
    current_job().report_progress(1, 2)
    raise OSError("the other half is missing")
