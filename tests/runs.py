"""What the tests of running jobs share."""

from __future__ import annotations

from typing import Any

from jobsworth import JobHandle, Retry

SOON = Retry(max_attempts=3, base=0.01)


def words(handle: JobHandle[Any]) -> list[str | None]:
    """How the job's attempts ended."""
    return [attempt.outcome for attempt in handle.refresh().job.attempts]
