"""How runs ended and how long they took: what is counted, how it is kept small, and what can be said from it.

Engines count the end of each run in a cell, in the transaction that writes it. A minute that is over is packed into
one entry per task; minutes of long ago are folded into hours, and those are dropped in the end. What is asked of them
is the same whichever engine counted. Nothing here reads a clock or a store: moments are minutes of the engine's.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from .job import Job, Progress, State

# Seconds: bucket b of a histogram holds what is at least BOUNDS[b - 1] and less than BOUNDS[b]. Engines have them
# written into their scripts and migrations, so what is stored depends on them.
BOUNDS = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0,
    1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0,
)  # fmt: skip
BUCKETS = len(BOUNDS) + 1
ENDS = ("completed", "retried", "failed", "cancelled", "crashed", "put_back")  # stored by their place here
COMPLETED, RETRIED, FAILED, CANCELLED, CRASHED, PUT_BACK = range(len(ENDS))
NO_RUN = -1  # in a cell: its run time is not counted, only those that completed are
QUEUE = ""  # in the place of a task: what was seen of the queue as a whole
MINUTE, HOUR, DAY = 1, 60, 1440  # in minutes
KEEP_MINUTES = 2 * DAY
KEEP_HOURS = 30 * DAY


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How the runs of one task in one queue ended within one span of time.

    at, seconds: when the span began, by the engine's clock, and how long it is.
    completed:   the handler returned.        retried: it failed, and another attempt follows.
    failed:      given up, for whatever reason, a crash included.        cancelled: stopped on request, or expired.
    crashed:     its process went away, and another attempt follows.     put_back: snoozed, or released at shutdown.
    busy:        seconds that all these runs took together.
    run:         how many of the completed ones took how long, by bucket (see BOUNDS).
    wait:        how long all of them had been due when they started, likewise.

    Jobs that are cancelled while they wait for a worker have no run, so they are not counted.
    """

    queue: str
    task: str
    at: float
    seconds: float
    completed: int = 0
    retried: int = 0
    failed: int = 0
    cancelled: int = 0
    crashed: int = 0
    put_back: int = 0
    busy: float = 0.0
    run: tuple[int, ...] = (0,) * BUCKETS
    wait: tuple[int, ...] = (0,) * BUCKETS


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How full one queue stood within one span of time, as upkeep saw it once a minute.

    in_rate: jobs per minute that came, on average. waiting: queued jobs, on average. most_waiting: at most.
    oldest:  seconds the longest-waiting of them had been ready, at most.
    """

    queue: str
    at: float
    seconds: float
    in_rate: float = 0.0
    waiting: float = 0.0
    most_waiting: int = 0
    oldest: float = 0.0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine counted. `now` is its clock's moment. Both lists are ordered by when spans began, then by name.

    levels have gaps where no worker was there to look, and are empty when one task is asked for.
    """

    now: float
    tallies: list[Tally] = []
    levels: list[Level] = []


class Eta(msgspec.Struct, frozen=True, kw_only=True):
    """When a run may be done: in about `seconds`, likely between `low` and `high`.

    basis: "progress": if it goes on as fast as it went so far. "history": if it takes as long as earlier ones of its
    task did that took at least as long as this one already has; `runs` is how many are known in all.
    """

    seconds: float
    low: float
    high: float
    basis: str
    runs: int = 0


def bucket(seconds: float) -> int:
    """The bucket of a duration; a negative one, from clocks that were set back, counts as none."""
    return bisect_right(BOUNDS, seconds)


def end_of(outcome: str, target: State) -> int:
    """Which of ENDS a run came to, from the attempt's word and the state its job went to."""
    if target is State.COMPLETED:
        return COMPLETED
    if target is State.FAILED:
        return FAILED
    if target is State.CANCELLED:
        return CANCELLED
    return {"lost": CRASHED, "snoozed": PUT_BACK, "released": PUT_BACK}.get(outcome, RETRIED)


# ── keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Sum:
    """What is added up of one task in one span; or, under the name QUEUE, what was seen of its queue."""

    ends: list[int] = field(default_factory=lambda: [0] * len(ENDS))
    busy: float = 0.0
    run: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    wait: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    looks: int = 0
    came: int = 0  # jobs per minute, of all looks together
    waited: int = 0  # queued jobs, of all looks together
    most: int = 0
    oldest: float = 0.0

    def count(self, end: int, run: int, wait: int, runs: int, busy: float) -> None:
        """Add a cell: so many runs that ended alike."""
        self.ends[end] += runs
        self.busy += busy
        self.wait[wait] += runs
        if run != NO_RUN:
            self.run[run] += runs

    def add(self, other: Sum) -> None:
        """Add another span of the same task or queue."""
        self.busy += other.busy
        self.looks += other.looks
        self.came += other.came
        self.waited += other.waited
        self.most, self.oldest = max(self.most, other.most), max(self.oldest, other.oldest)
        for mine, theirs in ((self.ends, other.ends), (self.run, other.run), (self.wait, other.wait)):
            mine[:] = map(operator.add, mine, theirs)

    def packed(self) -> bytes:
        """Few bytes of JSON: [ends, busy, [bucket, runs, bucket, runs...], the same of the waits, what was seen]."""
        seen = (self.looks, self.came, self.waited, self.most, self.oldest) if self.looks else ()
        return _to_json((self.ends, self.busy, _sparse(self.run), _sparse(self.wait), seen))


_Packed = tuple[list[int], float, list[int], list[int], list[float]]
_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder(_Packed).decode


def unpacked(data: bytes | str) -> Sum:
    """What packed() made. Damaged data counts as nothing: a chart with a gap is better than none."""
    total = Sum()
    try:
        ends, total.busy, runs, waits, seen = _from_json(data)
        if seen:
            *numbers, total.oldest = seen
            total.looks, total.came, total.waited, total.most = map(int, numbers)
        for end, number in zip(range(len(ENDS)), ends, strict=True):
            total.ends[end] = number
        for counts, pairs in ((total.run, runs), (total.wait, waits)):
            for place, number in zip(pairs[::2], pairs[1::2], strict=True):
                counts[place] = number
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, IndexError):
        return Sum()
    return total


def _sparse(counts: Sequence[int]) -> list[int]:
    return [each for place, number in enumerate(counts) if number for each in (place, number)]


def cell(minute: int, queue: str, task: str, end: int, took: float, waited: float) -> Cell:
    """The cell of one run, for engines that count in Python."""
    run = bucket(took) if end == COMPLETED else NO_RUN
    return minute, queue, task, end, run, bucket(waited), 1, max(0.0, took)


def look(in_rate: int, waiting: int, oldest: float | None) -> Sum:
    """What is seen of a queue at one look."""
    return Sum(looks=1, came=in_rate, waited=waiting, most=waiting, oldest=oldest or 0.0)


Key = tuple[int, int, str, str]  # the minute it began, its length in minutes, queue, task
Entry = tuple[int, int, str, str, Sum]
Cell = tuple[int, str, str, int, int, int, int, float]  # minute, queue, task, end, run, wait, how many, busy


def totals(cells: Iterable[Cell]) -> dict[Key, Sum]:
    """Cells by minute and task."""
    found: dict[Key, Sum] = {}
    for minute, queue, task, end, run, wait, runs, busy in cells:
        found.setdefault((minute, MINUTE, queue, task), Sum()).count(end, run, wait, runs, busy)
    return found


def folded(entries: Iterable[Entry]) -> dict[Key, Sum]:
    """Minutes, and what there is of their hours already, by hour and task."""
    found: dict[Key, Sum] = {}
    for minute, _, queue, task, total in entries:
        found.setdefault((minute - minute % HOUR, HOUR, queue, task), Sum()).add(total)
    return found


def minute_of(now: float) -> int:
    """Minutes since the epoch."""
    return int(now // 60)


def fold_before(now: float) -> int:
    """Minutes before this one, a full hour's beginning, are folded into hours."""
    return _hour(minute_of(now) - KEEP_MINUTES)


def drop_before(now: float) -> int:
    """Hours that began before this minute are dropped."""
    return _hour(minute_of(now) - KEEP_HOURS)


def _hour(minute: int) -> int:
    return minute - minute % HOUR


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def first_minute(now: float, since: float, step: float) -> int:
    """No entry that began before this minute is part of the answer."""
    return min(_start(now, since, _width(step, length)) for length in (MINUTE, HOUR))


def _width(step: float, length: int) -> int:
    return max(length, math.ceil(step / 60))


def _start(now: float, since: float, width: int) -> int:
    minute = minute_of(max(0.0, now - max(0.0, since)))
    return minute - minute % width


def told(entries: Iterable[Entry], now: float, since: float, step: float) -> Statistics:
    """Entries added up to spans of `step` seconds, or of their own length where that is longer.

    Spans begin at multiples of their length; the first is the whole one that `now - since` lies in.
    """
    widths = {length: _width(step, length) for length in (MINUTE, HOUR)}
    starts = {length: _start(now, since, width) for length, width in widths.items()}
    found: dict[Key, Sum] = {}
    for minute, length, queue, task, total in entries:
        width = widths[length]
        begin = minute - minute % width
        if begin >= starts[length]:
            key = (begin, width, queue, task)
            if key not in found:
                found[key] = Sum()
            found[key].add(total)
    tallies = [_tally(*key, found[key]) for key in sorted(found) if key[-1] != QUEUE]
    levels = [_level(*key[:-1], found[key]) for key in sorted(found) if key[-1] == QUEUE and found[key].looks]
    return Statistics(now=now, tallies=tallies, levels=levels)


def _tally(minute: int, width: int, queue: str, task: str, total: Sum) -> Tally:
    return Tally(
        queue=queue, task=task, at=minute * 60.0, seconds=width * 60.0, busy=total.busy,
        run=tuple(total.run), wait=tuple(total.wait), **dict(zip(ENDS, total.ends, strict=True)),
    )  # fmt: skip


def _level(minute: int, width: int, queue: str, total: Sum) -> Level:
    return Level(
        queue=queue, at=minute * 60.0, seconds=width * 60.0, in_rate=total.came / total.looks,
        waiting=total.waited / total.looks, most_waiting=total.most, oldest=total.oldest,
    )  # fmt: skip


def merged(histograms: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Histograms added up."""
    total = (0,) * BUCKETS
    for each in histograms:
        total = tuple(map(operator.add, total, each))
    return total


def percentile(histogram: Sequence[int], share: float) -> float | None:
    """The duration that this share of a histogram (0 to 1) stays below; None for an empty one.

    Within its bucket it is a guess, so it may be off by a factor of two; in the last one it is that bucket's beginning.
    """
    return beyond(histogram, 0.0, share)


def beyond(histogram: Sequence[int], elapsed: float, share: float) -> float | None:
    """The same among those durations only that are longer than `elapsed` seconds; None if there are none."""
    left = [number * (1.0 - _part(place, elapsed)) for place, number in enumerate(histogram)]
    rank = sum(left) * min(max(share, 0.0), 1.0)
    if sum(left) <= 0.0:
        return None
    for place, number in enumerate(left):
        if number > 0.0 and (rank <= number or not any(left[place + 1 :])):
            begun = _part(place, elapsed)
            return max(elapsed, _within(place, begun + (1.0 - begun) * min(rank / number, 1.0)))
        rank -= number
    return None


def _edges(place: int) -> tuple[float, float]:
    """A bucket's beginning and end. The last one has no end, so all of it counts as its beginning."""
    return (BOUNDS[place - 1] if place else 0.0), (BOUNDS[place] if place < len(BOUNDS) else BOUNDS[-1])


def _within(place: int, part: float) -> float:
    low, high = _edges(place)
    return low + part * (high - low)


def _part(place: int, seconds: float) -> float:
    """Which part of a bucket lies below a duration."""
    low, high = _edges(place)
    if seconds <= low:
        return 0.0
    return 1.0 if seconds >= high else (seconds - low) / (high - low)


# ── when a run may be done ───────────────────────────────────────────────────────────────────────────────────────────

EARLY = 0.05  # a smaller part of the way says nothing about its speed; nor does all of it, while the run goes on
SOME_TIME = 2.0  # seconds; nor does a shorter time
FEW_RUNS = 5  # completed runs; fewer are no history


def eta(elapsed: float, done: float | None, history: Sequence[int]) -> Eta | None:
    """When a run that has gone on for `elapsed` seconds may be done; None where nothing honest can be said.

    done:    which part of its way it has come (0 to 1), if it says so.
    history: of the durations of its task's completed runs.
    """
    elapsed = max(0.0, elapsed)
    if done is not None and EARLY <= done < 1.0 and elapsed >= SOME_TIME:
        left = elapsed * (1.0 - done) / done
        # What is left may go faster or slower: the less of the way is known, the more so.
        return Eta(seconds=left, low=left * done, high=left / done, basis="progress")
    runs = sum(history)
    if runs < FEW_RUNS:
        return None
    low, middle, high = (beyond(history, elapsed, share) for share in (0.1, 0.5, 0.9))
    if low is None or middle is None or high is None:
        return None  # it takes longer than any before it
    return Eta(seconds=middle - elapsed, low=low - elapsed, high=high - elapsed, basis="history", runs=runs)


def done_part(progress: Progress | None) -> float | None:
    """Which part of its way a run has come, 0 to 1; None if it does not say."""
    if progress is None:
        return None
    if progress.percent is not None:
        found = progress.percent / 100.0
    elif progress.current is not None and progress.total is not None and progress.total > 0:
        found = progress.current / progress.total
    else:
        return None
    return min(max(found, 0.0), 1.0) if math.isfinite(found) else None


def expected(job: Job, of_task: Statistics) -> Eta | None:
    """When a job that runs may be done, going by what is known of its task; None for one that does not run."""
    if job.state is not State.RUNNING or job.started_at is None:
        return None
    history = merged(each.run for each in of_task.tallies)
    return eta(of_task.now - job.started_at, done_part(job.progress), history)


def at_last_report(job: Job) -> Eta | None:
    """The same as of the moment of its last progress report, and going by that alone: nothing else has to be known."""
    if job.state is not State.RUNNING or job.started_at is None:
        return None
    return eta(job.updated_at - job.started_at, done_part(job.progress), ())
