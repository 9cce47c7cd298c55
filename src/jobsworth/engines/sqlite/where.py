"""From a Where to SQL. Values are always parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...engine import Where
from ...job import FINAL, State
from .rows import CODES, as_json_list


def condition(where: Where, now: float) -> tuple[str, list[Any]]:
    """The WHERE clause (without the word) and its parameters."""
    terms: list[str] = []
    values: list[Any] = []

    def add(term: str, *params: Any) -> None:
        terms.append(term)
        values.extend(params)

    if where.ids is not None:
        add("id IN (SELECT value FROM json_each(?))", as_json_list(where.ids))
    states = FINAL if where.states is None and _asks_for_an_end(where) else where.states
    if states is not None:
        # SQLite uses a partial index only when the query repeats the index's own condition.
        if FINAL.issuperset(states):
            add("state IN (4, 5, 6)")
        add(f"state IN ({codes(states)})")
    for column in ("queue", "task", "key", "owner"):
        value = getattr(where, column)
        if value is not None:
            add(f"{column} = ?", value)
    if where.tag is not None:
        add("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", where.tag)
    if where.reason is not None:
        add("json_extract(failure, '$.reason') = ?", where.reason)
    if where.text is not None:
        add(
            "(id >= ? AND id < ? OR instr(lower(task), ?) OR instr(lower(coalesce(label, '')), ?)"
            " OR instr(lower(coalesce(json_extract(failure, '$.message'), '')), ?))",
            where.text, where.text + "\U0010ffff", *[where.text.lower()] * 3,
        )  # fmt: skip
    if where.created_within is not None:
        add("created_at >= ?", now - where.created_within)
    if where.finished_for is not None:
        add("finished_at <= ?", now - where.finished_for)
    if where.finished_within is not None:
        add("finished_at >= ?", now - where.finished_within)
    return " AND ".join(terms) or "1", values


def selection(where: Where, now: float, columns: str, extra: str = "") -> tuple[str, list[Any]]:
    """A SELECT of the matching rows, in order of creation, with `beyond` and `limit` applied."""
    text, values = condition(where, now)
    order = "DESC" if where.newest_first else "ASC"
    sql = f"SELECT {columns} FROM jobsworth_jobs WHERE {text}{extra}"  # noqa: S608 (only our own words)
    if where.beyond:
        # `beyond` keeps the newest so many, in whichever order the rest is wanted.
        sql += f" AND seq NOT IN (SELECT seq FROM jobsworth_jobs WHERE {text} ORDER BY seq DESC LIMIT ?)"  # noqa: S608
        values = [*values, *values, where.beyond]
    sql += f" ORDER BY seq {order} LIMIT ?"
    return sql, [*values, -1 if where.limit is None else where.limit]


def codes(states: Iterable[State]) -> str:
    """States as a list of codes for an IN (...)."""
    return ", ".join(str(code) for code in sorted({CODES[state] for state in states}))


def _asks_for_an_end(where: Where) -> bool:
    return where.finished_for is not None or where.finished_within is not None
