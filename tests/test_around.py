"""What is put around each run of a handler: entered where it runs, left whatever happens, and unable to hide an end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobsworth import CurrentJob, Jobsworth, State
from runs import SOON, words

CHILD_APP = """
import contextlib, os
from pathlib import Path
from jobsworth import Jobsworth, current_job

jobs = Jobsworth({url!r})
told = Path({told!r})

@contextlib.contextmanager
def room(job):
    with told.open("a") as file:
        file.write(f"in {{os.getpid()}} {{current_job().id}}\\n")
    yield
    with told.open("a") as file:
        file.write("out\\n")

jobs.around.append(room)

@jobs.task(isolation="process")
def whoami() -> int:
    return os.getpid()
"""


class Room:
    """Something around handlers that remembers what happened."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def __call__(self, job: CurrentJob) -> contextlib.AbstractContextManager[None]:
        return self._entered(job)

    @contextlib.contextmanager
    def _entered(self, job: CurrentJob) -> Iterator[None]:
        self.seen += [job.id, threading.get_ident()]
        try:
            yield
        except BaseException as exc:
            self.seen.append(type(exc))
            raise
        finally:
            self.seen.append("out")


def test_it_is_entered_in_the_handlers_thread_and_left_with_what_it_raised(jobs: Jobsworth) -> None:
    room = Room()
    jobs.around.append(room)

    @jobs.task(retry=SOON)
    def work(job: CurrentJob) -> int:
        if job.attempt == 1:
            raise KeyError("once")
        return threading.get_ident()

    with jobs.worker():
        handle = work.enqueue()
        here = handle.result(timeout=10)
    assert words(handle) == ["failed", "succeeded"]
    assert room.seen[0] == room.seen[4] == handle.id
    assert (room.seen[2:4], room.seen[5:]) == ([KeyError, "out"], [here, "out"])


def test_a_coroutine_has_it_around_all_of_its_steps(jobs: Jobsworth) -> None:
    import asyncio

    room = Room()
    jobs.around.append(room)

    @jobs.task
    async def work() -> list[object]:
        await asyncio.sleep(0)
        return list(room.seen)

    with jobs.worker():
        handle = work.enqueue()
        assert handle.result(timeout=10) == room.seen[:2]
    assert room.seen[2:] == ["out"]


def test_one_that_is_asynchronous_too_is_entered_as_such_around_coroutines(jobs: Jobsworth) -> None:
    told: list[str] = []

    class Both(contextlib.AbstractContextManager[None], contextlib.AbstractAsyncContextManager[None]):
        def __enter__(self) -> None:
            told.append("enter")

        def __exit__(self, *_exc: object) -> None:
            told.append("exit")

        async def __aenter__(self) -> None:
            told.append("aenter")

        async def __aexit__(self, *_exc: object) -> None:
            told.append("aexit")

    jobs.around.append(lambda _job: Both())

    @jobs.task
    async def later() -> None:
        told.append("coroutine")

    @jobs.task
    def work() -> None:
        told.append("thread")

    with jobs.worker():
        later.enqueue().result(timeout=10)
        work.enqueue().result(timeout=10)
    assert told == ["aenter", "coroutine", "aexit", "enter", "thread", "exit"]


def test_several_are_entered_in_order_and_left_the_other_way_round(jobs: Jobsworth) -> None:
    told: list[str] = []

    @contextlib.contextmanager
    def named(name: str) -> Iterator[None]:
        told.append(f"in {name}")
        yield
        told.append(f"out {name}")

    jobs.around += [lambda _job: named("first"), lambda _job: named("second")]

    @jobs.task
    def work() -> None:
        told.append("work")

    with jobs.worker():
        work.enqueue().result(timeout=10)
    assert told == ["in first", "in second", "work", "out second", "out first"]


def test_what_cannot_be_entered_fails_the_run_and_leaves_what_was(jobs: Jobsworth) -> None:
    room = Room()

    def broken(_job: CurrentJob) -> contextlib.AbstractContextManager[None]:
        raise RuntimeError("no app")

    jobs.around += [room, broken]

    @jobs.task(max_attempts=1)
    def work() -> None:
        room.seen.append("work")

    with jobs.worker():
        job = work.enqueue().wait(timeout=10)
    assert job.state is State.FAILED
    assert job.failure is not None
    assert job.failure.message == "no app"
    assert room.seen[2:] == [RuntimeError, "out"]


def test_nobody_around_a_handler_can_hide_that_it_failed(jobs: Jobsworth) -> None:
    jobs.around.append(lambda _job: contextlib.suppress(Exception))

    @jobs.task(max_attempts=1)
    def work() -> None:
        raise ValueError("wrong")

    @jobs.task(max_attempts=1)
    async def later() -> None:
        raise ValueError("wrong")

    with jobs.worker():
        for task in (work, later):
            job = task.enqueue().wait(timeout=10)
            assert job.state is State.FAILED
            assert job.failure is not None
            assert job.failure.message == "wrong"


def test_a_direct_call_has_nothing_around_it(jobs: Jobsworth) -> None:
    room = Room()
    jobs.around.append(room)
    assert jobs.task(lambda: 7, name="seven")() == 7  # type: ignore[call-overload]
    assert room.seen == []


def test_a_child_process_has_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    told = tmp_path / "told"
    (tmp_path / "around_child.py").write_text(CHILD_APP.format(url=f"sqlite:///{tmp_path / 'jobs.db'}", told=str(told)))
    monkeypatch.syspath_prepend(str(tmp_path))
    app = importlib.import_module("around_child")
    with app.jobs.worker():
        handle = app.whoami.enqueue()
        pid = handle.result(timeout=30)
    app.jobs.close()
    assert told.read_text().splitlines() == [f"in {pid} {handle.id}", "out"]
