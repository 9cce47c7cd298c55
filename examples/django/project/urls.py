from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("reports.urls")),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
    # The dashboard for staff, and what the pages of everybody else ask of their own jobs.
    path("background/", include("jobsworth.integrations.django.urls")),
    *staticfiles_urlpatterns(),  # for servers that serve no files themselves, while DEBUG is on
]
