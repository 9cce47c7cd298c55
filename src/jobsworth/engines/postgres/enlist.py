"""Enqueue inside a transaction that somebody else holds: which statements that takes, whoever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from ...engine import BEGIN, Script
from ...errors import QueueFull, WrongDatabase
from ...job import NewJob, Receipt
from .intake import batch
from .names import named

T = TypeVar("T")
# Which database of which server, and whether our tables are in it.
HOME = (
    "SELECT (SELECT system_identifier FROM pg_control_system()), (SELECT oid::bigint FROM pg_database WHERE datname ="
    " current_database()), to_regclass(%s) IS NOT NULL, current_database()"
)
# Heard by every listener once that transaction commits. Without content: it says only that something has changed.
RING = "SELECT pg_notify(%s, '')"


def enlist(
    schema: str, home: tuple[Any, ...], jobs: Sequence[NewJob], *, rings: bool, test_now: float | None
) -> Script[list[Receipt] | QueueFull]:
    """Store one batch in the transaction that is open, or begins here, on a connection to this very database."""
    yield BEGIN, ()
    (theirs,) = yield HOME, (tables(schema),)
    if tuple(theirs)[:3] != home[:3]:
        raise WrongDatabase(
            f"the jobs live in the schema {schema!r} of the database {home[3]!r}; transaction= is a connection to"
            f" the database {theirs[3]!r}{'' if theirs[2] else ', which has no such schema'}",
            hint="give the connection and JOBSWORTH_URL the same server and database",
        )
    answer = yield from _named(schema, batch(jobs, test_now))
    if rings and not isinstance(answer, QueueFull):
        yield RING, (schema,)
    return answer


def _named(schema: str, script: Script[T]) -> Script[T]:
    """The same script, with every @name in the schema."""
    try:
        sql, values = next(script)
        while True:
            sql, values = script.send((yield named(schema, sql), values))
    except StopIteration as done:
        answer: T = done.value
        return answer


def tables(schema: str) -> str:
    """What HOME looks for."""
    return f'"{schema}".jobs'
