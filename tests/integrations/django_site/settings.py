"""Where things are is said by the environment: SHOP_DATABASE (a URL), SHOP_JOBS (JOBSWORTH as JSON), SHOP_TASKS."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

from django import VERSION


def database(url: str) -> dict[str, Any]:
    """One of DATABASES, of a URL as Jobsworth writes it."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3", "NAME": parts.path[1:],
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
        }  # fmt: skip
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts.path[1:], "USER": parts.username or "",
        "PASSWORD": parts.password or "", "HOST": parts.hostname or "", "PORT": str(parts.port or ""),
    }  # fmt: skip


BACKEND = "jobsworth.integrations.django.tasks.JobsworthBackend"
DATABASES = {"default": database(os.environ.get("SHOP_DATABASE", "sqlite:///shop.db"))}
JOBSWORTH = json.loads(os.environ.get("SHOP_JOBS", "{}"))
TASKS = json.loads(os.environ.get("SHOP_TASKS", "0")) or {
    "default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail"]},
    "often": {"BACKEND": BACKEND, "QUEUES": ["default"], "OPTIONS": {"max_attempts": 3}},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "a secret of more than sixteen characters"
USE_TZ = True
TIME_ZONE = "UTC"  # it becomes that of the whole process
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_site.urls"
STATIC_URL = "static/"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.admin", "jobsworth.integrations.django", "django_site.shop",
    *(["django_tasks"] if VERSION < (6, 0) else []),
]  # fmt: skip
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]  # fmt: skip
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
