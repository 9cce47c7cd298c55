"""What is measured: the parts, and in each part the samples one round takes. Every sample is a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    store: str = "sqlite"
    most: int = 1_000  # rounds it is taken in: once is enough for what takes a quarter of an hour
    rows: tuple[str, ...] = ()  # of the table, where its one sample measures several in turns

    def who(self, quick: bool) -> set[str]:
        """Everybody who has a row in its table."""
        return set(self.rows) or {sample.who for sample in self.samples(quick)}


def row(system: str, profile: str, slots: int) -> str:
    """What a system in one profile is called in a table."""
    named = "" if profile in ("default", "normal") else f" {profile}"
    return f"{system}{named}, {slots} slot{'s' if slots > 1 else ''}"


def _drain(part: str, system: str, profile: str, slots: int, jobs: int, *, slow: bool = False) -> Sample:
    disk = ("--slow-disk", str(SLOW_DISK_MS)) if slow else ()
    who = row(system, profile, slots)
    return Sample(
        part, who, "drain", (system, "--profile", profile, "--slots", str(slots), "--jobs", str(jobs), *disk), system
    )


def _drains(quick: bool) -> list[Sample]:
    few = 50 if quick else 1
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


# Beside PostgreSQL and Redis: system, profile, slots, jobs. The peers as quick as they honestly go.
ON_POSTGRES = [
    ("jobsworth", "default", 4, 6_000), ("jobsworth", "default", 50, 30_000), ("jobsworth", "default", 100, 30_000),
    ("turn", "normal", 4, 6_000), ("turn", "normal", 50, 30_000), ("lean", "normal", 100, 60_000),
    ("pgqueuer", "quick", 4, 3_000), ("pgqueuer", "quick", 50, 20_000), ("pgqueuer", "quick", 100, 20_000),
    ("chancy", "quick", 4, 2_000), ("chancy", "quick", 50, 5_000), ("chancy", "quick", 100, 8_000),
    ("oban", "quick", 4, 2_000), ("oban", "quick", 50, 8_000), ("oban", "quick", 100, 8_000),
    ("saq", "quick", 4, 1_000), ("saq", "quick", 50, 1_500),
    ("procrastinate", "quick", 4, 600), ("procrastinate", "quick", 50, 600),
]  # fmt: skip
ON_REDIS = [
    ("jobsworth", "default", 4, 12_000), ("jobsworth", "default", 50, 40_000), ("jobsworth", "default", 100, 40_000),
    ("turn", "normal", 4, 12_000), ("turn", "normal", 50, 40_000), ("lean", "normal", 100, 100_000),
    ("bullmq-node", "quick", 4, 20_000), ("bullmq-node", "quick", 50, 30_000),
    ("bullmq", "quick", 4, 5_000), ("bullmq", "quick", 50, 5_000),
    ("dramatiq", "default", 8, 6_000), ("dramatiq", "quick", 8, 6_000),
    ("huey", "quick", 1, 6_000), ("huey", "quick", 10, 6_000),
    ("saq", "quick", 4, 4_000), ("saq", "quick", 10, 4_000), ("saq", "quick", 50, 4_000),
    ("arq", "quick", 4, 3_000), ("arq", "quick", 10, 4_000), ("arq", "quick", 50, 4_000),
    ("taskiq", "quick", 4, 4_000), ("taskiq", "quick", 50, 5_000),
    ("streaq", "quick", 16, 3_000), ("streaq", "quick", 50, 3_000),
    ("celery", "solo", 1, 2_000), ("celery", "threads", 10, 2_000), ("celery", "prefork", 2, 2_000),
    ("rq", "quick", 1, 1_000),
]  # fmt: skip


def _drains_on(part: str, wanted: list[tuple[str, str, int, int]]) -> Callable[[bool], list[Sample]]:
    def made(quick: bool) -> list[Sample]:
        few = 100 if quick else 1
        return [_drain(part, system, profile, slots, jobs // few) for system, profile, slots, jobs in wanted]

    return made


def _flat(part: str) -> Callable[[bool], list[Sample]]:
    def made(quick: bool) -> list[Sample]:
        few, many, jobs = (100, 2_000, 400) if quick else (1_000, 1_000_000, 20_000)
        wanted = [(SHALLOW, few, 0), (DEEP, many, 0), (HISTORY, few, many)]
        return [
            Sample(
                part, who, "flat",
                ("--waiting", str(waiting), "--finished", str(finished), "--jobs", str(jobs)), "jobsworth",
            )
            for who, waiting, finished in wanted
        ]  # fmt: skip

    return made


def _enqueue(part: str) -> Callable[[bool], list[Sample]]:
    def made(quick: bool) -> list[Sample]:
        size = ("--single", "50", "--many", "1") if quick else ("--single", "2000", "--many", "20")
        return [Sample(part, "enqueue", "enqueue", size, "jobsworth")]

    return made


def _slow_enqueue(quick: bool) -> list[Sample]:
    size = ("--single", "50", "--many", "1") if quick else ("--single", "500", "--many", "5")
    disk = ("--slow-disk", str(SLOW_DISK_MS))
    return [Sample("slow-enqueue", "enqueue", "enqueue", (*size, *disk), "jobsworth")]


def _latency(part: str) -> Callable[[bool], list[Sample]]:
    def made(quick: bool) -> list[Sample]:
        jobs = ("--jobs", "4", "--warm-up", "1") if quick else ("--jobs", "100", "--warm-up", "5")
        wanted = WHERE if part == "latency" else {**WHERE, BARE_WAY: "bare"}
        return [Sample(part, who, "latency", (where, *jobs), "jobsworth") for who, where in wanted.items()]

    return made


def _idle(part: str) -> Callable[[bool], list[Sample]]:
    def made(quick: bool) -> list[Sample]:
        size = ("--seconds", "1", "--rest", "0", "--imports", "1") if quick else ("--seconds", "30")
        return [Sample(part, IDLE, "idle", size, "jobsworth")]

    return made


def _memory(quick: bool) -> list[Sample]:
    return [Sample("redis-memory", MEMORY, "memory", ("--jobs", "2000" if quick else "100000"), "jobsworth")]


def _snapshot(quick: bool) -> list[Sample]:
    size = ("--seconds", "1", "--jobs", "200") if quick else ("--seconds", "900", "--jobs", "10000")
    return [Sample("postgres-snapshot", HELD, "snapshot", size, "jobsworth")]


def _browsers(quick: bool) -> list[Sample]:
    crowd = ("20", "2", "4", "300") if quick else ("1000", "100", "200", "150000")
    named = zip(("--browsers", "--deaf", "--watched", "--jobs"), crowd, strict=True)
    return [Sample("browsers", WATCHED, "browsers", tuple(word for pair in named for word in pair), "jobsworth")]


def _wal(quick: bool) -> list[Sample]:
    size = ("--seconds", "0.5", "--rest", "0.5") if quick else ("--seconds", "10", "--rest", "10")
    return [Sample("wal", WAL, "wal", size, "jobsworth")]


BARE, OURS = "bare INSERT + COMMIT", "enqueue()"
BARE_MANY, OURS_MANY = "bare executemany of 1,000 + COMMIT", "enqueue_many(), 1,000 at a time"
THREADS, COROUTINES = "enqueue() from 50 threads", "aenqueue() from 50 coroutines"
SHALLOW, DEEP, HISTORY = "1,000 waiting", "1,000,000 waiting", "1,000 waiting, 1,000,000 finished"
WHERE = {"worker in the same process": "same", "worker in another process": "across"}
BARE_WAY = "bare: stored, told and taken by hand, other process"
IDLE, WAL = "jobsworth worker, 4 slots", "enqueueing and draining at full speed for 10 s"
ALONE, WATCHED = "nobody looks on", "1,000 browsers look on, 100 of them never read"
HELD, FREE = "one transaction open all the time", "none open"
MEMORY = "jobsworth, 70 bytes of arguments and result"
STORED = (OURS, OURS_MANY, THREADS, COROUTINES)

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
        _flat("flat"),
    ),
    "enqueue": Part(
        "Storing jobs durably",
        "From one process, in turns with bare inserts into a plain table with one index (rows made beforehand).",
        {"rate": "jobs/s", "each_us": "µs each"},
        _enqueue("enqueue"),
        rows=(BARE, BARE_MANY, *STORED),
    ),
    "slow-enqueue": Part(
        f"The same on a slower disk, simulated: every fsync takes {SLOW_DISK_MS:.0f} ms longer",
        "Where commits wait for the disk, what surrounds them costs nothing, and sharing them pays.",
        {"rate": "jobs/s", "each_us": "µs each"},
        _slow_enqueue,
        rows=(BARE, BARE_MANY, *STORED),
    ),
    "latency": Part(
        "From enqueue's return to the handler's start, on an idle system",
        "Milliseconds; 100 jobs a round, 20 to 400 ms apart.",
        {"p50": "p50", "p95": "p95", "p99": "p99"},
        _latency("latency"),
    ),
    "idle": Part(
        "An idle worker, and the import",
        "CPU over 30 s, in percent of one core; the quickest of nine imports in fresh interpreters.",
        {"cpu_percent": "CPU %", "resident_mib": "RSS MiB", "import_ms": "import jobsworth, ms"},
        _idle("idle"),
    ),
    "wal": Part(
        "The write-ahead log",
        "Its file's largest size under load, and its size ten seconds after.",
        {"peak_mib": "peak MiB", "rest_mib": "after 10 s MiB"},
        _wal,
    ),
}


PARTS["browsers"] = Part(
    "Browsers that watch jobs",
    "200 jobs tell their progress once a second; 150,000 others are drained at 50 slots meanwhile. All on one machine.",
    {"rate": "jobs/s", "resident_mib": "server's RSS MiB"},
    _browsers,
    rows=(ALONE, WATCHED),
)


def _on_server(store: str, wanted: list[tuple[str, str, int, int]]) -> dict[str, Part]:
    """The parts that PostgreSQL and Redis have alike; their names begin with the store's."""
    samples = {
        "drain": _drains_on(f"{store}-drain", wanted), "flat": _flat(f"{store}-flat"),
        "enqueue": _enqueue(f"{store}-enqueue"), "latency": _latency(f"{store}-latency"),
        "idle": _idle(f"{store}-idle"),
    }  # fmt: skip
    parts = {f"{store}-{name}": replace(PARTS[name], samples=made, store=store) for name, made in samples.items()}
    enqueue, idle = f"{store}-enqueue", f"{store}-idle"
    calls = "From one process; a caller makes its next call when the last one has returned."
    parts[enqueue] = replace(parts[enqueue], title="Storing jobs", note=calls, rows=STORED)
    idling = "CPU over 30 s, in percent of one core; what it asks its server, counted over another 30 s."
    asked = {"cpu_percent": "CPU %", "server_percent": "server's CPU %", "queries": "queries/s"}
    asked["resident_mib"] = "RSS MiB"
    parts[idle] = replace(parts[idle], title="An idle worker", note=idling, figures=asked)
    return parts


PARTS.update(_on_server("postgres", ON_POSTGRES))
PARTS.update(_on_server("redis", ON_REDIS))
PARTS["postgres-snapshot"] = Part(
    "The drain rate beside an old snapshot",
    "Two databases drain 10,000 jobs in turns for a quarter of an hour, once; in one of them a transaction stays open.",
    {"rate": "jobs/s"},
    _snapshot,
    "postgres",
    most=1,
    rows=(HELD, FREE),
)
PARTS["redis-memory"] = Part(
    "Memory of Redis per job",
    "All that belongs to it, indexes and keys included, over 100,000 jobs.",
    {"waiting_bytes": "bytes, waiting", "finished_bytes": "bytes, finished"},
    _memory,
    "redis",
)
