"""Deferred actions: what may be lost."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from jobsworth import Jobsworth


def test_deferred_actions_run_and_are_drained_at_the_end() -> None:
    jobs = Jobsworth("memory://")
    done: list[int] = []
    go = threading.Event()

    def act(n: int, *, wait: bool = False) -> None:
        if wait:
            go.wait(10)
        done.append(n)

    async def aact(n: int) -> None:
        await asyncio.sleep(0)
        done.append(n)

    for n in range(100):
        jobs.defer(act, n, wait=True)
    jobs.defer(aact, 100)
    assert done == []
    go.set()
    jobs.close()
    assert sorted(done) == list(range(101))


def test_what_a_deferred_action_raises_is_logged_and_offered_to_the_hook(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobsworth("memory://")
    told: list[tuple[Any, str]] = []
    jobs.on_deferred_error = lambda fn, exc: told.append((fn, str(exc)))

    def breaks() -> None:
        raise ValueError("deferred and broken")

    jobs.defer(breaks)
    jobs.close()
    assert told == [(breaks, "deferred and broken")]
    assert "deferred and broken" in caplog.text
