"""`jobsworth stats`: how the runs of each task ended, and how long they took and waited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from jobsworth.errors import BadOption
from jobsworth.log import clean
from jobsworth.statistics import ENDS, Tally, merged, percentile

from . import text
from .options import DEFAULTS, Common, looking
from .terminal import put, put_json, say, styled
from .values import seconds_from

SHARES = {"p50": 0.5, "p95": 0.95}
_HEAD = (
    "QUEUE", "TASK", "DONE", "RETRIED", "FAILED", "CANCELLED", "CRASHED", "RUN p50", "p95", "WAIT p50", "p95",
)  # fmt: skip


class Total(msgspec.Struct, frozen=True):
    """All spans of one task."""

    queue: str
    task: str
    counts: dict[str, int]
    busy: float
    run: dict[str, float | None]
    wait: dict[str, float | None]


def stats(
    *,
    queue: Annotated[str | None, Parameter(name=["--queue", "-q"])] = None,
    task: Annotated[str | None, Parameter(name=["--task", "-t"])] = None,
    since: Annotated[str, Parameter(metavar="TIME")] = "1h",
    common: Common = DEFAULTS,
) -> int:
    """How runs ended, how long they took and how long they had waited.

    For example:
      jobsworth stats
      jobsworth stats --since 7d --queue mailers
      jobsworth stats --json

    Minutes are kept for two days, hours for thirty. Times are read off a histogram: they may be off by a factor of
    two. RUN is about runs that were done, WAIT about all of them.

    Parameters
    ----------
    queue
        Of this queue only.
    task
        Of this task only.
    since
        Of the last so long, such as 30m, 2h or 7d.
    """
    seconds = seconds_from(since, "--since")
    assert seconds is not None
    if seconds <= 0:
        raise BadOption("--since must be more than nothing")
    with looking(common) as store:
        told = store.bridge.call(lambda engine: engine.statistics(seconds, queue=queue, task=task))
    found = totals(told.tallies)
    if common.json:
        put_json([msgspec.to_builtins(each) for each in found])
    elif not found:
        say(f"no run ended within {text.duration(seconds)}")
    else:
        head, *body = text.table(_HEAD, [_row(each) for each in found], right="..rrrrrrrrr")
        put(styled(head, "bold"))
        for line in body:
            put(line)
    return 0


def totals(tallies: Sequence[Tally]) -> list[Total]:
    """One for each task of each queue, those that ran most first."""
    spans: dict[tuple[str, str], list[Tally]] = {}
    for each in tallies:
        spans.setdefault((each.queue, each.task), []).append(each)
    found = [_total(*names, those) for names, those in spans.items()]
    return sorted(found, key=lambda each: (-sum(each.counts.values()), each.queue, each.task))


def _total(queue: str, task: str, spans: Sequence[Tally]) -> Total:
    return Total(
        queue, task, {name: sum(getattr(each, name) for each in spans) for name in ENDS},
        sum(each.busy for each in spans), _shares([each.run for each in spans]), _shares([each.wait for each in spans]),
    )  # fmt: skip


def _shares(histograms: Sequence[Sequence[int]]) -> dict[str, float | None]:
    histogram = merged(histograms)
    return {name: percentile(histogram, share) for name, share in SHARES.items()}


def _row(total: Total) -> tuple[Any, ...]:
    counts = [f"{total.counts[name]:,}" for name in ("completed", "retried", "failed", "cancelled", "crashed")]
    times = [text.duration(share) for of in (total.run, total.wait) for share in of.values()]
    return clean(total.queue, 128), clean(total.task, 128), *counts, *times
