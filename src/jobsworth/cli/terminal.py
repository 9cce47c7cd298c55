"""The two streams: data goes to stdout, what is said to a person to stderr. What a terminal can do, and asking."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import sys
import unicodedata
from typing import Any, TextIO

from jobsworth.errors import BadOption

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


def prepare() -> None:
    """A stream that cannot show a sign (a "✓" in an old encoding) shows its code instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def put(text: str = "") -> None:
    """A line of data, on stdout. At once: who reads a pipe should not wait for a buffer to fill."""
    print(text, flush=True)


def put_json(value: Any, *, one_line: bool = False) -> None:
    """A JSON document on stdout; readable on a terminal and in a pipe alike, unless `one_line`."""
    put(json_text(value, indent=None if one_line else 2))


def say(text: str = "") -> None:
    """A line for a person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON in which nothing can move a cursor: control and direction marks are escaped, letters are as they are."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if text.isascii() else "".join(char if _harmless(char) else _escaped(char) for char in text)


def _harmless(char: str) -> bool:
    return char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1]


def is_terminal(stream: TextIO) -> bool:
    """True if a person sees the stream on a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """The text in a style, where the stream (stdout if not named) shows colours and nobody asked for none."""
    if os.environ.get("NO_COLOR") or not is_terminal(stream or sys.stdout):
        return text
    return f"\033[{_CODES[style]}m{text}\033[0m"


def confirm(count: int, doing: str, *, yes: bool) -> None:
    """Have a person type the number of what they are about to change. Raises BadOption where nobody can be asked.

    doing: what happens, with its object: "cancel 312 jobs".
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadOption(
            f"refusing to {doing} without being asked by a person",
            hint="add --yes to do it, or --dry-run to only count",
        )
    say(f"This will {doing}.")
    sys.stderr.write(f"Type {count} to confirm: ")
    sys.stderr.flush()
    if _typed().strip() != str(count):
        raise BadOption("not confirmed; nothing was changed")


def _typed() -> str:
    """A line from the keyboard. Python would not notice a Ctrl-C that comes just before a read that then blocks."""
    with contextlib.suppress(io.UnsupportedOperation):
        keyboard = sys.stdin.fileno()
        while not select.select([keyboard], [], [], 0.1)[0]:
            continue
    return sys.stdin.readline()
