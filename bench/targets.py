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
    FREE,
    HELD,
    HISTORY,
    IDLE,
    ON_POSTGRES,
    ON_REDIS,
    OURS,
    OURS_MANY,
    SHALLOW,
    THREADS,
    WAL,
    WHERE,
    row,
)  # fmt: skip

Key = tuple[str, str, str]  # part, who, figure
Found = Mapping[Key, Mapping[int, float]]  # round -> value


@dataclass(frozen=True)
class Target:
    """`figure`, or its ratio to the largest of `against`, must be at least `least` or at most `most`."""

    what: str
    figure: Key
    against: tuple[Key, ...] = ()
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
    each, bare = (part, OURS, "each_us"), ((part, BARE, "each_us"),)
    return [
        Target(f"enqueue(), time of a bare INSERT + COMMIT{where}", each, bare, most=1.3, unit="×"),
        Target(
            f"enqueue_many(1,000), of executemany{where}", _rate(OURS_MANY, part), (_rate(BARE_MANY, part),), least=0.4
        ),
        *_shared_targets(part, where),
    ]


def _shared_targets(part: str, where: str = "") -> list[Target]:
    one_by_one, threads, coroutines = (_rate(OURS, part),), _rate(THREADS, part), _rate(COROUTINES, part)
    return [
        Target(f"50 threads, times one by one{where}", threads, one_by_one, least=4, unit="×"),
        Target(f"50 coroutines, times one by one{where}", coroutines, one_by_one, least=4, unit="×"),
    ]


def _server_targets(store: str) -> list[Target]:
    """What is wanted of PostgreSQL and of Redis alike."""
    drain, flat, latency, idle = (f"{store}-{part}" for part in ("drain", "flat", "latency", "idle"))
    limits = [("turn", 4, 1 / 2), ("turn", 50, 1 / 2), ("lean", 100, 1 / 3)]
    return [
        *(
            Target(
                f"drain, {slots} slots, of the {loop} loop",
                _rate(f"jobsworth, {slots} slots", drain), (_rate(f"{loop}, {slots} slots", drain),), least=least,
            )
            for loop, slots, least in limits
        ),
        Target("drain with 1,000,000 waiting, of 1,000", _rate(DEEP, flat), (_rate(SHALLOW, flat),), least=0.9),
        Target("drain with 1,000,000 finished, of none", _rate(HISTORY, flat), (_rate(SHALLOW, flat),), least=0.9),
        *_shared_targets(f"{store}-enqueue"),
        Target("start after enqueue, other process, p50", (latency, _ACROSS, "p50"), most=3, unit="ms"),
        Target("start after enqueue, other process, p99", (latency, _ACROSS, "p99"), most=15, unit="ms"),
        Target("idle worker, CPU of one core", (idle, IDLE, "cpu_percent"), most=0.5, unit="%"),
        Target("idle worker, queries per second", (idle, IDLE, "queries"), most=5),
    ]  # fmt: skip


def _peers(part: str, *systems: str, slots: int | None = None) -> tuple[Key, ...]:
    """The rates of these systems, as they are in the plan, with so many slots where that is given."""
    wanted = ON_POSTGRES if part == "postgres-drain" else ON_REDIS
    return tuple(
        _rate(row(system, profile, many), part) for system, profile, many, _ in wanted
        if system in systems and slots in (None, many)
    )  # fmt: skip


def _times(what: str, part: str, least: float, *systems: str, slots: int = 50, equal: bool = False) -> Target:
    """The drain rate as a multiple of the quickest of these; `equal`: with the same number of slots."""
    others = _peers(part, *systems, slots=slots if equal else None)
    title = f"drain, {slots} slots, times {what}"
    return Target(title, _rate(f"jobsworth, {slots} slots", part), others, least=least, unit="×")


RESULTS_IN_PYTHON = ("celery", "dramatiq", "rq", "arq", "saq", "taskiq", "streaq", "huey", "bullmq")
_SAME, _ACROSS = WHERE
SNAP = "postgres-snapshot"
TARGETS = (
    Target("drain, 4 slots, of the turn loop", _rate("jobsworth, 4 slots"), (_rate("turn, 4 slots"),), least=0.5),
    Target("drain, 50 slots, of the turn loop", _rate("jobsworth, 50 slots"), (_rate("turn, 50 slots"),), least=0.5),
    Target("drain, 100 slots, of the lean loop", _rate("jobsworth, 100 slots"), (_rate("lean, 100 slots"),), least=0.4),
    Target(
        "drain, 50 slots, times Huey with fsync",
        _rate("jobsworth, 50 slots"), (_rate("huey fsync, 1 slot"),), least=60, unit="×",
    ),
    Target(
        "drain, 50 slots, times Huey with fsync, simulated slower disk",
        _rate("jobsworth, 50 slots", "slow"), (_rate("huey fsync, 1 slot", "slow"),), least=60, unit="×",
    ),
    Target(
        "drain, 50 slots, times Huey without fsync",
        _rate("jobsworth, 50 slots"), (_rate("huey nofsync, 1 slot"),), least=3, unit="×",
    ),
    Target("drain with 1,000,000 waiting, of 1,000", _rate(DEEP, "flat"), (_rate(SHALLOW, "flat"),), least=0.9),
    Target("drain with 1,000,000 finished, of none", _rate(HISTORY, "flat"), (_rate(SHALLOW, "flat"),), least=0.9),
    *_enqueue_targets("enqueue", ""),
    *_enqueue_targets("slow-enqueue", ", simulated slower disk"),
    Target("start after enqueue, same process, p50", ("latency", _SAME, "p50"), most=2, unit="ms"),
    Target("start after enqueue, other process, p50", ("latency", _ACROSS, "p50"), most=10, unit="ms"),
    Target("idle worker, CPU of one core", ("idle", IDLE, "cpu_percent"), most=1, unit="%"),
    Target("idle worker, memory", ("idle", IDLE, "resident_mib"), most=45, unit="MiB"),
    Target("import jobsworth", ("idle", IDLE, "import_ms"), most=100, unit="ms"),
    Target("write-ahead log under load", ("wal", WAL, "peak_mib"), most=64, unit="MiB"),
    Target("write-ahead log 10 s after", ("wal", WAL, "rest_mib"), most=4, unit="MiB"),
    *_server_targets("postgres"),
    Target("drain beside an old snapshot, of without", _rate(HELD, SNAP), (_rate(FREE, SNAP),), least=0.8),
    _times("Procrastinate", "postgres-drain", 50, "procrastinate"),
    _times("Chancy", "postgres-drain", 4, "chancy"),
    _times("Oban (py)", "postgres-drain", 4, "oban"),
    _times("PgQueuer, equal slots", "postgres-drain", 1, "pgqueuer", slots=4, equal=True),
    _times("PgQueuer, equal slots", "postgres-drain", 1, "pgqueuer", equal=True),
    _times("PgQueuer, equal slots", "postgres-drain", 1, "pgqueuer", slots=100, equal=True),
    *_server_targets("redis"),
    _times("Celery at its quickest", "redis-drain", 30, "celery"),
    _times("the quickest Python peer that stores results", "redis-drain", 8, *RESULTS_IN_PYTHON),
    _times("BullMQ on Node, equal slots", "redis-drain", 2, "bullmq-node", slots=4, equal=True),
    _times("BullMQ on Node, equal slots", "redis-drain", 2, "bullmq-node", equal=True),
)  # fmt: skip


def judge(found: Found) -> list[Verdict]:
    """Every target whose figures were measured in at least one common round."""
    verdicts = []
    for target in TARGETS:
        figures = found.get(target.figure, {})
        if not target.against:
            values = list(figures.values())
        else:
            others = _largest([found.get(key, {}) for key in target.against])
            values = [value / others[number] for number, value in figures.items() if number in others]
        if values:
            verdicts.append(Verdict(target, values))
    return verdicts


def _largest(several: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """In each round the largest."""
    rounds = {number for values in several for number in values}
    return {number: max(values[number] for values in several if number in values) for number in rounds}
