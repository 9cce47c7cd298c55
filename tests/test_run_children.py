"""Handlers that run in child processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsworth import Jobsworth, State
from jobsworth.errors import ConfigurationError
from waiting import until

CHILD_APP = """
import os, time
from pathlib import Path
from jobsworth import Jobsworth, Queue, current_job

jobs = Jobsworth({url!r})
quick = jobs.add(Queue("quick", grace=0.1, isolation="process", worker_count=2))

@jobs.task(queue=quick)
def whoami() -> int:
    return os.getpid()

@jobs.task(queue=quick, timeout=1.5, max_attempts=1)
def stuck(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

@jobs.task(queue=quick, max_attempts=1)
def dies() -> None:
    os.kill(os.getpid(), 9)

@jobs.task(queue=quick)
def tells(n: int) -> None:
    for i in range(n):
        current_job().report_progress(i + 1, n, message=f"step {{i + 1}}")

@jobs.task(queue=quick)
def waits(path: str) -> None:
    Path(path).write_text("started")
    while True:
        current_job().check_cancelled()
        time.sleep(0.01)

@jobs.task(queue=quick, max_attempts=1)
def nonsense() -> None:
    current_job().report_progress(message=5)

@jobs.task(queue=quick)
def leaves_a_child_and_dies(path: str) -> None:
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    with Path(path).open("a") as told:
        told.write(f"{{pid}}\\n")
    os.kill(os.getpid(), 9)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.fixture
def child_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import importlib
    import sys

    (tmp_path / "child_app_here.py").write_text(CHILD_APP.format(url=f"sqlite:///{tmp_path / 'jobs.db'}"))
    monkeypatch.syspath_prepend(tmp_path)
    app = importlib.import_module("child_app_here")
    yield app
    app.jobs.close()
    del sys.modules["child_app_here"]


def test_a_child_finds_the_app_where_its_worker_found_it(child_app: Any) -> None:
    # The app's folder is on the worker's sys.path only, not in the working directory.
    with child_app.jobs.worker(lease=5):
        pid = child_app.whoami.enqueue().result(20)
        assert pid != __import__("os").getpid()
        assert child_app.whoami.enqueue().result(20) == pid  # children are used again


def test_a_child_that_does_not_stop_at_its_timeout_is_killed(child_app: Any, tmp_path: Path) -> None:
    with child_app.jobs.worker(lease=5):
        child_app.whoami.enqueue().result(20)  # now there is a child: its start takes no part of the time
        handle = child_app.stuck.enqueue(str(tmp_path / "pid"))
        job = handle.wait(20)
        assert [attempt.outcome for attempt in job.attempts] == ["timed_out"]
        assert until(lambda: gone(int((tmp_path / "pid").read_text())))
        assert child_app.whoami.enqueue().result(20)


def test_a_child_that_dies_is_a_crash_and_the_worker_goes_on(child_app: Any) -> None:
    with child_app.jobs.worker(lease=5):
        handle = child_app.dies.enqueue()
        job = handle.wait(30)
        assert (job.state, job.crashes, job.errors) == (State.FAILED, 3, 0)
        assert job.failure is not None
        assert job.failure.reason == "crashed"
        assert "SIGKILL" in job.failure.message
        assert child_app.whoami.enqueue().result(20)


def test_the_last_progress_of_a_child_is_there_before_its_ending(child_app: Any) -> None:
    with child_app.jobs.worker(lease=5):
        for n in (1, 2, 50):
            job = child_app.tells.enqueue(n).wait(20)
            assert job.state is State.COMPLETED
            assert job.progress is not None
            assert (job.progress.current, job.progress.message) == (n, f"step {n}")


def test_a_job_cancelled_while_its_child_still_starts_ends_and_frees_its_slot(child_app: Any, tmp_path: Path) -> None:
    with child_app.jobs.worker({"quick": 1}, lease=5):
        for n in range(3):
            handle = child_app.waits.enqueue(str(tmp_path / f"started{n}"))
            until(lambda handle=handle: handle.state is State.RUNNING)  # type: ignore[misc]
            handle.cancel()
            assert handle.wait(20).state is State.CANCELLED
        assert child_app.whoami.enqueue().result(20)


def test_a_timeout_shorter_than_the_start_of_a_child_ends_the_attempt(child_app: Any, tmp_path: Path) -> None:
    with child_app.jobs.worker({"quick": 1}, lease=5):
        job = child_app.waits.options(timeout=0.001, max_attempts=1).enqueue(str(tmp_path / "started")).wait(20)
        assert [attempt.outcome for attempt in job.attempts] == ["timed_out"]
        assert child_app.whoami.enqueue().result(20)


def test_nonsense_from_a_child_ends_its_job_and_not_the_slot(child_app: Any) -> None:
    with child_app.jobs.worker({"quick": 1}, lease=5):
        assert child_app.nonsense.enqueue().wait(20).state in (State.COMPLETED, State.FAILED)
        assert child_app.whoami.enqueue().result(20)


def test_a_child_that_dies_is_noticed_although_its_own_children_live(child_app: Any, tmp_path: Path) -> None:
    import os
    import signal

    path = tmp_path / "grandchild"
    with child_app.jobs.worker({"quick": 1}, lease=5):
        try:
            job = child_app.leaves_a_child_and_dies.enqueue(str(path)).wait(20)
            assert job.failure is not None
            assert job.failure.reason == "crashed"
        finally:
            for pid in path.read_text().split() if path.exists() else ():
                os.kill(int(pid), signal.SIGKILL)


def test_an_app_that_no_child_could_find_is_refused_when_the_worker_is_made() -> None:
    jobs = Jobsworth("memory://")
    jobs.task(isolation="process", name="t")(lambda: None)
    with pytest.raises(ConfigurationError, match="E100: isolation"):
        jobs.worker()
