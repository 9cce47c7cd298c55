"""The example of the frameworks over HTTP: each of the four does the same, with its worker inside or outside."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commandline import running
from framework_page import COMMANDS, READERS, FrameworkPage
from jobsworth import Jobsworth
from undertaker import Undertaker
from waiting import until
from web_client import a_url


@pytest.fixture(scope="module")
def undertaker() -> Iterator[Undertaker]:
    made = Undertaker()
    yield made
    made.dismiss()


@contextlib.contextmanager
def served(undertaker: Undertaker, framework: str, folder: Path, **options: Any) -> Iterator[FrameworkPage]:
    page = FrameworkPage(undertaker, framework, folder, **options)
    page.start()
    try:
        yield page
    finally:
        page.close()


@pytest.fixture(scope="module", params=COMMANDS)
def server_and_worker(
    request: pytest.FixtureRequest, undertaker: Undertaker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FrameworkPage]:
    """Runs its jobs by itself: each takes four seconds, in which a slow machine can cancel it."""
    with served(undertaker, request.param, tmp_path_factory.mktemp("inside"), pace=0.2) as page:
        yield page


@pytest.fixture
def with_worker(server_and_worker: FrameworkPage) -> FrameworkPage:
    server_and_worker.start()  # where a test before has ended it
    return server_and_worker


@pytest.fixture(scope="module", params=COMMANDS)
def mere_server(
    request: pytest.FixtureRequest, undertaker: Undertaker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FrameworkPage]:
    with served(undertaker, request.param, tmp_path_factory.mktemp("outside"), pace=0.0, inside=False) as page:
        yield page


@pytest.fixture
def without_worker(mere_server: FrameworkPage) -> FrameworkPage:
    mere_server.start()
    return mere_server


@contextlib.contextmanager
def a_visitor(page: FrameworkPage) -> Iterator[httpx.Client]:
    """Somebody who has opened the page."""
    with httpx.Client(base_url=page.url, trust_env=False) as client:
        assert "Newsletters" in client.get("/").text
        yield client


def status(client: httpx.Client, job: str) -> dict[str, Any]:
    answer = client.get(f"/background/jobs/{job}/status")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()["job"]
    return told


def test_enqueue_progress_end_and_cancel_with_the_worker_inside(with_worker: FrameworkPage) -> None:
    page = with_worker
    with (
        a_visitor(page) as ada,
        a_visitor(page) as bob,
        httpx.Client(base_url=page.url, trust_env=False) as nobody,
    ):
        assert nobody.post("/newsletters").status_code == nobody.get("/newsletters").status_code == 401
        first, second = (ada.post("/newsletters").json()["job"] for _ in range(2))
        assert [each["job"] for each in ada.get("/newsletters").json()] == [second, first]
        assert bob.get("/newsletters").json() == []
        assert bob.post(f"/background/jobs/{second}/cancel").status_code == 404
        until(lambda: (status(ada, first)["progress"]["current"] or 0) > 1, what="the bar moves")
        assert ada.post(f"/background/jobs/{second}/cancel").json()["accepted"]
        assert until(lambda: status(ada, second)["status"] == "cancelled")
        until(lambda: status(ada, first)["status"] == "completed")
        assert status(ada, first)["progress"]["current"] == READERS


def waits_for_a_worker(page: FrameworkPage, folder: Path) -> None:
    with a_visitor(page) as ada:
        job = ada.post("/newsletters").json()["job"]
        with contextlib.closing(Jobsworth(page.environment["JOBSWORTH_URL"])) as jobs:
            assert jobs.workers() == []
            assert status(ada, job)["status"] == "queued"
        theirs = {name: page.environment[name] for name in ("PYTHONPATH", "JOBSWORTH_URL", "PACE")}
        with running(folder, "worker", "work:jobs", **theirs) as worker:
            until(lambda: status(ada, job)["status"] == "completed", 30, worker.err)


def test_jobs_wait_for_a_worker_outside(without_worker: FrameworkPage, tmp_path: Path) -> None:
    waits_for_a_worker(without_worker, tmp_path)


@pytest.mark.parametrize(("framework", "engine"), [("fastapi", "postgres"), ("flask", "redis")])
def test_jobs_wait_for_a_worker_outside_on_a_server_too(
    request: pytest.FixtureRequest, undertaker: Undertaker, framework: str, engine: str, tmp_path: Path
) -> None:
    url = a_url(request, engine, tmp_path)
    with served(undertaker, framework, tmp_path, url=url, pace=0.0, inside=False) as page:
        waits_for_a_worker(page, tmp_path)


def test_a_server_that_is_told_to_stop_is_not_kept_by_those_who_look_on(without_worker: FrameworkPage) -> None:
    page = without_worker
    with a_visitor(page) as ada:
        job = ada.post("/newsletters").json()["job"]
        with ada.stream("GET", f"/background/jobs/{job}/events", timeout=30) as events:
            lines = events.iter_lines()
            if page.framework != "flask":  # which cannot stream
                assert any("queued" in line for line in lines)
            page.politely = signal.SIGINT  # type: ignore[misc]
            page.stop()
            list(lines)  # ended in good order, not cut off
        with contextlib.closing(Jobsworth(page.environment["JOBSWORTH_URL"])) as jobs:
            assert jobs.handle(job).state == "queued"
        assert "Traceback" not in page.log()


def test_what_runs_when_the_server_is_told_to_stop_is_finished_first(with_worker: FrameworkPage) -> None:
    page = with_worker
    with a_visitor(page) as ada:
        job = ada.post("/newsletters").json()["job"]
        until(lambda: status(ada, job)["status"] == "running")
        page.politely = signal.SIGINT  # type: ignore[misc]
        page.stop()
        with contextlib.closing(Jobsworth(page.environment["JOBSWORTH_URL"])) as jobs:
            assert jobs.workers() == []
            assert jobs.handle(job).job.attempt == 1
            assert jobs.handle(job).state == "completed"
        assert "Traceback" not in page.log()


@pytest.mark.parametrize("framework", COMMANDS)
def test_the_example_says_nothing_that_its_framework_calls_outdated(framework: str, tmp_path: Path) -> None:
    example = str(Path(__file__).parents[2] / "examples" / "frameworks")
    program = f"import sys; sys.path.insert(0, {example!r}); import {framework}_app"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
