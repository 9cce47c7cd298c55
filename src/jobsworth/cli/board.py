"""What `jobsworth top` shows: from what was seen to one frame, in whatever room there is. No I/O.

Whatever comes from data is cleaned and never read as markup.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Group
from rich.style import Style
from rich.table import Table
from rich.text import Text

from jobsworth.engine import QueueStatus, WorkerCard
from jobsworth.job import HELD, Job, State
from jobsworth.log import clean
from jobsworth.snapshot import error_line

from . import text
from .jobs import SIGNS
from .lookout import Loss, Sight
from .status import Report, advice, drains, newest_of, warnings, worker_note

NARROW = 104  # columns below which what matters least is left out
BARS = "▁▂▃▄▅▆▇█"
HELP = """
  q          leave
  p, space   hold the picture still, or let it go on
  tab, ↓ →   the next queue; only its jobs and workers are shown
  ↑ ←        the queue before
  escape     all queues again
  r          look now
  ?          this help

  WAITING    queued jobs; the curve is their number at the last looks
  OLDEST     how long the longest-waiting one has been ready
  IN, OUT    jobs that came and ended within the last minute
  DEAD       jobs that were given up: jobsworth dead list
"""
KEYS = "q quit · p pause · tab ↑↓ queue · r look now · ? help"


class View(msgspec.Struct):
    """What a person chose to see."""

    queue: str | None = None
    held: bool = False  # the picture stands still
    help: bool = False
    keys: bool = True  # somebody can press them


class Picture(msgspec.Struct, frozen=True):
    """Everything one frame is drawn from. `curves`: numbers of waiting jobs by queue."""

    engine: str
    interval: float
    sight: Sight | None
    loss: Loss | None
    curves: Mapping[str, Sequence[int]] = {}


def frame(picture: Picture, view: View, width: int, height: int | None) -> Group:
    """One screen of at most `height` lines; all there is if that is None."""
    top: list[Any] = [_head(picture, view)]
    if picture.loss is not None:
        top.append(_lost(picture.loss))
    bottom = [_line(KEYS, "dim")] if view.keys else []
    if view.help:
        return Group(*top, _line(HELP, ""), *bottom)
    if picture.sight is None:
        return Group(*top, _line("looking...", "dim"), *bottom)
    top += [_line(each, "yellow") for each in _warnings(picture.sight, view)[: 5 if height is None else 2]]
    sections = _sections(picture.sight, picture.curves, view, width)
    room = None if height is None else height - len(top) - len(bottom) - 2 * len(sections)
    fills = height is not None
    shown = [_table(each, lines, fills=fills) for each, lines in zip(sections, _share(sections, room), strict=True)]
    return Group(*top, *(part for table in shown for part in (Text(""), table)), *bottom)


class Section(msgspec.Struct, frozen=True):
    """One table. right: "r" marks a column aligned to the right. grows: the column that takes the room left.

    seen: a row that is always among those shown.
    """

    head: tuple[str, ...]
    rows: list[list[Text]]
    right: str
    nothing: str  # said where there are no rows
    grows: int | None = None
    seen: int = 0


def _share(sections: Sequence[Section], room: int | None) -> list[int]:
    """Lines for each section: all it needs if there is room, else a fair share; what one leaves, others get."""
    needs = [len(section.rows) for section in sections]
    if room is None:
        return needs
    given = [0] * len(needs)
    for _ in range(max(room, 0)):
        hungry = [index for index, need in enumerate(needs) if given[index] < need]
        if not hungry:
            break
        given[min(hungry, key=lambda index: given[index])] += 1
    return given


def _table(section: Section, lines: int, *, fills: bool) -> Table | Text:
    """The section in so many lines below its head. fills: as wide as the screen."""
    if not section.rows or lines <= 0:
        said = f"{len(section.rows):,}, for which there is no room" if section.rows else section.nothing
        return Text.assemble((section.head[0], "bold"), "  ", (said, "dim"), no_wrap=True, overflow="ellipsis")
    fills = fills and section.grows is not None
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False, header_style="bold", expand=fills)
    for index, (name, mark) in enumerate(zip(section.head, section.right.ljust(len(section.head)), strict=False)):
        table.add_column(
            name, justify="right" if mark == "r" else "left", no_wrap=True, overflow="ellipsis",
            ratio=1 if fills and index == section.grows else None,
        )  # fmt: skip
    cut = len(section.rows) > lines
    shown = lines - 1 if cut else lines
    first = max(0, section.seen - shown + 1) if cut and shown else 0
    for row in section.rows[first : first + shown]:
        table.add_row(*row)
    if cut:
        table.add_row(Text(f"… {len(section.rows) - lines + 1:,} more", "dim"))
    return table


def _line(words: str, style: str) -> Text:
    return Text(words, style, no_wrap=True, overflow="ellipsis")


def _head(picture: Picture, view: View) -> Text:
    at = "--:--:--" if picture.sight is None else time.strftime("%H:%M:%S", time.localtime(picture.sight.at))
    parts = ["jobsworth top", clean(picture.engine, 200), at, f"every {text.duration(picture.interval)}"]
    line = _line(" · ".join(parts), "bold")
    line.append(f" · queue {clean(view.queue, 128)}" if view.queue else " · all queues", Style(color="cyan"))
    if view.held:
        line.append(" · ‖ picture held, p lets it go on", Style(color="yellow"))
    return line


def _lost(loss: Loss) -> Text:
    ago = text.duration(max(0.0, time.time() - loss.since))
    return _line(f"▲ engine lost {ago} ago: {clean(loss.why, 300)}; this is what was seen last", "bold red")


def _warnings(sight: Sight, view: View) -> list[str]:
    queues = [queue for queue in sight.queues if view.queue in (None, queue.queue)]
    return warnings(Report({}, queues, sight.workers))


def _sections(sight: Sight, curves: Mapping[str, Sequence[int]], view: View, width: int) -> list[Section]:
    wide = width >= NARROW
    workers = [card for card in sight.workers if view.queue is None or view.queue in card.queues]
    running = [job for job in sight.running if view.queue in (None, job.queue)]
    failed = [job for job in sight.failed if view.queue in (None, job.queue)]
    newest = newest_of(sight.workers)
    chosen = next((at for at, each in enumerate(sight.queues) if each.queue == view.queue), 0)
    running.sort(key=lambda job: job.started_at or sight.at)
    return [
        Section(
            ("QUEUE", "WAITING", "", "RUNNING", "OLDEST", "IN/min", "OUT/min", "DEAD", "SCHEDULED", "DRAINS", "")[
                : None if wide else 8
            ],
            [_queue(queue, curves.get(queue.queue, ()), view, wide) for queue in sight.queues],
            ".r.rrrrrrr", "none yet: one appears with its first job or worker", 10 if wide else None, chosen,
        ),
        Section(
            ("WORKER", "BUSY", "BEAT", "MEMORY", "VERSION", "QUEUES", "")[: None if wide else 5],
            [_worker(card, worker_note(card, newest), wide) for card in workers], ".rrr",
            "none is live; start one: jobsworth worker", 6 if wide else None,
        ),
        Section(
            ("RUNNING JOB", "TASK", "FOR", "PROGRESS", "ATTEMPT", "WORKER")[: None if wide else 4],
            [_running(job, sight.at, wide) for job in running], "..r", "none", 3,
        ),
        Section(
            ("NEWEST FAILURE", "TASK", "AGO", "ERROR"), [_failed(job, sight.at) for job in failed], "..r", "none", 3
        ),
    ]  # fmt: skip


def _queue(queue: QueueStatus, curve: Sequence[int], view: View, wide: bool) -> list[Text]:
    chosen, waiting = queue.queue == view.queue, queue.counts.get(State.QUEUED, 0)
    held = sum(queue.counts.get(state, 0) for state in HELD)
    dead = queue.counts.get(State.FAILED, 0)
    style = "reverse" if chosen else "yellow" if queue.paused else ""
    paused = "" if wide or not queue.paused else " ‖"
    cells = [
        Text(f"{'▸' if chosen else ' '}{clean(queue.queue, 40 if wide else 20)}{paused}", style),
        Text(f"{waiting:,}"),
        Text(spark(curve, 24 if wide else 8), "cyan"),
        Text(f"{held:,}/{queue.slots:,}", "blue" if held else ""),
        Text(text.duration(queue.oldest) if waiting else "-"),
        Text(f"{queue.in_rate:,}"),
        Text(f"{queue.out_rate:,}"),
        Text(f"{dead:,}", "red" if dead else ""),
    ]
    if wide:
        scheduled = queue.counts.get(State.SCHEDULED, 0)
        cells += [Text(f"{scheduled:,}"), Text(drains(queue)), Text(advice(queue), "yellow")]
    return cells


def _worker(card: WorkerCard, note: str, wide: bool) -> list[Text]:
    slots = sum(card.queues.values())
    odd = note.startswith("!")
    cells = [
        Text(f"{'! ' if odd else ''}{clean(card.id, 40)}", "red" if odd else ""),
        Text(f"{card.running:,}/{slots:,}", "blue" if card.running else ""),
        Text(text.duration(card.beat)),
        Text(text.size(card.rss)),
        Text(clean(card.version, 20)),
    ]
    if wide:
        served = clean(", ".join(f"{name}:{number}" for name, number in card.queues.items()), 80)
        cells += [Text(served), Text(note, "yellow")]
    return cells


def _running(job: Job, now: float, wide: bool) -> list[Text]:
    sign, colour = SIGNS[job.state]
    cells = [
        Text.assemble((f"{sign} ", colour), clean(job.id, 40)),
        Text(clean(job.label or job.task, 40 if wide else 20)),
        Text(text.duration(None if job.started_at is None else now - job.started_at)),
        _progress(job, 60 if wide else 24),
    ]
    return [*cells, Text(f"{job.attempt}/{job.max_attempts}"), Text(clean(job.worker, 40))] if wide else cells


def _progress(job: Job, limit: int) -> Text:
    if job.state is State.CANCELLING:
        asked = f"asked to stop: {job.cancel_reason}" if job.cancel_reason else "asked to stop"
        return Text(clean(asked, limit), "yellow")
    if job.progress is None:
        return Text("")
    note = job.progress
    done = text.percent(note.current, note.total, note.percent)
    bar = "" if done is None else f"{text.bar(done)} {done:3.0f} % "
    return Text.assemble((bar, "green"), clean(note.message or "", limit))


def _failed(job: Job, now: float) -> list[Text]:
    ago = None if job.finished_at is None else now - job.finished_at
    what = f"{error_line(job.failure)} ({job.failure.reason})" if job.failure is not None else ""
    return [
        Text.assemble(("✗ ", "red"), clean(job.id, 40)), Text(clean(job.task, 40)), Text(text.duration(ago)),
        Text(clean(what, 200)),
    ]  # fmt: skip


def spark(numbers: Sequence[int], columns: int) -> str:
    """The newest numbers as a curve: ▁▂▅█; its floor is 0 and its top their greatest."""
    newest = list(numbers)[-columns:]
    most = max(newest, default=0)
    return "".join(BARS[0] if most == 0 else BARS[round(number / most * (len(BARS) - 1))] for number in newest)
