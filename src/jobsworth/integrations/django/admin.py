"""The dashboard's place in the admin: a link, for those of the staff who may view jobs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse

from .models import Job


class JobAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """Leads to the site where that is mounted; where it is not, there is no link."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _address() is not None and self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 (jobs are enqueued by programs)
        return False

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """What the index offers: to look. What else they may do there, the dashboard knows."""
        return {"add": False, "change": False, "delete": False, "view": self.has_view_permission(request)}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        address = _address()
        if address is None or not self.has_view_permission(request):
            return super().changelist_view(request, extra_context)  # which refuses
        return HttpResponseRedirect(address)


def _address() -> str | None:
    try:
        return str(reverse("jobsworth:site", kwargs={"path": ""}))
    except NoReverseMatch:
        return None


admin.site.register(Job, JobAdmin)
