"""A Jobsworth that is opened and closed with a web app: what `jobs.lifespan` does, whatever the framework."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobsworth import Jobsworth, State
from jobsworth.errors import BadOption, EngineUnavailable, UnknownQueue
from web_client import a_url

ENGINES = ("memory", "sqlite", "postgres", "redis")


@pytest.fixture(params=ENGINES)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Jobsworth:
    return Jobsworth(a_url(request, request.param, tmp_path))


def an_app() -> SimpleNamespace:
    """What frameworks hand over: something with a state."""
    return SimpleNamespace(state=SimpleNamespace())


def test_it_opens_offers_and_closes(jobs: Jobsworth) -> None:
    app = an_app()

    async def main() -> None:
        async with jobs.lifespan(app):
            assert jobs.bridge.opened
            assert app.state.jobsworth is jobs

    asyncio.run(main())
    assert not jobs.bridge.opened


def test_with_a_worker_jobs_run_in_the_apps_own_loop_on_every_engine(anywhere: Jobsworth) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @anywhere.task
    async def work(n: int) -> int:
        loops.append(asyncio.get_running_loop())
        return n + 1

    async def main() -> None:
        async with anywhere.lifespan(worker=True, queues={"default": 2}, name="web")(an_app()):
            assert await (await work.aenqueue(1)).aresult(timeout=20) == 2
            (card,) = anywhere.workers()
            assert card.id.startswith("web.")
            assert card.queues == {"default": 2}
        assert loops == [asyncio.get_running_loop()]
        assert not anywhere.bridge.opened
        assert anywhere.workers() == []
        anywhere.close()

    asyncio.run(main())


def test_what_runs_when_the_app_ends_is_handed_back_at_no_cost(tmp_path: Path) -> None:
    jobs = Jobsworth(f"sqlite:///{tmp_path / 'jobs.db'}")
    runs = threading.Event()

    @jobs.task
    async def work() -> None:
        runs.set()
        await asyncio.Event().wait()

    async def main() -> str:
        async with jobs.lifespan(worker=True, grace=0)(None):
            handle = await work.aenqueue()
            await asyncio.to_thread(runs.wait, 10)
        return handle.id

    job = jobs.handle(asyncio.run(main())).job
    assert (job.state, job.errors, job.crashes) == (State.QUEUED, 0, 0)
    jobs.close()


def test_a_worker_that_was_made_before_can_be_asked_how_it_is(jobs: Jobsworth) -> None:
    @jobs.task
    def work() -> int:
        return 7

    worker = jobs.worker(lease=5)

    async def main() -> None:
        for _ in range(2):  # one app after the other, as in tests
            async with jobs.lifespan(worker=worker)(an_app()):
                assert await (await work.aenqueue()).aresult(timeout=10) == 7
                assert worker.healthy()
            assert not worker.healthy()

    asyncio.run(main())


def test_of_several_apps_the_last_to_end_closes_it(jobs: Jobsworth) -> None:
    async def main() -> None:
        async with jobs.lifespan(an_app()):
            async with jobs.lifespan(worker=False)(an_app()):
                pass
            assert jobs.bridge.opened
        assert not jobs.bridge.opened

    asyncio.run(main())


def test_an_app_is_given_one_jobsworth(jobs: Jobsworth) -> None:
    app, other = an_app(), Jobsworth("memory://")

    async def main() -> None:
        async with jobs.lifespan(app):
            with pytest.raises(BadOption, match="another Jobsworth"):
                async with other.lifespan(app):
                    pass
            async with other.lifespan(None):
                assert app.state.jobsworth is jobs

    asyncio.run(main())


def test_nothing_is_given_to_a_worker_that_there_is_not(jobs: Jobsworth) -> None:
    with pytest.raises(BadOption, match="nobody heeds queues, grace"):
        jobs.lifespan(queues="mail", grace=1)
    jobs.task(lambda: None, name="nothing")  # type: ignore[call-overload]
    with pytest.raises(BadOption, match="nobody heeds lease"):
        jobs.lifespan(worker=jobs.worker(), lease=5)
    with pytest.raises(BadOption, match="come before the app"):
        jobs.lifespan(None, worker=True)  # type: ignore[call-overload]
    with pytest.raises(BadOption, match="a Worker, not 'mail:4'"):
        jobs.lifespan(worker="mail:4")  # type: ignore[call-overload]


def test_a_mistake_ends_the_app_before_it_begins(tmp_path: Path) -> None:
    jobs = Jobsworth("memory://")
    jobs.task(lambda: None, name="nothing")  # type: ignore[call-overload]

    async def enter(lifespan: object) -> None:
        async with lifespan(None):  # type: ignore[operator]
            raise AssertionError("it must not get here")

    with pytest.raises(UnknownQueue):
        asyncio.run(enter(jobs.lifespan(worker=True, queues="defualt")))
    assert not jobs.bridge.opened
    with pytest.raises(EngineUnavailable):
        asyncio.run(enter(Jobsworth("redis://127.0.0.1:1/0").lifespan))


def test_a_worker_beside_the_program_can_be_ended_while_python_ends(tmp_path: Path) -> None:
    """When no thread and no pool can be had any more, a running job goes back to its queue all the same."""
    program = f"""
import atexit, threading
from jobsworth import Jobsworth
from jobsworth.worker import chores, office
chores.EVERY = office.POLL = 0.02
chores.Chores.prune = lambda self, prune=chores.Chores.prune: (pruned.set(), prune(self))[1]
pruned = threading.Event()
jobs = Jobsworth({f"sqlite:///{tmp_path / 'jobs.db'}"!r})
runs = threading.Event()

@jobs.task
def work() -> None:
    runs.set()
    threading.Event().wait()

worker = jobs.worker(grace=0)
worker.__enter__()
atexit.register(worker.__exit__, None, None, None)
print(work.enqueue().id)
assert runs.wait(20) and pruned.wait(20)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "Traceback" not in done.stderr
    jobs = Jobsworth(f"sqlite:///{tmp_path / 'jobs.db'}")
    job = jobs.handle(done.stdout.strip()).job
    assert (job.state, job.crashes) == (State.QUEUED, 0)
    assert jobs.workers() == []
    jobs.close()
