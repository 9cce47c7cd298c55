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
    few = 10 if quick else 1
    wanted = [
        ("jobsworth", "default", 50, 30_000), ("turn", "normal", 50, 30_000),
        ("huey", "fsync", 1, 600), ("huey", "quick", 10, 600),
    ]  # fmt: skip
    return [_drain("slow", system, profile, slots, jobs // few, slow=True) for system, profile, slots, jobs in wanted]


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
}
