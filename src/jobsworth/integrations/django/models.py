"""No table: a name for permissions on jobs, so that the admin knows who may look at them, change them, delete them."""

from __future__ import annotations

from typing import Any

from django.db import models


class Nothing(models.Manager):  # type: ignore[misc]
    """There is no table to ask: `dumpdata` and the admin's pages of one object find nothing."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Job(models.Model):  # type: ignore[misc]
    """All jobs. They live in the engine; of this there is a content type and permissions, and nothing else."""

    objects = Nothing()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view", "change", "delete")
        verbose_name = "job"
        verbose_name_plural = "jobs"
