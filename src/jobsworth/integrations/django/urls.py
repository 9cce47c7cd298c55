"""path("background/", include("jobsworth.integrations.django.urls")): the dashboard, the API, a job's page events."""

from __future__ import annotations

from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from . import views

app_name = "jobsworth"
# The site has a guard of its own against other sites' pages, which needs no field in a form: see web/access.py.
urlpatterns = [re_path(r"^(?P<path>.*)$", csrf_exempt(views.site), name="site")]
