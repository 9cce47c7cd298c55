"""How runs ended, counted in this process: by minute, and what is older by hour."""

from __future__ import annotations

from jobsworth import statistics
from jobsworth.job import Job, State
from jobsworth.statistics import HOUR, MINUTE, Statistics, Sum


class Tallies:
    """One per engine; its lock is held by the caller."""

    def __init__(self) -> None:
        self._entries: dict[statistics.Key, Sum] = {}

    def count(self, job: Job, outcome: str, target: State, now: float) -> None:
        """One run ends. `job` is as it was while it ran."""
        started = now if job.started_at is None else job.started_at
        waited = 0.0 if job.run_at is None else started - job.run_at
        end = statistics.end_of(outcome, target)
        minute, queue, task, *_ = cell = statistics.cell(
            statistics.minute_of(now), job.queue, job.task, end, now - started, waited
        )
        self._entry((minute, MINUTE, queue, task)).count(*cell[3:])

    def _entry(self, key: statistics.Key) -> Sum:
        total = self._entries.get(key)
        if total is None:
            total = self._entries[key] = Sum()
        return total

    def note(self, looks: dict[str, Sum], now: float) -> None:
        """How full queues stand, once in every minute."""
        for queue, seen in looks.items():
            self._entries.setdefault((statistics.minute_of(now), MINUTE, queue, statistics.QUEUE), seen)

    def told(self, now: float, since: float, step: float, queue: str | None, task: str | None) -> Statistics:
        """See Engine.statistics()."""
        chosen = [
            (*key, total)
            for key, total in self._entries.items()
            if queue in (None, key[2]) and task in (None, key[3])
        ]  # fmt: skip
        return statistics.told(chosen, now, since, step)

    def tidy(self, now: float) -> None:
        """Fold minutes of long ago into hours, and drop what is too old."""
        fold, drop = statistics.fold_before(now), statistics.drop_before(now)
        old = [key for key in self._entries if key[0] < fold and key[1] < HOUR]
        for key, total in statistics.folded((*key, self._entries.pop(key)) for key in old).items():
            self._entry(key).add(total)
        self._entries = {key: total for key, total in self._entries.items() if key[0] >= drop}
