"""Progress, as handlers report it and others see it."""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from jobsworth import CurrentJob, Jobsworth, State, current_job
from jobsworth.engine import Heard, Pulse, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.errors import EngineUnavailable, NotSerializable
from jobsworth.events import EngineBack, EngineLost, Event
from waiting import until


def test_progress_is_coalesced_and_the_last_one_always_arrives(jobs: Jobsworth) -> None:
    @jobs.task
    def busy(n: int) -> None:
        for i in range(n):
            current_job().report_progress(i + 1, n)
        current_job().report_progress(n, n, message="last words")

    with jobs.worker(lease=5):
        handles = [busy.enqueue(n) for n in (1, 100, 20_000)]
        ends = [handle.wait(20) for handle in handles]
    for job, n in zip(ends, (1, 100, 20_000), strict=True):
        assert job.state is State.COMPLETED
        assert job.progress is not None
        assert (job.progress.current, job.progress.percent, job.progress.message) == (n, 100, "last words")
        assert job.version < 30  # not a write for each note


def test_progress_can_be_seen_while_the_job_runs(jobs: Jobsworth) -> None:
    go = threading.Event()

    @jobs.task
    def halfway(job: CurrentJob) -> None:
        job.report_progress(1, 4, message="a quarter")
        go.wait(20)

    with jobs.worker(lease=5):
        handle = halfway.enqueue()
        seen = until(lambda: handle.progress)
        assert (seen.current, seen.total, seen.percent, seen.message) == (1, 4, 25, "a quarter")
        assert handle.status()["job"]["progress"] == {"current": 1, "total": 4, "percent": 25}
        go.set()
        handle.wait(10)


def test_the_last_progress_survives_a_failed_ending(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=1)
    def fails() -> None:
        current_job().report_progress(2, 3, message="then it broke")
        raise ValueError("broken")

    with jobs.worker(lease=5):
        job = fails.enqueue().wait(10)
    assert job.progress is not None
    assert (job.progress.current, job.progress.message) == (2, "then it broke")


class Hiccups(MemoryEngine):
    """Fails every pulse that carries progress, as often as it is told to."""

    failures = 1

    async def pulse(self, card: WorkerCard, pulses: Any, *, lease: float) -> Heard:
        if self.failures and any(isinstance(each, Pulse) and each.progress for each in pulses):
            self.failures -= 1
            raise EngineUnavailable("hiccup")
        return await super().pulse(card, pulses, lease=lease)


def test_progress_that_could_not_be_written_is_written_later(heard: list[Event]) -> None:
    jobs = Jobsworth(engine=Hiccups())
    go = threading.Event()

    @jobs.task
    def halfway(job: CurrentJob) -> None:
        job.report_progress(1, 2)
        go.wait(20)

    with jobs.worker(lease=2, listener=heard.append):
        handle = halfway.enqueue()
        until(lambda: any(isinstance(event, EngineLost) for event in heard))
        assert until(lambda: handle.progress).current == 1
        go.set()
        handle.wait(10)
    assert any(isinstance(event, EngineBack) for event in heard)
    jobs.close()


class LostOnItsWay(MemoryEngine):
    """Loses the first pulse that carries progress, and says so only when the run has ended meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.carried, self.ended = threading.Event(), threading.Event()

    async def pulse(self, card: WorkerCard, pulses: Any, *, lease: float) -> Heard:
        if not self.carried.is_set() and any(isinstance(each, Pulse) and each.progress for each in pulses):
            self.carried.set()
            assert self.ended.wait(10)
            raise EngineUnavailable("lost")
        return await super().pulse(card, pulses, lease=lease)


def test_progress_of_a_run_that_ends_while_its_pulse_is_lost_comes_with_the_ending() -> None:
    engine = LostOnItsWay()
    jobs = Jobsworth(engine=engine)

    @jobs.task
    def works() -> None:
        current_job().report_progress(9, 10, message="nearly done")
        assert engine.carried.wait(10)

    with jobs.worker(lease=5) as worker:
        handle = works.enqueue()
        assert engine.carried.wait(10)
        until(lambda: not worker._shop.runs, what="its run has ended")
        engine.ended.set()
        job = handle.wait(10)
    assert job.state is State.COMPLETED
    assert job.progress is not None
    assert job.progress.message == "nearly done"
    jobs.close()


def test_the_last_progress_survives_a_cancellation(jobs: Jobsworth) -> None:
    @jobs.task
    def stops(job: CurrentJob) -> None:
        until(lambda: job.cancel_requested)
        job.report_progress(2, 3, message="then it was told to stop")
        job.check_cancelled()

    with jobs.worker(lease=5):
        handle = stops.enqueue()
        until(lambda: handle.state is State.RUNNING)
        handle.cancel()
        job = handle.wait(10)
    assert job.state is State.CANCELLED
    assert job.progress is not None
    assert (job.progress.current, job.progress.message) == (2, "then it was told to stop")


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_what_is_there_of_a_result_is_shown_until_the_run_has_ended(
    isolation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "parts.py").write_text(PARTS.format(isolation=isolation))
    parts = importlib.import_module("parts")
    handle = parts.count.enqueue(str(tmp_path / "go"))
    with parts.jobs.worker(spec="parts:jobs"):
        until(lambda: handle.status()["job"]["result"] == {"counted": [1]})
        assert handle.status()["job"]["message"] == "half"
        (tmp_path / "go").touch()
        assert handle.wait(20).state is State.COMPLETED
    assert handle.status()["job"]["result"] is None  # what the handler returned
    parts.jobs.close()
    del sys.modules["parts"]


PARTS = """
import pathlib, time
from jobsworth import Jobsworth, current_job

jobs = Jobsworth(f"sqlite:///{{pathlib.Path(__file__).parent / 'jobs.db'}}")

@jobs.task(isolation={isolation!r})
def count(go: str) -> None:
    current_job().report_progress(1, 2, result={{"counted": [1]}})
    current_job().report_progress(1, 2, message="half")
    while not pathlib.Path(go).exists():
        time.sleep(0.01)
"""


def test_a_part_of_a_result_that_cannot_travel_is_refused_where_it_is_told(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=1)
    def tells() -> str:
        with pytest.raises(NotSerializable, match="the result so far"):
            current_job().report_progress(1, 2, result=object())
        return "refused"

    with jobs.worker():
        assert tells.enqueue().result(timeout=10) == "refused"
