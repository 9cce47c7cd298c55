"""What `manage.py check` tells of a project's settings, each mistake under an id of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings as djangos
from django.core import checks
from django.db import connections
from django.utils.module_loading import import_string

from jobsworth.engines import from_url
from jobsworth.errors import ConfigurationError
from jobsworth.queue import Queue

from . import serving, settings

BACKEND = "jobsworth.integrations.django.tasks.JobsworthBackend"
UNKNOWN, PLACE, DATABASE, QUEUES, SECRET, VISITOR, WORKER = (f"jobsworth.E00{number}" for number in range(1, 8))
DEFERRED, IN_MEMORY, OUT_OF_STEP = (f"jobsworth.W00{number}" for number in range(1, 4))


def check(**_: Any) -> list[checks.CheckMessage]:
    """All that is wrong with JOBSWORTH."""
    try:
        given = settings.given()
    except ConfigurationError as exc:
        return [_error(exc, UNKNOWN)]
    if given.database not in connections.settings:
        known = ", ".join(connections.settings)
        return [checks.Error(f'JOBSWORTH["DATABASE"] is {given.database!r}', hint=f"there are {known}", id=DATABASE)]
    found = [*_tried(_look_at_place, PLACE), *_tried(_look_at_secret, SECRET), *_tried(_look_at_worker, WORKER)]
    found += [wrong for name, options in given.queues.items() for wrong in _queue(name, options)]
    if given.visitor is not None:
        try:
            import_string(given.visitor)
        except ImportError as exc:
            found.append(checks.Error(f'JOBSWORTH["VISITOR"]: {exc}', hint="module.function", id=VISITOR))
    return found or list(_warnings(given))


def _error(exc: ConfigurationError, name: str) -> checks.CheckMessage:
    return checks.Error(f"{exc.code}: {exc.message}", hint=exc.hint, id=name)


def _tried(look: Callable[[], object], name: str) -> Iterator[checks.CheckMessage]:
    try:
        look()
    except ConfigurationError as exc:
        yield _error(exc, name)


def _look_at_place() -> None:
    from_url(settings.url())


def _look_at_secret() -> None:
    from jobsworth.tokens import Tokens

    Tokens(settings.given().secret)


def _look_at_worker() -> None:
    serving.options()


def _queue(name: str, options: Any) -> Iterator[checks.CheckMessage]:
    if not isinstance(options, dict):
        hint = '"QUEUES": {"mail": {"worker_count": 2}}'
        yield checks.Error(f'JOBSWORTH["QUEUES"][{name!r}] must be a dict, not {options!r}', hint=hint, id=QUEUES)
        return
    yield from _tried(lambda: Queue(name, **options), QUEUES)


def _warnings(given: settings.Given) -> Iterator[checks.CheckMessage]:
    own, vendor = settings.is_djangos_own(), connections[given.database].vendor
    mode = (connections.settings[given.database].get("OPTIONS") or {}).get("transaction_mode")
    if own and vendor == "sqlite" and (mode or "").upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        yield checks.Warning(
            f"jobs and workers write to the SQLite file of {given.database!r}: a transaction there that reads before it"
            ' writes can fail with "database is locked", however long its timeout',
            hint=f'DATABASES[{given.database!r}]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE", "timeout": 20}}',
            id=DEFERRED,
        )
    if settings.chosen_url().startswith("memory:") and not given.worker:
        yield checks.Warning(
            "jobs in memory:// are seen by this process alone, and it has no worker",
            hint='JOBSWORTH = {"WORKER": True}, or another URL', id=IN_MEMORY,
        )  # fmt: skip
    if not given.on_commit and not own and djangos.DATABASES:
        yield checks.Warning(
            'with JOBSWORTH["ON_COMMIT"] = False a job may run before the data that it needs is committed',
            hint="leave it out, but for a queue whose jobs need no data of a request", id=OUT_OF_STEP,
        )  # fmt: skip
