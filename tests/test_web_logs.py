"""What a job has logged, over HTTP: while it runs, after it has ended, and only what was asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsworth import CurrentJob, Jobsworth, Retry
from jobsworth.job import Failure, LogLine
from jobsworth.outcome import Failed
from jobsworth.web import Level, Visitor
from waiting import until
from web_client import ADMIN, HOSTS, Client, House, a_site, a_url, an_app

SOON = Failed(Failure("OSError", "no such host", "error"), delay=0.0)


def lines(*texts: str, first: int = 1, level: str = "INFO") -> tuple[LogLine, ...]:
    return tuple(LogLine(first + place, float(place), level, "app", text) for place, text in enumerate(texts))


def asked(house: House, job_id: str, query: str = "", host: str = "asgi") -> Any:
    answer = Client(a_site(house.jobs), host).get(f"/api/jobs/{job_id}/logs{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(answer: Any) -> list[str]:
    return [line["message"] for line in answer["lines"]]


def test_a_job_that_has_logged_nothing_has_no_lines() -> None:
    house = House()
    job_id = house.claim().lease.job_id
    assert asked(house, job_id) == {"lines": [], "last": 0}
    assert asked(house, job_id, "?after=7") == {"lines": [], "last": 7}


@pytest.mark.parametrize("host", HOSTS)
def test_lines_are_there_while_the_job_runs_and_afterwards(host: str) -> None:
    house = House()
    claim = house.claim()
    job_id = claim.lease.job_id
    house.pulse(claim, None, *lines("one", "two"))
    live = asked(house, job_id, host=host)
    assert (said(live), live["last"]) == (["one", "two"], 2)
    assert live["lines"][1] == {
        "place": 2, "attempt": 1, "number": 2, "at": "2027-01-15T08:00:01.000Z", "level": "INFO", "logger": "app",
        "message": "two",
    }  # fmt: skip
    house.end(claim, lines=lines("three", first=3))
    assert said(asked(house, job_id, f"?after={live['last']}", host)) == ["three"]
    assert said(asked(house, job_id, host=host)) == ["one", "two", "three"]


def test_one_attempt_or_one_level_can_be_asked_for() -> None:
    house = House()
    claim = house.claim()
    job_id = claim.lease.job_id
    house.end(claim, SOON, lines=(*lines("first"), *lines("bad", first=2, level="ERROR")))
    claim = house.claim_next()
    assert claim.lease.job_id == job_id
    house.pulse(claim, None, *lines("second"), *lines("hm", first=2, level="WARNING"))
    house.pulse(claim, None, *lines("odd", first=3, level="NOTICE"), *lines("more", first=4, level="DEBUG"))
    found = {
        query: said(asked(house, job_id, query))
        for query in (
            "?attempt=1", "?attempt=2", "?attempt=3",
            "?level=WARNING", "?level=ERROR&attempt=1", "?level=DEBUG&after=2",
        )
    }  # fmt: skip
    assert found == {
        "?attempt=1": ["first", "bad"],
        "?attempt=2": ["second", "hm", "odd", "more"],
        "?attempt=3": [],
        "?level=WARNING": ["bad", "hm", "odd"],  # nobody knows how grave a NOTICE is
        "?level=ERROR&attempt=1": ["bad"],
        "?level=DEBUG&after=2": ["second", "hm", "odd", "more"],
    }
    # What was left out has been looked at all the same: nobody is told of it again.
    assert asked(house, job_id, "?level=CRITICAL&attempt=1")["last"] == 6


def test_of_many_lines_the_newest_are_told() -> None:
    house = House()
    claim = house.claim()
    house.pulse(claim, None, *lines(*map(str, range(50))))
    job_id = claim.lease.job_id
    assert said(asked(house, job_id, "?limit=3")) == ["47", "48", "49"]
    assert said(asked(house, job_id, "?limit=3&level=INFO")) == ["47", "48", "49"]
    assert asked(house, job_id, "?limit=3")["last"] == 50


@pytest.mark.parametrize(
    "query", ["?after=-1", "?after=x", "?attempt=0", "?level=info", "?level=NOTICE", "?limit=0", "?limit=10001", "?q=x"]
)
def test_what_makes_no_sense_is_refused(query: str) -> None:
    house = House()
    job_id = house.claim().lease.job_id
    assert Client(a_site(house.jobs)).get(f"/api/jobs/{job_id}/logs{query}").status_code == 400


def test_lines_are_for_those_who_may_read_the_queue() -> None:
    house = House()
    claim = house.claim()
    house.end(claim, lines=lines("a secret"))
    path = f"/api/jobs/{claim.lease.job_id}/logs"
    for visitor, status in (
        (Visitor(Level.USER), 404), (Visitor(Level.READ, queues={"film"}), 404),
        (Visitor(Level.READ), 200), (ADMIN, 200),
    ):  # fmt: skip
        answer = Client(a_site(house.jobs, visitor)).get(path)
        assert (answer.status_code, "a secret" in answer.text) == (status, status == 200)
    assert Client(a_site(house.jobs)).get("/api/jobs/nobody/logs").status_code == 404


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    made = an_app(a_url(request, request.param, tmp_path))
    yield made
    made.close()


def test_what_a_handler_logs_is_seen_while_it_runs(jobs: Jobsworth) -> None:
    go, attempts = threading.Event(), []

    @jobs.task(retry=Retry(max_attempts=2, base=0.01))
    def talks(job: CurrentJob) -> None:
        attempts.append(job.attempt)
        logging.getLogger("app").warning("attempt %d", job.attempt)
        if job.attempt == 1:
            raise OSError("again")
        assert go.wait(20)
        job.log("done")

    client = Client(a_site(jobs))
    with jobs.worker(lease=5):
        path = f"/api/jobs/{talks.enqueue().id}/logs"
        until(lambda: said(client.get(path).json()) == ["attempt 1", "attempt 2"])
        assert attempts == [1, 2]
        live = client.get(f"{path}?attempt=2").json()
        go.set()
        until(lambda: said(client.get(f"{path}?after={live['last']}").json()) == ["done"])
