"""Totals: processed, failed, scheduled, retrying and dead, the same on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobsworth import GiveUp, Jobsworth, Retry
from jobsworth.engine import Where
from jobsworth.errors import BadName
from waiting import until
from web_client import a_url


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    jobs = Jobsworth(a_url(request, request.param, tmp_path))
    yield jobs
    jobs.close()


def test_every_kind_is_counted_once(jobs: Jobsworth) -> None:
    @jobs.task(queue="mail", retry=Retry(max_attempts=5, base=3600, jitter=False))
    def send(how: str) -> None:
        if how == "shaky":
            raise OSError("no such host")
        if how == "hopeless":
            raise GiveUp("no such person")

    @jobs.task(queue="film")
    def cut() -> None: ...

    empty = jobs.totals()
    assert (empty.processed, empty.failed, empty.dead) == (0, 0, 0)
    handles = [send.enqueue(how) for how in ("well", "well", "shaky", "hopeless")]
    with jobs.worker("mail"):
        until(lambda: jobs.totals("mail").processed == 4)
        until(lambda: jobs.totals("mail").active == 0)
    send.options(delay=3600).enqueue("later")
    cut.enqueue()
    found = jobs.totals()
    assert (found.processed, found.completed, found.failed) == (4, 2, 2)
    assert (found.active, found.queued, found.scheduled, found.retrying, found.dead) == (0, 1, 2, 1, 1)
    mail, film = jobs.totals("mail"), asyncio.run(jobs.atotals("film"))
    assert (mail.processed, mail.queued, mail.scheduled, mail.retrying, mail.dead) == (4, 0, 2, 1, 1)
    assert (film.processed, film.queued, film.scheduled, film.retrying, film.dead) == (0, 1, 0, 0, 0)
    assert [handle.state.value for handle in handles] == ["completed", "completed", "scheduled", "failed"]


def test_what_was_processed_stays_counted_when_its_jobs_are_gone(jobs: Jobsworth) -> None:
    @jobs.task
    def work() -> None: ...

    with jobs.worker():
        work.enqueue().wait(20)
    assert jobs.bridge.call(lambda engine: engine.delete(Where(limit=None))) == 1
    assert jobs.totals().completed == 1


def test_a_name_that_no_queue_can_have_is_refused() -> None:
    with pytest.raises(BadName, match="queue name"):
        Jobsworth("memory://").totals("no such name!")
