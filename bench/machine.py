"""The machine the figures come from: what it is, how busy others keep it, and waiting until it is quiet (Linux)."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from bench.process import ROOT
from bench.servers import Missing, find
from bench.system import APART

_TICK = os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """CPU seconds all processes together have used since the machine started."""
    user, nice, system, _idle, _wait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICK


def stolen_seconds() -> float:
    """CPU seconds the hypervisor gave to others."""
    return int(Path("/proc/stat").read_text().split()[8]) / _TICK


def wait_for_quiet(patience: float, limit: float = 0.15) -> float:
    """Wait, at most `patience` seconds, until others use under `limit` of one core; return the share last seen."""
    until = time.monotonic() + patience
    while True:
        before = busy_seconds()
        time.sleep(0.5)
        share = (busy_seconds() - before) / 0.5
        if share < limit or time.monotonic() > until:
            return share


def fsync_ms(folder: Path, times: int = 50) -> float:
    """Milliseconds one fsync of a small append takes here: the floor under every durable write."""
    probe = folder / "fsync.probe"
    handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        start = time.perf_counter()
        for _ in range(times):
            os.write(handle, b"x" * 512)
            os.fsync(handle)
        return (time.perf_counter() - start) / times * 1000
    finally:
        os.close(handle)
        probe.unlink()


def describe(folder: Path) -> dict[str, str]:
    """Everything a reader needs to judge the figures."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": _git("rev-parse", "--short", "HEAD")
        + (" with local changes" if _git("status", "--porcelain") else ""),
        "machine": f"{os.cpu_count()} cores, {_cpu_name()}, {_memory_gib():.0f} GiB, Linux {platform.release()}",
        "disk": f"{_file_system(folder)}, {fsync_ms(folder):.2f} ms per fsync",
        "python": f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
    }


def versions(distributions: Iterable[str], programs: Iterable[str] = ()) -> str:
    """Of what is there: packages, and programs as they say it themselves."""
    found = [f"{name} {version}" for name in distributions if (version := installed(name))]
    return ", ".join([*found, *filter(None, map(_said_version, programs))])


def installed(distribution: str) -> str | None:
    """Its version, or None. Also of what has a folder of its own."""
    path = [*map(str, APART.glob("*")), *map(str, APART.glob("*/lib/python*/site-packages")), *sys.path]
    found = next(iter(metadata.distributions(name=distribution, path=path)), None)
    return found.version if found else None


def _said_version(program: str) -> str | None:
    try:
        done = subprocess.run([find(program), "--version"], capture_output=True, text=True, check=True)
    except (Missing, OSError, subprocess.CalledProcessError):
        return None
    number = re.search(r"\d+(\.\d+)+", done.stdout)
    return f"{program} {number[0]}" if number else None


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _file_system(folder: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    inside = [(len(point), kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(inside)[1]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
