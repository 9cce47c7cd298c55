"""No table: a name for permissions on jobs, so that the admin knows who may look at them, change them, delete them."""

from __future__ import annotations

from django.db import models


class Job(models.Model):  # type: ignore[misc]
    """All jobs. They live in the engine; of this there is a content type and permissions, and nothing else."""

    class Meta:
        managed = False
        default_permissions = ("view", "change", "delete")
        verbose_name = "job"
        verbose_name_plural = "jobs"
