from django.conf import settings
from django.db import models


class Report(models.Model):
    """A text somebody sent, and what was found out about it once its job has run."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    title = models.CharField(max_length=100)
    text = models.TextField(max_length=100_000)
    job = models.CharField(max_length=128, editable=False)
    words = models.PositiveIntegerField(null=True, editable=False)
    most_common = models.JSONField(default=list, editable=False)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.title
