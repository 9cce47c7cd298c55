"""From a Where to SQL. Values are always parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...engine import Where
from ...job import FINAL, HELD, State, storable
from .rows import CODES, as_json_list


def condition(where: Where, now: float) -> tuple[str, list[Any]]:
    """The WHERE clause (without the word) and its parameters."""
    terms = [*_states(where), *_names(where), *_words(where), *_moments(where, now)]
    return " AND ".join(term for term, _ in terms) or "1", [
        storable(value) if isinstance(value, str) else value for _, values in terms for value in values
    ]


_Term = tuple[str, tuple[Any, ...]]
_TEXT = (
    "(id >= ? AND id < ? OR instr(lower(task), ?) OR instr(lower(coalesce(label, '')), ?)"
    " OR instr(lower(coalesce(iif(json_valid(failure), json_extract(failure, '$.message'), ''), '')), ?))"
)


def _states(where: Where) -> Iterator[_Term]:
    ended = where.finished_for is not None or where.finished_within is not None
    states = FINAL if where.states is None and ended else where.states
    if states is not None:
        # SQLite uses a partial index only when the query repeats the index's own condition.
        if FINAL.issuperset(states):
            yield "state > 3", ()
        elif HELD.issuperset(states):
            yield "state > 1 AND state < 4", ()
        yield (f"state = {codes(states)}" if len(set(states)) == 1 else f"state IN ({codes(states)})"), ()


def _names(where: Where) -> Iterator[_Term]:
    if where.ids is not None:
        yield "id IN (SELECT value FROM json_each(?))", (as_json_list(where.ids),)
    for column in ("queue", "task", "key", "owner"):
        value = getattr(where, column)
        if value is not None:
            yield f"{column} = ?", (value,)
    if where.tag is not None:
        yield "EXISTS (SELECT 1 FROM json_each(iif(json_valid(tags), tags, '[]')) WHERE value = ?)", (where.tag,)


def _words(where: Where) -> Iterator[_Term]:
    if where.reason is not None:
        yield "iif(json_valid(failure), json_extract(failure, '$.reason'), NULL) = ?", (where.reason,)
    if where.text is not None:
        yield _TEXT, (where.text, where.text + "\U0010ffff", *[where.text.lower()] * 3)


def _moments(where: Where, now: float) -> Iterator[_Term]:
    if where.created_within is not None:
        yield "created_at >= ?", (now - where.created_within,)
    if where.finished_for is not None:
        yield "finished_at <= ?", (now - where.finished_for,)
    if where.finished_within is not None:
        yield "finished_at >= ?", (now - where.finished_within,)


def selection(where: Where, now: float, columns: str, extra: str = "") -> tuple[str, list[Any]]:
    """A SELECT of the matching rows, in order of creation, with `beyond` and `limit` applied."""
    text, values = condition(where, now)
    order = "DESC" if where.newest_first else "ASC"
    sql = f"SELECT {columns} FROM jobsworth_jobs WHERE {text}{extra}"
    if where.beyond:
        # `beyond` keeps the newest so many, in whichever order the rest is wanted.
        sql += f" AND seq NOT IN (SELECT seq FROM jobsworth_jobs WHERE {text}{extra} ORDER BY seq DESC LIMIT ?)"
        values = [*values, *values, where.beyond]
    sql += f" ORDER BY {'+' if _is_narrow(where) else ''}seq {order} LIMIT ?"
    return sql, [*values, -1 if where.limit is None else where.limit]


def _is_narrow(where: Where) -> bool:
    """True where an index finds the few that match: "+seq" then keeps SQLite from walking all rows in order instead."""
    few = where.states is not None and (HELD.issuperset(where.states) or set(where.states) == {State.SCHEDULED})
    return few or where.ids is not None or where.owner is not None


def codes(states: Iterable[State]) -> str:
    """States as a list of codes for an IN (...)."""
    return ", ".join(str(code) for code in sorted({CODES[state] for state in states}))
