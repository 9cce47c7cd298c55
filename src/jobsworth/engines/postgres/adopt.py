"""Moving house: all jobs in order of creation, and jobs of another engine stored as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...engine import kept_attempts
from ...job import Job, JobId
from .desk import Ask, jobs_from
from .rows import ADOPTED, JOB_COLUMNS, adopted_row, recorded

SCAN = f"SELECT {JOB_COLUMNS} FROM @jobs WHERE seq > %s ORDER BY seq LIMIT %s"
_COLUMNS = ", ".join(name for name, _ in ADOPTED)
_VALUES = ", ".join(
    "(SELECT array_agg(tag ORDER BY place) FROM json_array_elements_text(job.tags::json) WITH ORDINALITY AS each"
    " (tag, place))" if name == "tags" else f"job.{name}"
    for name, _ in ADOPTED
)  # fmt: skip
_ARRAYS = ", ".join(f"%s::{kind}[]" for _, kind in ADOPTED)
ADOPT = (
    f"INSERT INTO @jobs ({_COLUMNS}) SELECT {_VALUES} FROM ROWS FROM (unnest({_ARRAYS})) WITH ORDINALITY"
    f" AS job ({_COLUMNS}, the_place) ORDER BY job.the_place ON CONFLICT DO NOTHING RETURNING id, seq, fence"
)
RECORD = (
    "INSERT INTO @attempts (job, fence, number, worker, started_at, finished_at, outcome, failure)"
    " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::integer[], %s::text[], %s::double precision[],"
    " %s::double precision[], %s::text[], %s::bytea[])"
)


def scan(ask: Ask, after: int, limit: int) -> tuple[list[Job], int]:
    """The next jobs in order of creation, and the place of the last."""
    rows = ask(SCAN, (after, max(limit, 0)), binary=True).fetchall()
    return jobs_from(ask, rows), rows[-1][0] if rows else after


def adopt(ask: Ask, jobs: Sequence[Job]) -> list[JobId]:
    """Store jobs that no worker holds; the ids of those that were not there. Needs a transaction."""
    if not jobs:
        return []
    new = {id_: (seq, fence) for id_, seq, fence in ask(ADOPT, _turned([adopted_row(job) for job in jobs])).fetchall()}
    adopted, records = [], []
    for job in jobs:
        if job.id in new:
            seq, fence = new.pop(job.id)
            adopted.append(job.id)
            past = kept_attempts(job)
            # Below the fence its next lease will have, in their order.
            records += [(seq, fence - len(past) + place, *recorded(each)) for place, each in enumerate(past)]
    if records:
        ask(RECORD, _turned(records))
    return adopted


def _turned(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as columns."""
    return [list(column) for column in zip(*rows, strict=True)]
