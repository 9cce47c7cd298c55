"""A project's own tests: their database cannot be dropped while our connections are in it."""

from __future__ import annotations

import functools
from typing import Any

from django.db.backends.base.creation import BaseDatabaseCreation

_MARK = "jobsworth_leaves_first"


def leave_before_the_end() -> None:
    """Called when Django is set up. It has no signal for this, so what ends a test's database is wrapped."""
    end = BaseDatabaseCreation.destroy_test_db
    if hasattr(end, _MARK):
        return

    @functools.wraps(end)
    def leave_and_end(self: Any, *args: Any, **kwargs: Any) -> Any:
        from jobsworth.integrations.django import jobs

        jobs.close()
        return end(self, *args, **kwargs)

    setattr(leave_and_end, _MARK, True)
    BaseDatabaseCreation.destroy_test_db = leave_and_end
