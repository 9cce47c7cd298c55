"""The test project django_site within this process: set up once, on whatever database a test is about."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django_here  # noqa: F401 (before all others)
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from django.test import override_settings
from django_site.settings import database

from jobsworth import Jobsworth


@contextmanager
def living_on(url: str, *, whole: bool = False, **jobsworth: Any) -> Iterator[Jobsworth]:
    """The project on the database at `url`; JOBSWORTH is what else is given. Gives its `jobs`.

    whole: with the tables of users, sessions and the admin, not only the shop's.
    """
    from jobsworth.integrations.django import jobs

    before = dict(connections.settings["default"])
    _turn_to(connections.configure_settings({"default": database(url)})["default"])
    with override_settings(JOBSWORTH=jobsworth):
        try:
            call_command("migrate", *([] if whole else ["shop"]), run_syncdb=True, verbosity=0)
            yield jobs
        finally:
            jobs.close()
            _turn_to(before)


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction, or a savepoint, of which nothing stays."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _turn_to(place: dict[str, Any]) -> None:
    assert connections.settings["default"] is settings.DATABASES["default"]
    _leave()
    asyncio.run(sync_to_async(_leave, thread_sensitive=True)())  # the thread of those who may not change threads
    connections.settings["default"].clear()
    connections.settings["default"].update(place)


def _leave() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close()
        del connections[connection.alias]
