"""What Jobsworth has to reach, as ratios taken within one round or as plain limits, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.plan import (
    BARE,
    BARE_MANY,
    COROUTINES,
    DEEP,
    HISTORY,
    IDLE,
    OURS,
    OURS_MANY,
    SHALLOW,
    THREADS,
    WAL,
    WHERE,
)  # fmt: skip

Key = tuple[str, str, str]  # part, who, figure
Found = Mapping[Key, Mapping[int, float]]  # round -> value


@dataclass(frozen=True)
class Target:
    """`figure`, or its ratio to `against`, must be at least `least` or at most `most`."""

    what: str
    figure: Key
    against: Key | None = None
    least: float | None = None
    most: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """A target with what was measured, one value per round."""

    target: Target
    values: Sequence[float]

    @property
    def passed(self) -> bool:
        middle = median(self.values)
        least, most = self.target.least, self.target.most
        return (least is None or middle >= least) and (most is None or middle <= most)


def _rate(who: str, part: str = "drain") -> Key:
    return (part, who, "rate")


def _enqueue_targets(part: str, where: str) -> list[Target]:
    each, bare = (part, OURS, "each_us"), (part, BARE, "each_us")
    one_by_one, threads, coroutines = _rate(OURS, part), _rate(THREADS, part), _rate(COROUTINES, part)
    return [
        Target(f"enqueue(), time of a bare INSERT + COMMIT{where}", each, bare, most=1.3, unit="×"),
        Target(
            f"enqueue_many(1,000), of executemany{where}", _rate(OURS_MANY, part), _rate(BARE_MANY, part), least=0.4
        ),
        Target(f"50 threads, times one by one{where}", threads, one_by_one, least=4, unit="×"),
        Target(f"50 coroutines, times one by one{where}", coroutines, one_by_one, least=4, unit="×"),
    ]


_SAME, _ACROSS = WHERE
TARGETS = (
    Target("drain, 4 slots, of the turn loop", _rate("jobsworth, 4 slots"), _rate("turn, 4 slots"), least=0.5),
    Target("drain, 50 slots, of the turn loop", _rate("jobsworth, 50 slots"), _rate("turn, 50 slots"), least=0.5),
    Target("drain, 100 slots, of the lean loop", _rate("jobsworth, 100 slots"), _rate("lean, 100 slots"), least=0.4),
    Target(
        "drain, 50 slots, times Huey with fsync",
        _rate("jobsworth, 50 slots"), _rate("huey fsync, 1 slot"), least=60, unit="×",
    ),
    Target(
        "drain, 50 slots, times Huey with fsync, simulated slower disk",
        _rate("jobsworth, 50 slots", "slow"), _rate("huey fsync, 1 slot", "slow"), least=60, unit="×",
    ),
    Target(
        "drain, 50 slots, times Huey without fsync",
        _rate("jobsworth, 50 slots"), _rate("huey nofsync, 1 slot"), least=3, unit="×",
    ),
    Target("drain with 1,000,000 waiting, of 1,000", _rate(DEEP, "flat"), _rate(SHALLOW, "flat"), least=0.9),
    Target("drain with 1,000,000 finished, of none", _rate(HISTORY, "flat"), _rate(SHALLOW, "flat"), least=0.9),
    *_enqueue_targets("enqueue", ""),
    *_enqueue_targets("slow-enqueue", ", simulated slower disk"),
    Target("start after enqueue, same process, p50", ("latency", _SAME, "p50"), most=2, unit="ms"),
    Target("start after enqueue, other process, p50", ("latency", _ACROSS, "p50"), most=10, unit="ms"),
    Target("idle worker, CPU of one core", ("idle", IDLE, "cpu_percent"), most=1, unit="%"),
    Target("idle worker, memory", ("idle", IDLE, "resident_mib"), most=45, unit="MiB"),
    Target("import jobsworth", ("idle", IDLE, "import_ms"), most=100, unit="ms"),
    Target("write-ahead log under load", ("wal", WAL, "peak_mib"), most=64, unit="MiB"),
    Target("write-ahead log 10 s after", ("wal", WAL, "rest_mib"), most=4, unit="MiB"),
)  # fmt: skip


def judge(found: Found) -> list[Verdict]:
    """Every target whose figures were measured in at least one common round."""
    verdicts = []
    for target in TARGETS:
        figures = found.get(target.figure, {})
        if target.against is None:
            values = list(figures.values())
        else:
            others = found.get(target.against, {})
            values = [value / others[number] for number, value in figures.items() if number in others]
        if values:
            verdicts.append(Verdict(target, values))
    return verdicts
