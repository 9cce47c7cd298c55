"""What running jobs have to say, progress and logged lines: taken along by a pulse, taken back if it did not arrive."""

from __future__ import annotations

from collections.abc import Iterable

from jobsworth.context import CurrentJob
from jobsworth.engine import Pulse

from .run import Run

Told = list[tuple[CurrentJob, Pulse]]


def gather(runs: Iterable[Run], *, silent_too: bool) -> Told:
    """A pulse for each run that has news; `silent_too`: for the others as well, as a sign of life."""
    told: Told = []
    for run in runs:
        context = run.context
        if context.settled is None:  # else it has given its lease up
            note, lines = context.untold(), context.untold_lines()
            if silent_too or note is not None or lines:
                told.append((context, Pulse(run.claim.lease, note, lines)))
    return told


def take_back(told: Told) -> bool:
    """These pulses were not answered: their news is news again. True if there is any."""
    any_news = False
    for context, pulse in told:
        if pulse.progress is not None:
            context.untell(pulse.progress)
            any_news = True
        if pulse.lines and context.journal is not None:
            context.journal.untell(pulse.lines)
            any_news = True
    return any_news
