"""From a Where to SQL. Values are always parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...engine import Where
from ...job import FINAL, HELD, State
from .rows import CODES, text

_Term = tuple[str, tuple[Any, ...]]
# In the C collation lower() changes ASCII letters only, as every engine does.
_FOUND_IN = 'strpos(lower({} COLLATE "C"), %s) > 0'
_TEXT = f"(starts_with(id, %s) OR {' OR '.join(_FOUND_IN.format(each) for each in ('task', 'label', 'message'))})"


def condition(where: Where, test_now: float | None) -> tuple[str, list[Any]]:
    """The WHERE clause (without the word) and its parameters. `test_now` stands in for the server's clock."""
    terms = [*_states(where), *_names(where), *_words(where), *_moments(where, test_now)]
    return " AND ".join(term for term, _ in terms) or "true", [value for _, values in terms for value in values]


def _states(where: Where) -> Iterator[_Term]:
    ended = where.finished_for is not None or where.finished_within is not None
    states = FINAL if where.states is None and ended else where.states
    if states is not None:
        # A partial index is used only where its own condition can be seen to follow.
        if FINAL.issuperset(states):
            yield "state > 3", ()
        elif HELD.issuperset(states):
            yield "state IN (2, 3)", ()
        yield f"state = ANY ('{{{codes(states)}}}')", ()


def _names(where: Where) -> Iterator[_Term]:
    if where.ids is not None:
        yield "id = ANY (%s::text[])", ([text(each) for each in where.ids],)
    for column in ("queue", "task", "key", "owner"):
        value = getattr(where, column)
        if value is not None:
            yield f"{column} = %s", (text(value),)
    if where.tag is not None:
        yield "%s = ANY (tags)", (text(where.tag),)


def _words(where: Where) -> Iterator[_Term]:
    if where.reason is not None:
        yield "reason = %s", (text(where.reason),)
    if where.text is not None:
        folded = "".join(char.lower() if char.isascii() else char for char in text(where.text))
        yield _TEXT, (text(where.text), *[folded] * 3)


def _moments(where: Where, test_now: float | None) -> Iterator[_Term]:
    for column, sign, age in (
        ("created_at", ">=", where.created_within),
        ("finished_at", "<=", where.finished_for),
        ("finished_at", ">=", where.finished_within),
    ):
        if age is not None:
            yield f"{column} {sign} (SELECT @moment(%s)) - %s", (test_now, age)


def selection(where: Where, test_now: float | None, columns: str, extra: str = "") -> tuple[str, list[Any]]:
    """A SELECT of the matching rows, in order of creation, with `beyond` and `limit` applied."""
    clause, values = condition(where, test_now)
    sql = f"SELECT {columns} FROM @jobs WHERE {clause}{extra}"
    if where.beyond > 0:
        # `beyond` keeps the newest so many, in whichever order the rest is wanted.
        sql += f" AND seq < (SELECT seq FROM @jobs WHERE {clause}{extra} ORDER BY seq DESC LIMIT 1 OFFSET %s)"
        values = [*values, *values, where.beyond - 1]
    sql += f" ORDER BY seq {'DESC' if where.newest_first else 'ASC'} LIMIT %s"
    return sql, [*values, None if where.limit is None else max(0, where.limit)]


def codes(states: Iterable[State]) -> str:
    """States as a list of codes."""
    return ",".join(str(code) for code in sorted({CODES[state] for state in states}))
