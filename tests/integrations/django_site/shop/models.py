from __future__ import annotations

from django.db import models


class Order(models.Model):
    what = models.TextField()
    sent = models.BooleanField(default=False)

    class Meta:
        app_label = "shop"
