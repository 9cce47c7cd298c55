"""The four modes. Each hands the app another engine for as long as its block lasts; the pytest fixtures are these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobsworth.app import Jobsworth
from jobsworth.engine import Engine
from jobsworth.engines.memory import MemoryEngine

from .clock import HandClock
from .hands import DrainKit, InlineKit
from .kit import Kit
from .real import RealKit


@contextmanager
def fake(app: Jobsworth, clock: HandClock | None = None, engine: Engine | None = None) -> Iterator[Kit]:
    """Jobs are recorded and run by nobody. engine: another one than one in memory, made with this clock."""
    clock = clock or HandClock()
    with Kit(app, engine or MemoryEngine(clock), clock).staying() as kit:
        yield kit


@contextmanager
def drain(app: Jobsworth, clock: HandClock | None = None, engine: Engine | None = None) -> Iterator[DrainKit]:
    """Jobs run when the test says `drain()`."""
    clock = clock or HandClock()
    with DrainKit(app, engine or MemoryEngine(clock), clock).staying() as kit:
        yield kit


@contextmanager
def inline(app: Jobsworth, clock: HandClock | None = None, engine: Engine | None = None) -> Iterator[InlineKit]:
    """Jobs have run when `enqueue` returns."""
    clock = clock or HandClock()
    with InlineKit(app, engine or MemoryEngine(clock), clock).staying() as kit:
        clock.board(kit)
        try:
            yield kit
        finally:
            clock.leave(kit)


@contextmanager
def real(app: Jobsworth, folder: Path, clock: HandClock | None = None, spec: str | None = None) -> Iterator[RealKit]:
    """Jobs are in an SQLite file in `folder`, and another process runs them: a real worker.

    spec: where that process finds the app ("app:jobs"); found by itself if the app is a module's attribute.
    """
    with RealKit(app, folder, clock or HandClock(), spec).staying() as kit:
        kit.start()
        try:
            yield kit
        finally:
            kit.stop()
