"""Jobsworth in a Django project: add "jobsworth.integrations.django" to INSTALLED_APPS.

`jobs` is the project's Jobsworth, made of its settings: `@jobs.task` in a `jobs.py` of any installed app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobsworth.errors import ExtraMissing

try:
    import django as _django  # noqa: F401
except ImportError as exc:
    raise ExtraMissing(
        "jobsworth.integrations.django needs Django, which is not installed", hint="pip install 'jobsworth[django]'"
    ) from exc

if TYPE_CHECKING:
    from .house import DjangoJobs

    jobs: DjangoJobs

__all__ = ["jobs", "owner_of"]


def owner_of(user: Any) -> str:
    """Whose a job of this user is: `options(owner=owner_of(request.user))`. Raises BadOption for nobody in particular.

    Users see and cancel their own jobs, on pages and over the mounted site.
    """
    from .access import owner_of

    return owner_of(user)


def __getattr__(name: str) -> Any:
    """`jobs`, made when it is first asked for: by then there are settings."""
    if name != "jobs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .house import DjangoJobs

    return globals().setdefault("jobs", DjangoJobs())
