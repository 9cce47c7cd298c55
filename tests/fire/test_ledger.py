"""Effects in the database exactly once: a ledger beside the jobs, while workers are killed and put to sleep."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crew as crews
import ledger_app
import pytest
from crew import LONG, Crew, later, name_of
from fire_history import read_ledger
from nursery import Born

from jobsworth import State
from waiting import until

SECONDS = 240 if LONG else 8  # of killing; then what is left is finished
pytestmark = pytest.mark.timeout(1200 if LONG else 120)


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    monkeypatch.setattr(crews, "PROGRAM", Path(ledger_app.__file__))
    monkeypatch.setattr(crews, "App", ledger_app.App)
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgres" else None
    crew = Crew(tmp_path, url)
    crew.jobs.open()
    crew.app.make_tables()
    yield crew
    crew.close()


def column(shop: Crew, sql: str) -> list[Any]:
    connection = ledger_app.connect(shop.url)
    try:
        return [row[0] for row in connection.execute(sql).fetchall()]
    finally:
        connection.close()


def check_payments(shop: Crew) -> None:
    """Every job was paid once: by the attempt that completed it, and its result is that attempt's."""
    paid, attempts = column(shop, "SELECT job FROM payments"), column(shop, "SELECT attempt FROM payments")
    jobs = {job.id: job for job in shop.all_jobs()}
    assert {job.state for job in jobs.values()} == {State.COMPLETED}
    assert sorted(paid) == sorted(jobs)
    for job, attempt in zip((jobs[job_id] for job_id in paid), attempts, strict=True):
        assert job.result == str(attempt).encode()
        assert (job.attempts[-1].number, job.attempts[-1].outcome) == (attempt, "succeeded")


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_every_payment_is_in_the_ledger_once_whoever_is_killed_or_put_to_sleep(shop: Crew, colour: str) -> None:
    workers = [shop.worker(ready=False) for _ in range(2)]
    customers = [shop.start("customer", count=1_000_000, colour=colour) for _ in range(2)]
    acked: set[str] = set()
    ends = time.monotonic() + SECONDS
    strikes: Counter[str] = Counter()
    while time.monotonic() < ends or len(strikes) < 3:
        later(random.uniform(0.2, 0.6))
        strike = random.choice(["kill", "kill", "sleep", "customer"])
        strikes[strike] += 1
        victim = random.randrange(2)
        if strike == "customer":
            shop.kill(customers[victim])
            acked |= set(shop.said(customers[victim]))
            customers[victim] = shop.start("customer", count=1_000_000, colour=colour)
        elif strike == "kill":
            shop.kill(workers[victim])
            workers[victim] = shop.worker(ready=False)
        else:
            _sleeps_past_its_lease(shop, workers[victim])
    for customer in customers:
        shop.kill(customer)
        acked |= set(shop.said(customer))
    shop.finish(within=600 if LONG else 60)
    check_payments(shop)
    jobs = shop.all_jobs()
    assert sorted(column(shop, "SELECT job FROM orders")) == sorted(job.id for job in jobs)
    assert acked <= {job.id for job in jobs}
    assert len(jobs) - len(acked) <= strikes["customer"] + 2  # at most the one on its way, each time
    assert len(jobs) > 100
    assert any(job.crashes for job in jobs), "nobody was disturbed: this proved nothing"


def _sleeps_past_its_lease(shop: Crew, worker: Born) -> None:
    shop.stop(worker)
    later(random.uniform(1.1, 2.0))
    worker.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("where", ["before", "inside"])
def test_a_worker_that_slept_through_its_lease_leaves_nothing_in_the_ledger(
    shop: Crew, where: str, colour: str
) -> None:
    """Stopped before its block, or inside it with its payment written but not committed."""
    sleeper = shop.worker(name="sleeper")
    handle = shop.app.held[colour].enqueue(where)
    mark = "inside" if where == "inside" else "start"
    until(lambda: [event for event in read_ledger(shop.folder) if event.kind == mark])
    shop.stop(sleeper)
    if where == "inside" and shop.url.startswith("sqlite"):
        # The sleeper holds the file. It cannot be taken over before it wakes, and it wakes in time to complete.
        (shop.folder / "go").touch()
        later(1.5)
        sleeper.send_signal(signal.SIGCONT)
        assert handle.result(20) == 1
    else:
        shop.worker(name="heir")
        assert handle.result(20) == 2
        (shop.folder / "go").touch()
        sleeper.send_signal(signal.SIGCONT)
        until(lambda: sum(event.kind == "end" for event in read_ledger(shop.folder)) == 2)
    assert shop.terminate(sleeper) == 0
    check_payments(shop)
    if handle.refresh().job.attempt == 2:
        assert "after its lease was taken" in shop.log(sleeper)
        assert {name_of(job.worker) for job in shop.all_jobs()} == {"heir"}
