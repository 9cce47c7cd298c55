"""The schema Jobsworth's tables live in, and SQL that names them.

In SQL, here and in the migrations, "@jobs" stands for the table jobs in the chosen schema. Nothing is ever found by a
search path: a pooler may hand each transaction another connection, with another path.
"""

from __future__ import annotations

import functools
import re

from ...errors import BadUrl

DEFAULT = "jobsworth"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_MARK = re.compile(r"@([a-z_]+)")


def checked(schema: str) -> str:
    """A schema's name. Raises BadUrl (E103) unless it is letters, digits and underscores."""
    if not _NAME.fullmatch(schema):
        raise BadUrl(
            f"{schema!r} cannot be the schema's name", hint="small letters, digits and underscores, at most 63"
        )
    return schema


@functools.cache
def named(schema: str, sql: str) -> str:
    """SQL with every @name in the schema."""
    return _MARK.sub(rf'"{schema}".\1', sql)
