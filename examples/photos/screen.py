"""What the demo shows: live bars in a terminal, plain lines anywhere else. Knows nothing of jobs, only of rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

STYLES = {
    "queued": "dim",
    "scheduled": "yellow",
    "running": "cyan",
    "cancelling": "magenta",
    "lost": "bold red",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}
SETTLED = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Row:
    """One job as the screen shows it. `state` is a job's state, or "lost" while its worker is dead."""

    name: str
    state: str
    done: float
    total: float
    remark: str = ""
    worker: str = ""
    attempt: int = 0


class Screen(Protocol):
    """Where the demo speaks."""

    def show(self, rows: Sequence[Row]) -> None:
        """The jobs as they stand."""
        ...

    def say(self, text: str) -> None:
        """Something happened."""
        ...


class LiveScreen:
    """A bar for every job, drawn anew in place."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._started:5.1f} s[/]  {text}")

    def show(self, rows: Sequence[Row]) -> None:
        self._live.update(self._drawn(rows), refresh=True)

    def _drawn(self, rows: Sequence[Row]) -> RenderableType:
        shown = _fitting(rows, max(4, self._console.height - 6))
        grid = Table.grid(padding=(0, 1), expand=True)
        for width in (20, 12, 5, 10):
            grid.add_column(no_wrap=True, width=width, overflow="ellipsis")
        grid.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        for row in shown:
            style = STYLES.get(row.state, "")
            bar = ProgressBar(total=row.total, completed=row.done, width=12, complete_style=style, finished_style=style)
            grid.add_row(
                Text(row.name), bar, f"{row.done:.0f}/{row.total:.0f}" if row.total > 1 else "",
                Text(row.state, style), Text(_remark(row), "dim"),
            )  # fmt: skip
        settled = sum(row.state in SETTLED for row in rows)
        hidden = f", {len(rows) - len(shown)} not shown" if len(shown) < len(rows) else ""
        return Group("", grid, Text(f"{settled} of {len(rows)} finished{hidden}", "dim"))


class PlainScreen:
    """A line for every change, for logs and for CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._known: dict[str, tuple[str, int]] = {}

    def say(self, text: str) -> None:
        self._console.print(f"{time.monotonic() - self._started:5.1f} s  {text}", soft_wrap=True)

    def show(self, rows: Sequence[Row]) -> None:
        for row in rows:
            news = (row.state, row.attempt)
            if self._known.get(row.name) != news and row.state != "queued":
                count = f"{row.done:.0f}/{row.total:.0f}" if row.total > 1 else ""
                name = row.name if len(row.name) <= 24 else f"{row.name[:23]}…"
                self.say(escape(f"{name:<24}  {row.state:<10}  {count:<5}  {_remark(row)}".rstrip()))
            self._known[row.name] = news


@contextmanager
def screen_on(console: Console) -> Iterator[Screen]:
    """The screen that fits where the demo runs."""
    if not console.is_terminal:
        yield PlainScreen(console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveScreen(console, live)


def _fitting(rows: Sequence[Row], room: int) -> Sequence[Row]:
    """As many rows as there is room for: what moves first, then what waits, then what is over."""
    if len(rows) <= room:
        return rows
    rank = [2 if row.state in SETTLED else 1 if row.state == "queued" else 0 for row in rows]
    chosen = sorted(sorted(range(len(rows)), key=lambda index: rank[index])[:room])
    return [rows[index] for index in chosen]


def _remark(row: Row) -> str:
    attempt = f"attempt {row.attempt}" if row.attempt > 1 else ""
    return ", ".join(part for part in (row.worker, attempt, row.remark) if part)
