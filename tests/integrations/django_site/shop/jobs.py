"""Found by itself, because the app is installed."""

from __future__ import annotations

import os
from typing import Any

from django.db import connection

from django_site.shop.models import Order
from jobsworth import CurrentJob
from jobsworth.integrations.django import jobs


@jobs.task
def send(order: int) -> str:
    """Finds its order, whichever process it runs in."""
    found = Order.objects.get(pk=order)
    found.sent = True
    found.save()
    return found.what


@jobs.task
async def asend(order: int) -> str:
    found = await Order.objects.aget(pk=order)
    return found.what


@jobs.task(isolation="process")
def send_apart(order: int) -> list[Any]:
    return [Order.objects.get(pk=order).what, os.getpid()]


@jobs.task
def echo(what: str) -> str:
    return what


connections: list[Any] = []


@jobs.task(queue="single")
def look_at_the_connection(job: CurrentJob) -> None:
    """Leaves a connection behind as an outage does: open, and good for nothing."""
    connection.ensure_connection()
    connections.append(connection.connection)
    connection.connection.close()
    connection.errors_occurred = True
