"""What surrounds every run of a program's handlers, and where its jobs are at home."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from jobsworth import JobFailed, Jobsworth, Retry
from jobsworth.home import Home

told: ContextVar[str] = ContextVar("told", default="nothing")
heard: list[str] = []


@contextlib.contextmanager
def context() -> Iterator[None]:
    """A context as a web framework has one."""
    heard.append("in")
    token = told.set("something")
    try:
        yield
    finally:
        told.reset(token)
        heard.append("out")


class Both(contextlib.AbstractContextManager[None], contextlib.AbstractAsyncContextManager[None]):
    """One that is asynchronous where that is possible."""

    def __enter__(self) -> None:
        heard.append("in")

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        heard.append(f"out {kind.__name__ if kind else 'well'}")

    async def __aenter__(self) -> None:
        heard.append("ain")

    async def __aexit__(self, kind: Any, exc: Any, tb: Any) -> None:
        heard.append(f"aout {kind.__name__ if kind else 'well'}")


@pytest.fixture(autouse=True)
def _silence() -> None:
    heard.clear()


def a_program(jobs: Jobsworth) -> tuple[Any, Any]:
    @jobs.task(retry=Retry(max_attempts=1))
    def run(fails: bool = False) -> str:
        if fails:
            raise ValueError
        return told.get()

    @jobs.task(retry=Retry(max_attempts=1))
    async def arun(fails: bool = False) -> str:
        if fails:
            raise ValueError
        return told.get()

    return run, arun


def test_a_context_is_around_every_run(jobs: Jobsworth) -> None:
    tasks = a_program(jobs)
    jobs.around = context
    with jobs.worker({"default": 1}):
        assert [task.enqueue().result(10) for task in tasks] == ["something", "something"]
    assert heard == ["in", "out"] * 2


def test_around_a_coroutine_it_may_be_asynchronous(jobs: Jobsworth) -> None:
    tasks = a_program(jobs)
    jobs.around = Both
    with jobs.worker({"default": 1}):
        for task in tasks:
            task.enqueue().result(10)
            with pytest.raises(JobFailed):
                task.enqueue(fails=True).result(10)
    assert heard == ["in", "out well", "in", "out ValueError", "ain", "aout well", "ain", "aout ValueError"]


def test_what_fails_around_a_run_fails_the_run(jobs: Jobsworth) -> None:
    run, _ = a_program(jobs)

    @contextlib.contextmanager
    def broken() -> Iterator[None]:
        raise RuntimeError("no context to be had")
        yield

    jobs.around = broken
    with jobs.worker(), pytest.raises(JobFailed, match="no context to be had"):
        run.enqueue().result(10)


def test_nothing_is_around_a_call_without_a_queue(jobs: Jobsworth) -> None:
    run, _ = a_program(jobs)
    jobs.around = context
    assert (run(), heard) == ("nothing", [])


def test_jobs_may_be_told_to_live_elsewhere_before_they_are_used(tmp_path: Path) -> None:
    jobs = Jobsworth("memory://")
    run, _ = a_program(jobs)
    jobs.use(f"sqlite:///{tmp_path}/jobs.db")
    handle = run.enqueue()
    jobs.close()
    there = Jobsworth(f"sqlite:///{tmp_path}/jobs.db")
    assert [job.id for job in there.find()] == [handle.id]
    there.close()


def test_a_program_may_learn_anew_where_its_jobs_live() -> None:
    homes = [Home.at("memory://"), Home.at("memory://")]

    class Nomad(Jobsworth):
        def home(self) -> Home:
            return homes[0]

    jobs = Nomad("memory://")
    run, _ = a_program(jobs)
    run.enqueue()
    assert len(jobs.find()) == 1
    homes.reverse()
    assert jobs.find() == []
    with jobs.worker():
        assert run.enqueue().result(10) == "nothing"
