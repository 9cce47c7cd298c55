"""URLs as messages may show them."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"^([\w+.-]*:/{0,2}[^/?#:@]*:).*@", re.DOTALL)
_IN_QUERY = re.compile(r"((?:^|[?&\s])[a-z]*password=)[^&#\s]*", re.IGNORECASE)


def redacted(url: str) -> str:
    """The URL without its password. One that was not encoded as it should be is not shown either."""
    return _IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1***@", url))
