"""What is measured: the parts, and in each part the samples one round takes. Every sample is a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SLOW_DISK_MS = 3.0


@dataclass(frozen=True)
class Sample:
    """One measurement: `python -m bench.<module> <arguments>`. `who` is its row in the table of its part."""

    part: str
    who: str
    module: str
    arguments: tuple[str, ...]
    system: str


@dataclass(frozen=True)
class Part:
    """A table of the report. figures: key in a sample's answer -> column head, with the unit."""

    title: str
    note: str
    figures: dict[str, str]
    samples: Callable[[bool], list[Sample]]


def _drain(part: str, system: str, profile: str, slots: int, jobs: int, *, slow: bool = False) -> Sample:
    named = "" if profile in ("default", "normal") else f" {profile}"
    who = f"{system}{named}, {slots} slot{'s' if slots > 1 else ''}"
    disk = ("--slow-disk", str(SLOW_DISK_MS)) if slow else ()
    return Sample(
        part, who, "drain", (system, "--profile", profile, "--slots", str(slots), "--jobs", str(jobs), *disk), system
    )


def _drains(quick: bool) -> list[Sample]:
    few = 10 if quick else 1
    wanted = [
        ("jobsworth", "default", 4, 12_000), ("jobsworth", "default", 50, 30_000),
        ("jobsworth", "default", 100, 30_000),
        ("turn", "normal", 4, 12_000), ("turn", "normal", 50, 30_000), ("lean", "normal", 100, 100_000),
        ("huey", "fsync", 1, 2_000), ("huey", "quick", 10, 2_000), ("huey", "nofsync", 1, 6_000),
        ("quebec", "default", 10, 600), ("django", "default", 1, 300), ("dbos", "quick", 10, 200),
        ("dbos", "default", 10, 60), ("soniq", "default", 1, 600), ("localqueue", "durable", 1, 2_000),
        ("localqueue", "relaxed", 1, 3_000), ("persistqueue", "default", 1, 2_000), ("litequeue", "default", 1, 3_000),
    ]  # fmt: skip
    return [_drain("drain", system, profile, slots, jobs // few) for system, profile, slots, jobs in wanted]


def _slow(quick: bool) -> list[Sample]:
    few = 20 if quick else 1
    wanted = [
        ("jobsworth", "default", 50, 30_000), ("turn", "normal", 50, 30_000),
        ("huey", "fsync", 1, 600), ("huey", "quick", 10, 600),
    ]  # fmt: skip
    return [_drain("slow", system, profile, slots, jobs // few, slow=True) for system, profile, slots, jobs in wanted]


def _flat(quick: bool) -> list[Sample]:
    few, many, jobs = (100, 10_000, 2_000) if quick else (1_000, 1_000_000, 20_000)
    wanted = [(SHALLOW, few, 0), (DEEP, many, 0), (HISTORY, few, many)]
    return [
        Sample(
            "flat", who, "flat",
            ("--waiting", str(waiting), "--finished", str(finished), "--jobs", str(jobs)), "jobsworth",
        )
        for who, waiting, finished in wanted
    ]  # fmt: skip


def _enqueue(quick: bool) -> list[Sample]:
    size = ("--single", "200", "--many", "4") if quick else ("--single", "2000", "--many", "20")
    return [Sample("enqueue", "enqueue", "enqueue", size, "jobsworth")]


def _slow_enqueue(quick: bool) -> list[Sample]:
    size = ("--single", "50", "--many", "1") if quick else ("--single", "500", "--many", "5")
    disk = ("--slow-disk", str(SLOW_DISK_MS))
    return [Sample("slow-enqueue", "enqueue", "enqueue", (*size, *disk), "jobsworth")]


def _latency(quick: bool) -> list[Sample]:
    jobs = ("--jobs", "4", "--warm-up", "1") if quick else ("--jobs", "100", "--warm-up", "5")
    return [Sample("latency", who, "latency", (where, *jobs), "jobsworth") for who, where in WHERE.items()]


def _idle(quick: bool) -> list[Sample]:
    size = ("--seconds", "1", "--rest", "0", "--imports", "1") if quick else ("--seconds", "30")
    return [Sample("idle", IDLE, "idle", size, "jobsworth")]


def _wal(quick: bool) -> list[Sample]:
    size = ("--seconds", "0.5", "--rest", "0.5") if quick else ("--seconds", "10", "--rest", "10")
    return [Sample("wal", WAL, "wal", size, "jobsworth")]


BARE, OURS = "bare INSERT + COMMIT", "enqueue()"
BARE_MANY, OURS_MANY = "bare executemany of 1,000 + COMMIT", "enqueue_many(), 1,000 at a time"
THREADS, COROUTINES = "enqueue() from 50 threads", "aenqueue() from 50 coroutines"
SHALLOW, DEEP, HISTORY = "1,000 waiting", "1,000,000 waiting", "1,000 waiting, 1,000,000 finished"
WHERE = {"worker in the same process": "same", "worker in another process": "across"}
IDLE, WAL = "jobsworth worker, 4 slots", "enqueueing and draining at full speed for 10 s"

PARTS = {
    "drain": Part(
        "Draining a full queue",
        "One worker process, the queue filled beforehand; first start to last start, from the ticks.",
        {"rate": "jobs/s", "resident_mib": "RSS MiB"},
        _drains,
    ),
    "slow": Part(
        f"The same on a slower disk, simulated: every fsync takes {SLOW_DISK_MS:.0f} ms longer",
        "How far the ratio to systems that commit each step of a job depends on the disk.",
        {"rate": "jobs/s"},
        _slow,
    ),
    "flat": Part(
        "The drain rate with much behind it",
        "20,000 jobs at 50 slots, the others in the same queue: half of them older but of lower priority.",
        {"rate": "jobs/s"},
        _flat,
    ),
    "enqueue": Part(
        "Storing jobs durably",
        "From one process, in turns with bare inserts into a plain table with one index (rows made beforehand).",
        {"rate": "jobs/s", "each_us": "µs each"},
        _enqueue,
    ),
    "slow-enqueue": Part(
        f"The same on a slower disk, simulated: every fsync takes {SLOW_DISK_MS:.0f} ms longer",
        "Where commits wait for the disk, what surrounds them costs nothing, and sharing them pays.",
        {"rate": "jobs/s", "each_us": "µs each"},
        _slow_enqueue,
    ),
    "latency": Part(
        "From enqueue's return to the handler's start, on an idle system",
        "Milliseconds; 100 jobs a round, 20 to 400 ms apart.",
        {"p50": "p50", "p95": "p95", "p99": "p99"},
        _latency,
    ),
    "idle": Part(
        "An idle worker, and the import",
        "CPU over 30 s, in percent of one core; the quickest of nine imports in fresh interpreters.",
        {"cpu_percent": "CPU %", "resident_mib": "RSS MiB", "import_ms": "import jobsworth, ms"},
        _idle,
    ),
    "wal": Part(
        "The write-ahead log",
        "Its file's largest size under load, and its size ten seconds after.",
        {"peak_mib": "peak MiB", "rest_mib": "after 10 s MiB"},
        _wal,
    ),
}
