"""What handlers log belongs to their jobs: captured, bounded, live, and there when the job has ended."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsworth import CurrentJob, Jobsworth, Queue, Retry, Snooze, State
from jobsworth.bridge import drive
from jobsworth.clock import ManualClock
from jobsworth.conformance import Door
from jobsworth.conformance.door import finish, new_job
from jobsworth.conformance.logs import talk_too_much
from jobsworth.engine import Heard, Pulse, Want, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.errors import BadOption, EngineUnavailable, JobNotFound
from jobsworth.job import LogLine
from jobsworth.journal import LONGEST, OFF, Journal, number_of
from jobsworth.logged import KEPT, RUNS, Logged
from jobsworth.runners import capture
from places import Place, pay_in
from runs import SOON
from waiting import until

log = logging.getLogger("app")


@pytest.fixture(autouse=True)
def talkative() -> Iterator[None]:
    log.setLevel(logging.DEBUG)
    yield
    log.setLevel(logging.NOTSET)
    assert capture._capture not in logging.getLogger().handlers  # every worker took it away again


def said(lines: list[Logged]) -> list[str]:
    return [line.message for line in lines]


# whose line it is


def test_lines_of_threads_and_coroutines_belong_to_their_jobs(jobs: Jobsworth) -> None:
    @jobs.task
    def threaded(n: int) -> None:
        log.info("thread %d", n)

    @jobs.task
    async def looped(n: int) -> None:
        log.info("loop %d", n)
        await asyncio.to_thread(log.warning, "beside the loop %d", n)
        await asyncio.sleep(0)
        log.error("loop again %d", n)

    with jobs.worker(lease=5):
        handles = [task.enqueue(n) for n in range(8) for task in (threaded, looped)]
        for handle in handles:
            handle.wait(10)
    for n in range(8):
        assert said(handles[2 * n].logs()) == [f"thread {n}"]
        lines = handles[2 * n + 1].logs()
        assert said(lines) == [f"loop {n}", f"beside the loop {n}", f"loop again {n}"]
        assert [line.level for line in lines] == ["INFO", "WARNING", "ERROR"]
        assert {line.logger for line in lines} == {"app"}


def test_a_line_knows_its_attempt_and_its_moment(jobs: Jobsworth) -> None:
    @jobs.task(retry=SOON)
    def third_time_lucky(job: CurrentJob) -> None:
        log.info("attempt %d", job.attempt)
        if job.attempt < 3:
            raise ValueError("not yet")

    began = time.time()
    with jobs.worker(lease=5):
        handle = third_time_lucky.enqueue()
        handle.wait(10)
    lines = handle.logs()
    assert [(line.place, line.attempt, line.number, line.message) for line in lines] == [
        (1, 1, 1, "attempt 1"), (2, 2, 1, "attempt 2"), (3, 3, 1, "attempt 3"),
    ]  # fmt: skip
    assert began - 1 < lines[0].at <= lines[1].at <= lines[2].at < time.time() + 1


def test_what_is_logged_outside_handlers_belongs_to_no_job(jobs: Jobsworth) -> None:
    go, started = threading.Event(), threading.Event()

    @jobs.task
    def silent() -> None:
        started.set()
        go.wait(10)

    with jobs.worker(lease=5):
        handle = silent.enqueue()
        assert started.wait(10)
        log.error("said by the program")
        thread = threading.Thread(target=log.error, args=("said by another thread",))
        thread.start()
        thread.join()
        go.set()
        handle.wait(10)
    assert handle.logs() == []


def test_a_direct_call_keeps_nothing(jobs: Jobsworth) -> None:
    @jobs.task
    def direct(job: CurrentJob) -> str:
        log.error("to nobody")
        job.log("to nobody either")
        return "done"

    with jobs.worker(lease=5):
        assert direct() == "done"


def test_who_asks_for_the_log_of_no_job_is_told(jobs: Jobsworth) -> None:
    with pytest.raises(JobNotFound):
        jobs.handle("nobody").logs()


def test_the_log_can_be_asked_for_from_a_coroutine(jobs: Jobsworth) -> None:
    @jobs.task
    def talks() -> None:
        for n in range(5):
            log.info("%d", n)

    async def ask() -> list[Logged]:
        return await handle.alogs(after=1, limit=2)

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        handle.wait(10)
    assert [(line.place, line.message) for line in asyncio.run(ask())] == [(4, "3"), (5, "4")]


# what the job's own log() says


@pytest.mark.parametrize("level", [logging.INFO, logging.CRITICAL])
def test_job_log_is_kept_once_whether_its_logger_speaks_or_not(jobs: Jobsworth, level: int) -> None:
    own = logging.getLogger("jobsworth.job")

    @jobs.task
    def talks(job: CurrentJob) -> None:
        job.log("page %d of %d", 1, 2)
        job.log("too fine", level=logging.DEBUG)

    own.setLevel(level)
    try:
        with jobs.worker(lease=5):
            handle = talks.enqueue()
            handle.wait(10)
    finally:
        own.setLevel(logging.NOTSET)
    assert [(line.level, line.logger, line.message) for line in handle.logs()] == [
        ("INFO", "jobsworth.job", "page 1 of 2")
    ]


# which lines


@pytest.mark.parametrize(
    ("queue", "task", "kept"),
    [
        ({}, {}, ["INFO", "WARNING", "ERROR"]), ({"log_level": "WARNING"}, {}, ["WARNING", "ERROR"]),
        ({"log_level": None}, {}, []), ({"log_level": "off"}, {}, []), ({"log_level": 35}, {}, ["ERROR"]),
        ({"log_level": None}, {"log_level": "debug"}, ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ({}, {"log_level": "OFF"}, []), ({}, {"log_level": 0}, ["DEBUG", "INFO", "WARNING", "ERROR"]),
    ],
)  # fmt: skip
def test_the_queue_and_the_task_say_from_which_level_on(
    jobs: Jobsworth, queue: dict[str, Any], task: dict[str, Any], kept: list[str]
) -> None:
    jobs.add(Queue("q", **queue))

    @jobs.task(queue="q", **task)
    def talks() -> None:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            log.log(level, "line")

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        handle.wait(10)
    assert [line.level for line in handle.logs()] == kept


@pytest.mark.parametrize("wrong", ["LOUD", -1, 2.5, True, b"INFO", []])
def test_a_level_that_is_none_is_refused(jobs: Jobsworth, wrong: Any) -> None:
    with pytest.raises(BadOption, match="log_level"):
        jobs.add(Queue("q", log_level=wrong))
    with pytest.raises(BadOption, match="log_level"):
        jobs.task(name="t", log_level=wrong)(lambda: None)


def test_levels_have_numbers() -> None:
    assert [number_of(level) for level in ("INFO", "error", 15, None, "Off")] == [20, 40, 15, OFF, OFF]


def test_a_worker_may_keep_no_logs_at_all(jobs: Jobsworth) -> None:
    @jobs.task
    def talks(job: CurrentJob) -> None:
        log.error("line")
        job.log("line")

    with jobs.worker(lease=5, capture_logs=False):
        handle = talks.enqueue()
        handle.wait(10)
    assert handle.logs() == []


# whatever is said


class Broken:
    def __init__(self, exc: BaseException) -> None:
        self.exc = exc

    def __str__(self) -> str:
        raise self.exc


@pytest.mark.parametrize("exc", [ValueError("x"), RecursionError(), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_line_that_cannot_be_read_does_not_break_its_handler(jobs: Jobsworth, exc: BaseException) -> None:
    quiet = logging.getLogger("app.broken")

    @jobs.task
    def talks() -> str:
        quiet.propagate = False  # nobody else must stumble over it
        quiet.addHandler(capture._capture)
        try:
            quiet.info(Broken(exc))
            quiet.info("%s", Broken(exc))
            quiet.info("%d", "no number")
            quiet.info("%s %s", "one")
            quiet.info("and on")
        finally:
            quiet.removeHandler(capture._capture)
            quiet.propagate = True
        return "done"

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        assert handle.result(10) == "done"
    lines = said(handle.logs())
    assert lines[:2] == [f"<what was logged here raised {type(exc).__name__} when it was read>"] * 2
    assert lines[2:] == ["<what was logged here raised TypeError when it was read>"] * 2 + ["and on"]


def test_a_long_line_keeps_both_ends_and_an_odd_one_can_travel(jobs: Jobsworth) -> None:
    @jobs.task
    def talks() -> None:
        log.info("begin %s end", "x" * 50_000)
        log.info("file \udcff\0\x1b[31m 日本 🦀")

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        handle.wait(10)
    long, odd = said(handle.logs())
    assert len(long) <= LONGEST
    assert (long[:8], long[-6:]) == ("begin xx", "xx end")
    assert odd == "file \\udcff\0\x1b[31m 日本 🦀"


def test_a_traceback_comes_with_its_line(jobs: Jobsworth) -> None:
    @jobs.task
    def talks() -> None:
        try:
            raise KeyError("gone")
        except KeyError:
            log.exception("could not read it")

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        handle.wait(10)
    [line] = handle.logs()
    assert line.message.startswith("could not read it\nTraceback (most recent call last):\n")
    assert line.message.endswith("KeyError: 'gone'")


# how many


def test_the_newest_lines_of_a_run_are_kept_and_its_pulses_are_few() -> None:
    class Counting(MemoryEngine):
        pulses = most = 0

        async def pulse(self, card: WorkerCard, pulses: Any, *, lease: float) -> Heard:
            self.pulses += 1
            self.most = max([self.most, *(len(each.lines) for each in pulses)])
            return await super().pulse(card, pulses, lease=lease)

    engine = Counting()
    jobs = Jobsworth(engine=engine)

    @jobs.task
    def talks() -> float:
        began = time.monotonic()
        for n in range(20_000):
            log.info("line %d", n + 1)
        return time.monotonic() - began

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        seconds = handle.result(30)
    lines = handle.logs()
    assert [line.number for line in lines] == list(range(20_001 - KEPT, 20_001))
    assert lines[-1].message == "line 20000"
    assert engine.pulses <= 3 + seconds / 0.15
    assert engine.most <= KEPT
    jobs.close()


def test_a_run_holds_no_more_lines_than_are_kept() -> None:
    journal = Journal(time.monotonic())
    for number in range(3 * KEPT):
        journal.note(logging.LogRecord("app", logging.INFO, "", 0, "line %d", (number + 1,), None))
    assert [line.number for line in journal.newest()] == list(range(2 * KEPT + 1, 3 * KEPT + 1))
    assert journal.untold() == journal.newest()
    assert journal.untold() == ()


def test_threads_of_one_job_number_their_lines_one_after_another(jobs: Jobsworth) -> None:
    @jobs.task
    async def talks() -> None:
        await asyncio.gather(*(asyncio.to_thread(lambda n=n: [log.info("%d", n) for _ in range(15)]) for n in range(8)))

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        assert handle.wait(20).state is State.COMPLETED
    lines = handle.logs()
    assert [line.number for line in lines] == list(range(1, 121))
    assert sorted(said(lines)) == sorted(str(n) for n in range(8) for _ in range(15))


# when


def test_lines_can_be_read_while_the_job_runs(jobs: Jobsworth) -> None:
    go = threading.Event()

    @jobs.task
    def talks() -> None:
        log.info("one")
        log.info("two")
        go.wait(20)
        log.info("three")

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        until(lambda: said(handle.logs()) == ["one", "two"])
        assert handle.state is State.RUNNING
        go.set()
        handle.wait(10)
        assert said(handle.logs(after=2)) == ["three"]


@pytest.mark.parametrize("how", ["returns", "fails", "snoozes", "is cancelled"])
def test_the_last_lines_are_there_with_the_ending(jobs: Jobsworth, how: str) -> None:
    @jobs.task(retry=Retry(max_attempts=1))
    def talks(job: CurrentJob) -> None:
        log.info("first")
        while how == "is cancelled" and not job.cancel_requested:
            time.sleep(0.005)
        log.info("last words")
        job.check_cancelled()
        if how == "fails":
            raise ValueError("broken")
        if how == "snoozes":
            raise Snooze(3600)

    with jobs.worker(lease=5):
        handle = talks.enqueue()
        if how == "is cancelled":
            until(lambda: handle.state is State.RUNNING)
            handle.cancel()
        until(lambda: handle.state not in (State.QUEUED, State.RUNNING, State.CANCELLING))
        assert said(handle.logs()) == ["first", "last words"]


class Hiccups(MemoryEngine):
    """Fails a pulse that carries lines, once: before it is written, or after."""

    def __init__(self, written: bool) -> None:
        super().__init__()
        self.written = written
        self.failures = 1

    async def pulse(self, card: WorkerCard, pulses: Any, *, lease: float) -> Heard:
        fails = self.failures and any(isinstance(each, Pulse) and each.lines for each in pulses)
        if fails:
            self.failures -= 1
        if not fails or self.written:
            heard = await super().pulse(card, pulses, lease=lease)
        if fails:
            raise EngineUnavailable("hiccup")
        return heard


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_lines_whose_pulse_was_not_answered_are_there_once(written: bool, ends: bool) -> None:
    engine = Hiccups(written)
    jobs = Jobsworth(engine=engine)
    go = threading.Event()

    @jobs.task
    def talks() -> None:
        log.info("one")
        until(lambda: not engine.failures)
        log.info("two")
        if not ends:
            go.wait(20)

    with jobs.worker(lease=2):
        handle = talks.enqueue()
        until(lambda: said(handle.logs()) == ["one", "two"])
        go.set()
        handle.wait(10)
    assert [(line.number, line.message) for line in handle.logs()] == [(1, "one"), (2, "two")]
    jobs.close()


def test_a_transaction_that_completes_the_job_brings_its_lines(place: Place) -> None:
    def work(job: CurrentJob, connection: Any, n: int) -> None:
        log.info("inside")

    task = pay_in(place, work)
    with place.worker():
        handle = task.enqueue(7)
        assert handle.result(timeout=10) == {"paid": 7}
    assert said(handle.logs()) == ["inside"]


def test_a_transaction_that_is_rolled_back_loses_no_line(place: Place) -> None:
    def work(job: CurrentJob, connection: Any, n: int) -> None:
        log.info("attempt %d", job.attempt)
        if job.attempt == 1:
            raise ValueError("not yet")

    task = pay_in(place, work)
    task._retry = task.retry.__class__(max_attempts=3, base=0.01)
    with place.worker():
        handle = task.enqueue(7)
        assert handle.result(timeout=10) == {"paid": 7}
    assert said(handle.logs()) == ["attempt 1", "attempt 2"]


# beside the program's own logging


def test_other_handlers_hear_what_they_always_heard(jobs: Jobsworth, caplog: pytest.LogCaptureFixture) -> None:
    @jobs.task
    def talks() -> None:
        log.info("to all")

    with jobs.worker(lease=5):
        talks.enqueue().wait(10)
    assert [record.message for record in caplog.records if record.name == "app"] == ["to all"]


def test_several_workers_capture_each_line_once(jobs: Jobsworth) -> None:
    @jobs.task
    def talks() -> None:
        log.info("line")

    with jobs.worker(lease=5):
        with jobs.worker(lease=5):
            first = talks.enqueue()
            first.wait(10)
        second = talks.enqueue()
        second.wait(10)
    assert said(first.logs()) == said(second.logs()) == ["line"]


def test_where_nobody_has_configured_logging_warnings_still_go_to_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    root, err = logging.getLogger(), io.StringIO()
    monkeypatch.setattr(root, "handlers", [])
    capture.begin()
    try:
        with contextlib.redirect_stderr(err):
            log.info("not this")
            log.warning("but this")
            root.addHandler(logging.NullHandler())
            log.warning("and not what somebody else has heard")
    finally:
        capture.end()
    assert err.getvalue() == "but this\n"


def test_jobs_that_log_nothing_cost_no_statement(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "jobs.db")
    jobs = Jobsworth(engine=engine)
    jobs.open()
    statements: list[str] = []

    @jobs.task
    def silent(job: CurrentJob) -> None:
        job.report_progress(1, 2)
        log.debug("too fine to be kept")

    with engine._store.writing(durable=False) as connection:
        connection.set_trace_callback(statements.append)
    with jobs.worker(lease=5):
        for handle in [silent.enqueue() for _ in range(20)]:
            handle.wait(10)
    assert sum("UPDATE jobsworth_jobs" in each for each in statements) > 2
    assert [each for each in statements if "jobsworth_logs" in each] == []
    assert drive(engine.logs(handle.id)) == []
    jobs.close()


def test_what_is_not_told_is_not_kept_either(tmp_path: Path) -> None:
    """Nor is it in PostgreSQL and Redis: see their own tests."""
    engine = SqliteEngine(tmp_path / "jobs.db", clock=(clock := ManualClock()))
    drive(engine.open())
    talk_too_much(Door(engine, clock, finish))
    with engine._store.reading() as connection:
        assert connection.execute("SELECT count(*) FROM jobsworth_logs").fetchone()[0] == KEPT + RUNS - 1
    drive(engine.close())


def test_a_layout_without_logs_is_brought_up_to_date_and_keeps_its_jobs(place: Place) -> None:
    engine = place.jobs.engine
    [[stored]] = drive(engine.enqueue([[new_job()]]))
    [claim] = drive(engine.turn("w", [], [Want("mail", 1, ("send",))], lease=30)).claims
    place.jobs.close()
    home = "jobsworth_" if place.sqlite else "jobsworth."
    with place.connect() as connection:
        if not place.sqlite:
            connection.execute("DROP FUNCTION jobsworth.keep_lines")
        connection.execute(f"DROP TABLE {home}logs")
        connection.execute(f"UPDATE {home}{'schema' if place.sqlite else 'schema_version'} SET version = 2")
        connection.commit()
    place.jobs.open()
    line = LogLine(1, 0.5, "INFO", "app", "from now on")
    assert drive(engine.pulse(WorkerCard(id="w"), [Pulse(claim.lease, None, (line,))], lease=30)).lost == []
    assert said(drive(engine.logs(stored.id))) == ["from now on"]


# children

CHILD_APP = """
import logging, time
from pathlib import Path
from jobsworth import Jobsworth, Queue, Retry, current_job

log = logging.getLogger("app.child")
jobs = Jobsworth({url!r})
jobs.add(Queue("children", isolation="process", worker_count=1, retry=Retry(max_attempts=1, base=0.01)))

@jobs.task(queue="children")
def talks(lines: int, go: str) -> None:
    for number in range(lines):
        log.info("line %d", number + 1)
    current_job().log("and so on")
    log.debug("too fine")
    while go and not Path(go).exists():
        time.sleep(0.005)
    log.warning("last words")

@jobs.task(queue="children")
def dies(folder: str) -> None:
    log.info("before")
    while not Path(folder, f"go{{current_job().attempt}}").exists():
        time.sleep(0.005)
    import os
    os._exit(3)
"""


@pytest.fixture
def child_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "talking_children.py").write_text(CHILD_APP.format(url=f"sqlite:///{tmp_path / 'jobs.db'}"))
    monkeypatch.syspath_prepend(tmp_path)
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.INFO)  # of this process; its children take it over
    app = importlib.import_module("talking_children")
    yield app
    root.setLevel(level)
    app.jobs.close()
    del sys.modules["talking_children"]


def test_lines_of_a_child_process_are_live_and_complete(child_app: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with child_app.jobs.worker(lease=5):
        handle = child_app.talks.enqueue(3, str(go))
        until(lambda: said(handle.logs()) == ["line 1", "line 2", "line 3", "and so on"])
        assert handle.state is State.RUNNING
        go.touch()
        job = handle.wait(20)
        lines = handle.logs()
        assert said(lines)[4:] == ["last words"]
        assert [line.number for line in lines] == [1, 2, 3, 4, 5]
        assert job.started_at is not None
        assert job.finished_at is not None
        assert job.started_at < lines[0].at <= lines[-1].at < job.finished_at + 0.1

        again = child_app.talks.enqueue(2 * KEPT, "")  # in the same child
        again.wait(20)
        numbers = [line.number for line in again.logs()]
        assert numbers == list(range(KEPT + 3, 2 * KEPT + 3))


def test_what_a_child_said_before_it_died_is_there(child_app: Any, tmp_path: Path) -> None:
    with child_app.jobs.worker(lease=5):
        handle = child_app.dies.enqueue(str(tmp_path))
        for run in (1, 2, 3):
            until(lambda run=run: said(handle.logs()) == ["before"] * run)  # type: ignore[misc]
            (tmp_path / f"go{run}").touch()
        assert handle.wait(30).state is State.FAILED
    assert said(handle.logs()) == ["before"] * 3  # it crashed three times
