"""Celery programs under test: whose jobs go where, who runs them, and that nothing of it is left behind."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

import jobsworth_pytest
from jobsworth.errors import BadOption
from jobsworth.integrations.celery import (
    Celery,
    DiffersFromCelery,
    NotSupported,
    TaskFailed,
    current,
    current_app,
    shared_task,
)
from jobsworth.integrations.celery.contrib.testing.app import Place, created
from jobsworth.integrations.celery.contrib.testing.tasks import ping
from jobsworth.integrations.celery.contrib.testing.worker import TestWorker, start_worker
from jobsworth.integrations.celery.exceptions import TimeoutError  # noqa: A004 (Celery's name)
from jobsworth.testing import HandClock, crash, drain, fake, inline
from jobsworth.testing.which import app_of, spec_for

NOWHERE = "redis://127.0.0.1:1/0"  # whoever asks this fails
program = Celery("program", broker=NOWHERE, set_as_current=False)
ran: list[Any] = []


@program.task
def double(number: int) -> int:
    ran.append(number)
    return 2 * number


@program.task(bind=True, max_retries=2, default_retry_delay=60)
def broken(self: Any, what: str) -> None:
    ran.append(what)
    raise self.retry(exc=OSError(what))


@program.task(time_limit=30)
def limited() -> str:
    return threading.current_thread().name


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    ran.clear()
    meant = list(current._meant)
    yield
    assert not program.jobs.away
    assert not program.conf.given("worker_pool")
    assert "celery.tests" not in {app.main for app in current.apps()}
    assert current._meant == meant
    assert Place._open == []


@contextmanager
def at_work(clock: HandClock | None = None, **options: Any) -> Iterator[tuple[Celery, TestWorker]]:
    with created({}, clock=clock) as app, start_worker(app, **options) as worker:
        yield app, worker


def test_what_a_program_sends_reaches_the_worker_and_not_its_own_broker() -> None:
    with at_work() as (app, _):
        result = double.delay(4)
        assert result.get(timeout=10) == 8
        assert app.AsyncResult(result.id).get(timeout=10) == 8
    assert program.jobs.engine.kind == "redis"


def test_tasks_that_are_declared_later_run() -> None:
    with at_work() as (app, worker):

        @app.task(name="add")
        def add(a: int, b: int) -> int:
            return a + b

        assert add.delay(1, 2).get(timeout=10) == 3  # Celery asks for a reload() before; here it may be left out
        worker.reload()

        @shared_task
        def triple(number: int) -> int:
            return 3 * number

        assert current_app.main == "celery.tests"
        assert triple.delay(5).get(timeout=10) == 15
        assert list(worker._serving) == [app]  # no other had anything to do
        late = Celery("late", broker=NOWHERE, set_as_current=False)
        again = late.task(name="again")(lambda: "late")
        assert again.delay().get(timeout=10) == "late"
        passes_on = app.task(name="passes_on")(lambda: double.delay(7).id)
        result = app.AsyncResult(passes_on.delay().get(timeout=10))
        assert result.get(timeout=10) == 14


def test_a_shared_task_of_a_function_is_gone_afterwards() -> None:
    with at_work():

        @shared_task(name="passing")
        def passing() -> None: ...

        assert "passing" in program.tasks
    assert "passing" not in program.tasks
    assert "passing" not in program.jobs.tasks
    with at_work():

        @shared_task(name="passing")
        def other() -> str:
            return "the second"

        assert other.delay().get(timeout=10) == "the second"


def test_retries_come_with_the_clock_each_at_its_own_moment() -> None:
    clock = HandClock()
    with at_work(clock):
        result = broken.delay("x")
        clock.advance("30s")
        assert (ran, result.status) == (["x"], "RETRY")
        clock.advance("3m")
        assert (ran, result.status) == (["x"] * 3, "FAILURE")


def test_without_the_clock_time_goes_on() -> None:
    with at_work():
        begun = time.monotonic()
        assert double.apply_async((1,), countdown=0.2).get(timeout=10) == 2
        assert time.monotonic() - begun > 0.19


def test_another_store_is_used_if_that_is_what_the_config_says_with_the_same_clock(tmp_path: Any) -> None:
    clock = HandClock()
    with created({"broker_url": f"sqlite:///{tmp_path / 'jobs.db'}"}, clock=clock) as app, start_worker(app):
        later = double.apply_async((2,), countdown=3600)
        clock.advance("1h")
        assert (later.status, later.result) == ("SUCCESS", 4)
        assert program.jobs.engine.kind == "sqlite"


def test_limits_do_not_send_a_task_into_a_child_process() -> None:
    assert program.handled(limited).isolation == "process"
    with at_work():
        assert limited.delay().get(timeout=10).startswith("jobsworth-")
    assert program.handled(limited).isolation == "process"


def test_settings_may_be_changed_meanwhile(tmp_path: Any) -> None:
    mine = Celery("mine", broker=f"sqlite:///{tmp_path / 'jobs.db'}", set_as_current=False)
    answer = mine.task(name="answer")(lambda: 42)
    mine.jobs.open()
    with at_work():
        mine.conf.task_always_eager = True
        assert answer.delay().get() == 42
        assert mine.jobs.engine.kind == "memory"
    assert mine.jobs.engine.kind == "sqlite"
    mine.close()


def test_the_trap_is_shown_to_whoever_asks_for_the_current_app() -> None:
    with created({}, use_trap=True) as app:
        with pytest.raises(RuntimeError, match="depends on current_app"):
            current_app.tasks  # noqa: B018
        assert app.main == "celery.tests"


def test_a_test_within_a_session_has_a_place_of_its_own() -> None:
    with created({}, for_long=True) as outer, start_worker(outer):
        first = double.delay(1)
        assert first.get(timeout=10) == 2
        with at_work() as (inner, _):
            second = double.delay(2)
            assert second.get(timeout=10) == 4
            assert inner.AsyncResult(first.id).status == "PENDING"
        assert outer.AsyncResult(second.id).status == "PENDING"
        with drain(program.jobs) as kit:
            double.delay(2)
            assert kit.drain() == 1
        assert double.delay(3).get(timeout=10) == 6


def test_a_test_has_a_celery_app_or_a_mode_of_the_kit() -> None:
    with at_work(), pytest.raises(BadOption, match="another mode"), fake(program.jobs):
        pass
    with fake(program.jobs), pytest.raises(BadOption, match="another mode"), at_work():
        pass


def test_who_forgot_the_worker_is_asked_for_it() -> None:
    with created({}):
        waits = double.delay(1)
        with pytest.raises(TimeoutError, match="has not ended within") as caught:
            waits.get(timeout=0.05)
        assert program.jobs.bridge.patience is not None
    with at_work():
        assert program.jobs.bridge.patience is None
        assert ping.delay().get() == "pong"
    assert "is there a celery_worker" in str(caught.value.__cause__)


def test_what_a_task_raised_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with at_work() as (app, _):
        assert len(app.control.ping()) == 1
        wrong = app.task(name="wrong")(lambda: [][1])
        with pytest.raises(TaskFailed):
            wrong.delay().get(timeout=10)
    assert "IndexError" in caplog.text
    assert "Traceback" in caplog.text


def test_a_worker_serves_the_queues_it_is_told_with_so_many_at_once() -> None:
    both = threading.Barrier(2, timeout=10)
    with created({"task_routes": {"meet": "pairs"}}) as app:
        meet = app.task(name="meet")(lambda: both.wait() >= 0)
        alone = app.task(name="alone")(lambda: None)
        with start_worker(app, concurrency=2, queues="pairs") as worker:
            assert (worker.concurrency, worker.app, worker.queues) == (2, app, ["pairs"])
            results = [meet.delay(), meet.delay()]
            left = alone.delay()
            elsewhere = alone.apply_async(queue="elsewhere")
            assert [result.get(timeout=10) for result in results] == [True, True]
            assert left.status == elsewhere.status == "PENDING"
            with pytest.raises(AttributeError, match="no 'pool' here"):
                worker.pool  # noqa: B018


def test_a_queue_that_no_app_names_is_served_if_it_is_asked_for() -> None:
    with created({}) as app, start_worker(app, queues=["elsewhere"]):
        assert double.apply_async((3,), queue="elsewhere").get(timeout=10) == 6
    assert list(program.jobs.queues) == ["celery"]


def test_what_a_worker_of_a_test_cannot_be_is_refused_or_warned_of() -> None:
    with created({}) as app:
        with pytest.raises(NotSupported, match="prefork"), start_worker(app, pool="prefork"):
            pass
        with pytest.raises(NotSupported, match="logfile"), start_worker(app, logfile="x.log"):  # type: ignore[arg-type]
            pass
        with (
            pytest.warns(DiffersFromCelery, match="without_heartbeat=False"),
            start_worker(app, without_heartbeat=False),
        ):
            pass


def test_a_worker_without_a_place_works_on_the_apps_own_store() -> None:
    app = Celery("mine", broker="memory://", set_as_current=False)
    task = app.task(name="mine")(lambda: "done")
    with current.as_before():
        with start_worker(app):
            assert task.delay().get(timeout=10) == "done"
        assert app.jobs.engine.kind == "memory"
    current.leave(app)


def test_the_log_is_written_if_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for enabled in (False, True):
        with created({}, enable_logging=enabled) as app:
            say = app.task(name="say")(lambda text: logging.getLogger("program").warning(text))
            with start_worker(app, loglevel="warning"):
                say.delay(f"heard {enabled}").get(timeout=10)
    assert "heard True" in (said := capsys.readouterr().err)
    assert "heard False" not in said


# The kit's own fixtures with a Celery program.
@pytest.mark.parametrize("mode", [fake, drain, inline])
def test_the_kit_takes_tasks_of_celery(mode: Any) -> None:
    with mode(program.jobs) as kit:
        double.apply_async((4,), countdown=60)
        kit.assert_enqueued(double, 4, delay="1m", queue="celery", count=1)
        kit.refute_enqueued(double, 5)
        with pytest.raises(AssertionError, match=r"number is 4, not 5"):
            kit.assert_enqueued(double, 5)
        if mode is not fake:
            kit.clock.advance("1m")
            if mode is drain:
                kit.drain()
            assert ran == [4]


def test_a_celery_app_is_found_as_a_jobsworth_is() -> None:
    module = ModuleType("some_program")
    module.celery_app = program  # type: ignore[attr-defined]
    assert app_of("", module) is program.jobs
    sys.modules["some_program"] = module
    try:
        assert app_of("some_program:celery_app", None) is program.jobs
    finally:
        del sys.modules["some_program"]
    assert spec_for(program.jobs) == f"{__name__}:program"


def note(number: int) -> None:
    ran.append(number)


@program.task
def notes(number: int) -> None:
    note(number)
    number += 1


def test_a_celery_task_is_killed_anywhere() -> None:
    report = crash(program.jobs, notes, 1, effects=[f"{__name__}.note"], lines="every")
    assert list(report.twice) == ["before `number += 1`", "done, and that not written down"]


class Item:
    """A test as pytest has it: with what its fixtures gave."""

    def __init__(self, **funcargs: Any) -> None:
        self.funcargs = funcargs
        self.warned: list[str] = []

    def warn(self, warning: Warning) -> None:
        self.warned.append(str(warning))


def test_a_test_that_gets_the_fixtures_of_celerys_own_plugin_is_warned() -> None:
    theirs = type("Celery", (), {"__module__": "celery.app.base"})
    item = Item(celery_app=theirs(), celery_worker=None, other=theirs())
    jobsworth_pytest.pytest_runtest_call(item)  # type: ignore[arg-type]
    assert [text.split(",")[0] for text in item.warned] == ["celery_app is that of celery.app.base"]
    with at_work() as (app, worker):
        item = Item(celery_app=app, celery_worker=worker)
        jobsworth_pytest.pytest_runtest_call(item)  # type: ignore[arg-type]
    assert item.warned == []
