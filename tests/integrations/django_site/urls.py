from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from django_site.shop import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("background/", include("jobsworth.integrations.django.urls")),
    path("order/<str:what>", views.order),
    path("aorder/<str:what>", views.aorder),
]
