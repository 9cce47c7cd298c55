"""How help looks: plain text in two columns, what it does and examples first; the same anywhere."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

WIDEST = 110  # columns: longer lines are hard to read
_LEFT = 26  # columns for names; what is longer gets a line of its own
_KINDS = {"STR": "TEXT", "STR...": "TEXT", "INT": "NUMBER", "FLOAT": "NUMBER"}


class Help:
    """A formatter for cyclopts."""

    def __init__(self) -> None:
        self._usage = ""

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:  # noqa: ARG002
        """Kept until the description has been shown."""
        self._usage = _text(usage).removeprefix("Usage:").strip()

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:  # noqa: ARG002
        """What it does, then how it is called."""
        _print(console, _text(description).rstrip() + "\n")
        if self._usage:
            _print(console, f"Usage: {self._usage}\n")

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:  # noqa: ARG002
        """One group of commands or options."""
        if not panel.entries:
            return
        lines = [f"{_text(panel.title)}:"]
        columns = min(console.width, WIDEST)
        for entry in panel.entries:
            lines += _entry(entry, columns)
        _print(console, "\n".join(lines) + "\n")


def _entry(entry: HelpEntry, columns: int) -> list[str]:
    name = ", ".join(entry.display_labels)
    if entry.metavar and not entry.positional_label:
        name += f" {'|'.join(entry.choices) if entry.choices else _KINDS.get(entry.metavar, entry.metavar)}"
    said = [_text(entry.description)]
    if entry.default not in (None, False, "False"):
        said.append(f"[default: {_text(entry.default)}]")
    room = max(30, columns - _LEFT - 4)
    body = textwrap.wrap(" ".join(part for part in said if part), room, break_on_hyphens=False) or [""]
    head = f"  {name}"
    if len(head) > _LEFT + 2:
        return [head, *(" " * (_LEFT + 4) + line for line in body)]
    return [f"{head:<{_LEFT + 4}}{body[0]}".rstrip(), *(" " * (_LEFT + 4) + line for line in body[1:])]


def _text(thing: Any) -> str:
    """Plain text of what cyclopts hands over: str, rich's Text, or something that holds one."""
    if thing is None:
        return ""
    if isinstance(thing, str):
        return thing.strip()
    inner = getattr(thing, "primary_renderable", thing)
    return str(getattr(inner, "plain", inner)).strip()


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
