"""A coroutine's own transaction on SQLite, where everybody waits for one lock."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from jobsworth import current_job
from places import Place
from waiting import until


def test_the_loop_runs_on_while_a_block_waits_for_the_files_lock(sqlite_place: Place) -> None:
    place, ticks, held = sqlite_place, 0, threading.Event()

    @place.jobs.task
    async def pay() -> str:
        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.ensure_future(tick())
        await asyncio.to_thread(held.wait, 20)
        async with current_job().transaction(result="paid") as connection:
            place.insert(connection, 7)
        ticking.cancel()
        return "paid"

    with place.worker() as worker, place.connect() as other:
        handle = pay.enqueue()
        run = until(lambda: next(iter(worker._shop.runs.values()), None))
        until(lambda: ticks)
        other.execute("BEGIN IMMEDIATE")
        held.set()
        until(lambda: run.context.in_transaction)
        begun = ticks
        until(lambda: ticks > begun + 50)
        other.rollback()
        assert handle.result(timeout=20) == "paid"
    assert place.ledger() == [7]


def test_who_is_cancelled_while_waiting_for_the_files_lock_never_gets_it(sqlite_place: Place) -> None:
    place = sqlite_place
    held, waited = threading.Event(), []

    @place.jobs.task
    async def impatient() -> str:
        await asyncio.to_thread(held.wait, 20)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), current_job().transaction() as connection:
                place.insert(connection, 1)
        waited.append(time.monotonic() - began)
        async with current_job().transaction(result="paid") as connection:
            place.insert(connection, 7)
        return "paid"

    with place.worker() as worker, place.connect() as other:
        handle = impatient.enqueue()
        until(lambda: worker._shop.runs)
        other.execute("BEGIN IMMEDIATE")
        held.set()
        until(lambda: waited)
        other.rollback()
        assert handle.result(timeout=20) == "paid"
        until(lambda: not [each for each in threading.enumerate() if each.name == "jobsworth-block"])
        other.execute("BEGIN IMMEDIATE")  # nobody holds it
        other.rollback()
    assert waited[0] < 5
    assert place.ledger() == [7]


def test_a_block_ends_although_the_loops_own_threads_are_all_taken(sqlite_place: Place) -> None:
    """They may be waiting for the very lock that it holds."""
    place, go = sqlite_place, threading.Event()

    @place.jobs.task
    async def crowded() -> str:
        waiting = [asyncio.ensure_future(asyncio.to_thread(go.wait, 30)) for _ in range(64)]
        async with current_job().transaction(result="paid") as connection:
            place.insert(connection, 7)
        go.set()
        await asyncio.gather(*waiting)
        return "paid"

    with place.worker():
        assert crowded.enqueue().result(timeout=10) == "paid"
    assert place.ledger() == [7]
