"""Who asks, as Django knows them: a user becomes a visitor of the site.

Permissions are those of Django's own admin, on the model of models.py: who may view, change or delete jobs.
"""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from jobsworth.errors import BadOption
from jobsworth.web import Level, Visitor

from . import settings

# From the highest down: the first that a member of the staff has is their level.
PERMISSIONS = (
    ("jobsworth.delete_job", Level.ADMIN),
    ("jobsworth.change_job", Level.OPERATE),
    ("jobsworth.view_job", Level.READ),
)


def owner_of(user: Any) -> str:
    """Whose jobs this user's are. Raises BadOption (E105) for somebody who is not signed in."""
    if user is None or user.pk is None:
        raise BadOption("somebody who is not signed in owns no jobs", hint="use options(owner=...) for users only")
    return f"user:{user.pk}"


def visitor_of(user: Any) -> Visitor | None:
    """Staff with permissions look at everything, superusers change everything, others see their own jobs.

    Nobody in particular, and who is not active, is nobody; they may still bring a job's token.
    """
    if user is None or not user.is_authenticated or not user.is_active:
        return None
    name, owner = str(user.get_username()), owner_of(user)
    if user.is_staff:
        for permission, level in PERMISSIONS:
            if user.has_perm(permission):  # a superuser has all of them
                return Visitor(level, owner=owner, name=name)
    return Visitor(Level.USER, owner=owner, name=name)


def who_asks(request: Any) -> Any:
    """The visitor behind a request of Django's, by JOBSWORTH["VISITOR"] if there is one. It may ask the database."""
    chosen = settings.given().visitor
    if chosen is not None:
        return import_string(chosen)(request)
    return visitor_of(getattr(request, "user", None))  # None without AuthenticationMiddleware
