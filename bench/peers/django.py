"""Django's tasks with the database backend (django-tasks-db) on SQLite: its db_worker command, one task at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django_tasks import task

import bench.noop
from bench.system import System, count, home_from_environment

DATABASE = home_from_environment() / "django.sqlite3"

# WAL and IMMEDIATE as Django's documentation advises for SQLite with several writers; synchronous stays FULL.
settings.configure(
    INSTALLED_APPS=["django_tasks", "django_tasks_db"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(DATABASE),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
        }
    },
    TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
    USE_TZ=True,
    LOGGING={"version": 1, "disable_existing_loggers": False, "loggers": {"django_tasks": {"level": "WARNING"}}},
)
django.setup()


def _noop(number: int, path: str, size: list[int]) -> dict[str, int]:
    return bench.noop.noop_sync(number, path, size)


# The task is found by its function's path, so the function must bear the name the task is bound to.
_noop.__name__ = _noop.__qualname__ = "noop"
noop: Callable[..., Any] = task()(_noop)


class Django(System):
    """manage.py db_worker."""

    distributions = ("Django", "django-tasks-db")
    profiles = {"default": "every commit synced (WAL, synchronous=FULL), db_worker as documented, no start delay"}

    def fill(self, jobs: int) -> None:
        call_command("migrate", verbosity=0)
        for number in range(jobs):
            noop.enqueue(**bench.noop.arguments(number))  # type: ignore[attr-defined]

    def finished(self) -> int:
        done = "status = 'SUCCESSFUL' and return_value is not null"
        return count(DATABASE, f"select count(*) from django_tasks_database_dbtaskresult where {done}")

    def command(self) -> list[str]:
        start = "import bench.peers.django as d; d.call_command('db_worker', '--no-startup-delay', verbosity=0)"
        return [sys.executable, "-c", start]


SYSTEM = Django
