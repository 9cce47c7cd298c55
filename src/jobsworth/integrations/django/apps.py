"""The app: when Django is set up it finds the project's tasks."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.conf import settings as djangos
from django.core import checks
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules

from . import rehearsal, serving, settings
from .checks import BACKEND, check


class JobsworthConfig(AppConfig):  # type: ignore[misc]
    """For "jobsworth.integrations.django" in INSTALLED_APPS. It has no tables among Django's: nothing to migrate."""

    name = "jobsworth.integrations.django"
    label = "jobsworth"
    verbose_name = "Background jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Called once, when all models are there."""
        checks.register(check)
        rehearsal.leave_before_the_end()
        post_migrate.connect(_make_tables, dispatch_uid="jobsworth.tables")
        serving.begin_with_the_first_request()
        autodiscover_modules("jobs")
        if any(each.get("BACKEND") == BACKEND for each in getattr(djangos, "TASKS", {}).values()):
            autodiscover_modules("tasks")


def _make_tables(using: str, **_: Any) -> None:
    """`manage.py migrate` makes our tables too: later a transaction of SQLite's could be in the way of making them."""
    from jobsworth.integrations.django import jobs

    if using == settings.given().database and settings.is_djangos_own():
        jobs.open()
        jobs.close()  # a database that is to be copied for parallel tests must have no visitors
