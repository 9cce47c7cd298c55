"""The reference of the command line, made from it: `python -m jobsworth.cli.reference > docs/cli.md`."""

from __future__ import annotations

import io
from collections.abc import Iterator

from cyclopts import App
from rich.console import Console

from .tree import tree

_COLUMNS = 100
_OPENING = """# The command line

<!-- Made by `python -m jobsworth.cli.reference > docs/cli.md`; a test checks that it is up to date. -->

Data goes to stdout, messages go to stderr, and `--json` gives one JSON document on stdout (`watch --json` and
`status --watch --json`: one line per change). Colours and live bars appear on a terminal only; `NO_COLOR=1` and
`TERM=dumb` are heeded.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | the job failed or was cancelled; for `doctor`: something is wrong; for `move-engine`: the counts differ |
| 2 | the command, its arguments or the configuration is wrong; also an unknown id |
| 3 | the engine cannot be reached, or refuses (locked, full); also: there is no database yet |
| 4 | time is up |
| 70 | a mistake in jobsworth itself |
| 130 | Ctrl-C |

Commands that only look never make a database: without one they say so and end with 3. Times are written `30`, `90s`,
`5m`, `2h` or `1d`. An id may be shortened as long as its beginning is unique. What changes many jobs at once asks for
their number first, and refuses where nobody can be asked, unless `--yes` is given; `--dry-run` only counts.
"""


def reference() -> str:
    """The page, in Markdown."""
    app = tree(whole=True)
    parts = [_OPENING]
    for names in _commands(app):
        title = " ".join(("jobsworth", *names))
        parts.append(f"{'#' * (len(names) + 1)} {title}\n\n```text\n{_help(app, names)}\n```\n")
    return "\n".join(parts)


def _commands(app: App, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in app:
        if not name.startswith("-"):
            yield (*before, name)
            yield from _commands(app[name], (*before, name))


def _help(app: App, names: tuple[str, ...]) -> str:
    page = io.StringIO()
    app.help_print(names, console=Console(file=page, width=_COLUMNS, no_color=True, force_terminal=False))
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


if __name__ == "__main__":
    print(reference(), end="")
