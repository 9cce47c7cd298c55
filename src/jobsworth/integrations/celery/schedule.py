"""Celery's ways to name moments, and its backoff."""

from __future__ import annotations

import contextlib
import random
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from jobsworth.errors import BadOption

_RATE = {"s": 1.0, "m": 60.0, "h": 3_600.0}
_MOST_DOUBLINGS = 64


def zone_of(name: Any, *, utc: bool) -> tzinfo:
    """The time zone in which moments without one are meant."""
    if isinstance(name, tzinfo):
        return name
    if name and name != "UTC":
        return ZoneInfo(str(name))
    return UTC if utc else (datetime.now().astimezone().tzinfo or UTC)


def moment(value: Any, zone: tzinfo) -> datetime:
    """A moment as an aware datetime. Raises BadOption (E105)."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # told below
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise BadOption(f"{value!r} is no datetime")
    return value if value.tzinfo else value.replace(tzinfo=zone)


def seconds_until(value: Any, zone: tzinfo) -> float:
    """Seconds from now until a moment, or those that a number or timedelta says; never below 0."""
    if isinstance(value, timedelta):
        return max(0.0, value.total_seconds())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return max(0.0, float(value))
    return max(0.0, (moment(value, zone) - datetime.now(UTC)).total_seconds())


def backoff(factor: float, retries: int, maximum: float, *, jitter: bool) -> float:
    """Celery's: factor * 2**retries seconds, at most `maximum`; with jitter any whole number up to that."""
    bound = min(float(maximum), factor * 2.0 ** min(retries, _MOST_DOUBLINGS))
    return float(random.randrange(int(bound) + 1)) if jitter else max(0.0, bound)  # noqa: S311 (no secret)


def per_second(rate: Any) -> float | None:
    """ "10/m" as runs per second; None for no limit. Raises BadOption (E105)."""
    if rate is None or rate == 0 or rate == "0":
        return None
    if isinstance(rate, (int, float)):
        return float(rate)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/([smh]))?", str(rate).strip())
    if found is None:
        raise BadOption(f"{rate!r} is no rate limit", hint='"10/s", "100/m" or "1000/h"')
    return float(found[1]) / _RATE[found[2] or "s"] or None
