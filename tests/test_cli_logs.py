"""Captured lines on the command line: `jobsworth show`, `jobsworth watch`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from commandline import run_here, running
from jobsworth import CurrentJob, Jobsworth, State
from runs import SOON
from waiting import until

log = logging.getLogger("app.pages")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
def jobs(url: str) -> Iterator[Jobsworth]:
    log.setLevel(logging.DEBUG)
    jobs = Jobsworth(url)
    yield jobs
    jobs.close()
    log.setLevel(logging.NOTSET)


def test_show_prints_the_end_of_the_last_attempts_log(jobs: Jobsworth, url: str, tmp_path: Path) -> None:
    @jobs.task(retry=SOON)
    def read(job: CurrentJob) -> None:
        for page in range(30):
            log.info("attempt %d, page %d", job.attempt, page + 1)
        job.log("so far\n\x1b[2Jso \u202egood")
        if job.attempt == 1:
            raise ValueError("torn")

    with jobs.worker(lease=5):
        handle = read.enqueue()
        assert handle.wait(10).state is State.COMPLETED
    shown = run_here(tmp_path, "show", handle.id, "--url", url)
    assert "log of attempt 2, from line 12 on" in shown.out
    assert "INFO    app.pages: attempt 2, page 12\n" in shown.out
    assert "INFO    so far\n    \\x1b[2Jso \\u202egood\n" in shown.out
    assert "attempt 2, page 11\n" not in shown.out
    assert "attempt 1, page" not in shown.out
    told = run_here(tmp_path, "show", handle.id, "--url", url, "--json").json["log"]
    assert len(told) == 62
    assert {name: told[-1][name] for name in ("place", "attempt", "number", "level", "logger")} == {
        "place": 62, "attempt": 2, "number": 31, "level": "INFO", "logger": "jobsworth.job",
    }  # fmt: skip
    assert told[-1]["at"].endswith("Z")


def test_show_says_nothing_of_a_log_that_is_not_there(jobs: Jobsworth, url: str, tmp_path: Path) -> None:
    handle = jobs.task(name="silent")(lambda: None).enqueue()
    shown = run_here(tmp_path, "show", handle.id, "--url", url)
    assert (shown.code, "log of" in shown.out) == (0, False)


def test_watch_prints_lines_as_they_come_and_the_last_before_the_end(jobs: Jobsworth, url: str, tmp_path: Path) -> None:
    go = threading.Event()

    @jobs.task
    def read() -> None:
        for page in range(25):
            log.info("page %d", page + 1)
        go.wait(30)
        log.warning("last page")

    with jobs.worker(lease=5):
        handle = read.enqueue()
        until(lambda: len(handle.logs()) == 25)
        with running(tmp_path, "watch", handle.id, "--url", url) as watching:
            until(lambda: "app.pages: page 25\n" in watching.err, 30)
            assert "app.pages: page 6\n" in watching.err
            assert "app.pages: page 5\n" not in watching.err  # it was there before anybody watched
            go.set()
            assert watching.ends() == 0
        lines = watching.err.splitlines()
        last = next(number for number, line in enumerate(lines) if line.endswith("WARNING app.pages: last page"))
        end = next(number for number, line in enumerate(lines) if "completed" in line)
        assert last < end
        assert watching.err.count("page 25\n") == 1


def test_watch_says_whose_line_it_is_where_it_follows_several(jobs: Jobsworth, url: str, tmp_path: Path) -> None:
    @jobs.task
    def read(page: int) -> None:
        log.info("page %d", page)

    with jobs.worker(lease=5):
        handles = [read.enqueue(page) for page in (1, 2)]
        for handle in handles:
            handle.wait(10)
    seen = run_here(tmp_path, "watch", *(handle.id for handle in handles), "--url", url)
    assert seen.code == 0
    for page, handle in enumerate(handles, 1):
        [line] = [line for line in seen.err.splitlines() if line.endswith(f"app.pages: page {page}")]
        assert line.startswith(f"read {handle.id}  ")
