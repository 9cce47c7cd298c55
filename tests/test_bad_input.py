"""Bad input ends in a clear error with a stable code, and nothing is lost."""

from __future__ import annotations

import asyncio
import math
import os
import re
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import jobsworth
from jobsworth import JobFailed, Jobsworth, Queue, QueueService, Retry, Snooze, State, current_job
from jobsworth.engine import Where
from jobsworth.engines.sqlite import filesystem, store
from jobsworth.errors import (
    BadArguments,
    BadName,
    BadOption,
    BadUrl,
    EngineError,
    EngineUnavailable,
    JobsworthError,
    NetworkFileSystem,
    NotSerializable,
    SchemaMismatch,
    TooDeep,
    TooLarge,
    UnknownQueue,
    UnknownTask,
)
from jobsworth.events import Event, Fault
from waiting import until


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    jobs = Jobsworth("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'jobs.db'}")
    yield jobs
    jobs.close()


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Jobsworth]:
    """A Jobsworth on a file that a test may tamper with."""
    jobs = Jobsworth(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield jobs
    jobs.close()


def tamper(tmp_path: Path, sql: str, *values: Any) -> None:
    """What somebody does to the file behind our back."""
    connection = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None, timeout=10)
    try:
        connection.execute(sql, values)
    finally:
        connection.close()


# --- arguments -----------------------------------------------------------------------------------------------------


def test_wrong_argument_names_are_refused_where_they_are_written(jobs: Jobsworth) -> None:
    @jobs.task
    def send(user_id: int, template: str = "welcome") -> None: ...

    with pytest.raises(BadArguments, match=r'E404: send\(\) has no argument "usr_id".*Did you mean "user_id"'):
        send.enqueue(usr_id=1)  # type: ignore[call-arg]
    with pytest.raises(BadArguments, match=r'E404: send\(\) needs argument "user_id"'):
        send.enqueue()  # type: ignore[call-arg]
    with pytest.raises(BadArguments, match="E404"):
        send.enqueue(1, "a", "b")  # type: ignore[call-arg]
    with pytest.raises(BadArguments, match=r"E404.*user_id"):
        send.enqueue("one")  # type: ignore[arg-type]
    assert jobs.find() == []


class Odd:
    def __repr__(self) -> str:
        return "Odd()"  # the same in every process that names a test for it


def knot() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ({"items": [1, {"when": Odd()}]}, NotSerializable, r"E401.*params.*items\[1\].when"),
        ({"f": print}, NotSerializable, "E401.*params.*f"),
        ({1: "a"}, NotSerializable, "E401"),
        ({"x": math.nan}, NotSerializable, "E401.*nan"),
        ({"x": [math.inf]}, NotSerializable, "E401.*inf"),
        ({"when": datetime(2020, 1, 1)}, NotSerializable, "E401.*when"),  # noqa: DTZ001
        ({"for": timedelta(1)}, NotSerializable, "E401.*timedelta"),
        ({"s": "\ud800"}, JobsworthError, "E40"),
        ({"big": 10**5000}, JobsworthError, "E40"),
        ({"knot": knot()}, JobsworthError, "E40"),
        # Made by their tests only, and gone with them: every process of a test run collects these.
        (lambda: {"deep": deep(100_000)}, TooDeep, "E403"),
        (lambda: {"deep": deep(70)}, TooDeep, "E403"),
        (lambda: {"blob": "x" * 100_000_000}, TooLarge, r"E402.*params.*1\.?0?.*Mi?B"),
        (lambda: {"many": ["x" * 10] * 200_000}, TooLarge, "E402"),
    ],
    ids=lambda value: None if isinstance(value, str | type) else "",
)
def test_what_cannot_travel_is_refused_with_its_path(
    jobs: Jobsworth, value: Any, error: type[Exception], says: str
) -> None:
    @jobs.task
    def task(params: dict[Any, Any]) -> None: ...

    with pytest.raises(error) as refused:
        task.enqueue(value() if callable(value) else value)
    assert re.search(says, str(refused.value), re.DOTALL), str(refused.value)[:500]
    assert len(str(refused.value)) < 2_000
    assert jobs.find() == []


BAD_NAMES = [
    "", "a b", "a'b", 'a"b', "a\0b", "a\r\nb", "../../etc/passwd", "a/b", "x" * 129, "café", "a;DROP TABLE jobs",
    "\ud800", 5, None, b"bytes",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_bad_names_are_refused_everywhere(jobs: Jobsworth, name: Any) -> None:
    @jobs.task
    def task() -> None: ...

    with pytest.raises((BadName, BadOption), match=r"E10[45]") as refused:
        jobs.add(Queue(name))
    assert "\0" not in str(refused.value)
    assert "\r" not in str(refused.value)
    assert len(str(refused.value)) < 300
    if name is None:
        return
    for option in ("id", "key", "owner"):
        with pytest.raises(BadName, match="E104"):
            task.options(**{option: name})
    with pytest.raises(BadName, match="E104"):
        task.options(tags=[name])
    if name != "":
        with pytest.raises(BadName, match="E104"):
            jobs.task(name=name)(lambda: None)
        with pytest.raises(BadName, match="E104"):
            jobs.worker(name=name)
    with pytest.raises(BadName, match="E104"):
        jobs.pause(name)
    assert jobs.find() == []


@pytest.mark.parametrize(
    "options",
    [
        {"delay": -1}, {"delay": math.nan}, {"delay": math.inf}, {"delay": 1e12}, {"delay": "soon"}, {"delay": True},
        {"run_at": datetime(2030, 1, 1)}, {"run_at": math.nan}, {"run_at": 1e15},  # noqa: DTZ001
        {"timeout": 0}, {"timeout": math.inf}, {"max_attempts": 0}, {"max_attempts": 2**31}, {"priority": 0.5},
        {"priority": 2**40}, {"tags": "one"}, {"meta": [1]}, {"meta": {"x": Odd()}}, {"label": 5},
        {"label": "x" * 501}, {"expires": -1}, {"delay": 1, "run_at": 2}, {"nonsense": 1},
    ],
    ids=str,
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(jobs: Jobsworth, options: dict[str, Any]) -> None:
    @jobs.task
    def task() -> None: ...

    with pytest.raises(JobsworthError, match=r"E105|E401"):
        task.options(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"worker_count": 0}, {"worker_count": "4"}, {"retry": "often"}, {"timeout": -1}, {"grace": -1},
        {"isolation": "vm"}, {"max_size": -1}, {"keep": "long"}, {"keep_failed": -5}, {"dead_letter": "q"},
        {"dead_letter": "a b"}, {"nonsense": 1},
    ],
    ids=str,
)  # fmt: skip
def test_queues_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises((BadOption, BadName), match=r"E10[45]"):
        Jobsworth("memory://", queues=[Queue("q", **options)])


@pytest.mark.parametrize(
    "policy",
    [{"max_attempts": 0}, {"base": math.nan}, {"cap": -1}, {"factor": 0.5}, {"retry_on": (5,)}, {"max_crashes": 0}],
    ids=str,
)
def test_retry_policies_that_make_no_sense_are_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="E105"):
        Retry(**policy)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mongo://x", "sqlite://host/x", "sqlite:///", "memory://x", "sqlite:///a?b=1"]
)
def test_urls_we_do_not_know_are_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSWORTH_URL", url or "nonsense")
    with pytest.raises(BadUrl, match="E103"):
        Jobsworth(url or None)


def test_a_password_in_a_refused_url_is_not_repeated() -> None:
    with pytest.raises(BadUrl) as refused:
        Jobsworth("mongo://ada:CANARY@host/db")
    assert "CANARY" not in str(refused.value)


def test_names_nobody_declared_are_refused_with_the_nearest_ones(jobs: Jobsworth) -> None:
    jobs.add(Queue("mailers"))

    @jobs.task
    def send_email() -> None: ...

    with pytest.raises(UnknownQueue, match=r"(?s)E107.*mailers"):
        jobs.worker("mailer")
    with pytest.raises(UnknownTask, match=r"(?s)E106.*send_email"):
        jobs.find_task("send_mail")
    with pytest.raises(jobsworth.JobNotFound, match="E301"):
        jobs.handle("no such; DROP TABLE job").status()
    with pytest.raises(BadOption, match="E105"):
        jobs.find(colour="red")
    with pytest.raises(BadOption, match="E105"):
        jobs.find(state="asleep")


# --- handlers ------------------------------------------------------------------------------------------------------


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("even this")

    __repr__ = __str__


RAISES: dict[str, tuple[Any, str]] = {
    "SystemExit": (lambda: sys.exit(3), "SystemExit"),
    "KeyboardInterrupt": (lambda: (_ for _ in ()).throw(KeyboardInterrupt()), "KeyboardInterrupt"),
    "GeneratorExit": (lambda: (_ for _ in ()).throw(GeneratorExit()), "GeneratorExit"),
    "BaseException": (lambda: (_ for _ in ()).throw(BaseException("base")), "BaseException"),
    "its __str__ raises": (lambda: (_ for _ in ()).throw(Unspeakable()), "Unspeakable"),
    "lone surrogates": (lambda: Path("/nowhere/\udcff").read_text(), "FileNotFoundError"),
    "an endless message": (lambda: (_ for _ in ()).throw(ValueError("x" * 5_000_000)), "ValueError"),
    "control characters": (lambda: (_ for _ in ()).throw(ValueError("\x1b[2J\r\nforged\0")), "ValueError"),
    "bottomless recursion": (lambda: _recurse(), "RecursionError"),
    "a group": (lambda: (_ for _ in ()).throw(ExceptionGroup("g", [ValueError("a"), OSError("b")])), "ExceptionGroup"),
    "CancelledError by itself": (lambda: (_ for _ in ()).throw(asyncio.CancelledError()), "CancelledError"),
    "an endless snooze": (lambda: (_ for _ in ()).throw(Snooze(math.inf)), "BadOption"),
    "progress that is no number": (lambda: current_job().report_progress("half"), "BadOption"),  # type: ignore[arg-type]
}


def _recurse() -> None:
    _recurse()


@pytest.mark.parametrize("kind", ["thread", "loop"])
@pytest.mark.parametrize("name", RAISES)
def test_whatever_a_handler_raises_ends_its_job_and_nothing_else(
    jobs: Jobsworth, name: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    act, expected = RAISES[name]

    def body() -> None:
        act()

    async def abody() -> None:
        act()

    bad = jobs.task(body if kind == "thread" else abody, name="bad", max_attempts=1)  # type: ignore[call-overload]
    jobs.queues["default"].worker_count = 1

    @jobs.task
    def good() -> str:
        return "fine"

    with jobs.worker(lease=5):
        job = bad.enqueue().wait(20)
        assert job.state is State.FAILED
        assert job.failure is not None
        assert job.failure.type.split(".")[-1] == expected
        assert len(job.failure.message) <= 20_000
        assert jobs.handle(job.id).status()["job"]["status"] == "failed"
        assert good.enqueue().result(20) == "fine"  # in the same slot
    assert "\x1b" not in caplog.text
    assert "\nforged" not in caplog.text


RESULTS: dict[str, Any] = {
    "an object": Odd,
    "NaN": lambda: math.nan,
    "a generator": lambda: (n for n in range(3)),
    "something too large": lambda: "x" * 2_000_000,
    "something too deep": lambda: deep(100_000),
    "a knot": knot,
    "an open file": lambda: sys.stdout,
    "an exception": lambda: ValueError("returned"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_cannot_travel_fails_the_job_at_once(jobs: Jobsworth, name: str) -> None:
    calls: list[int] = []

    @jobs.task(max_attempts=5)
    def bad() -> Any:
        calls.append(1)
        return RESULTS[name]()

    with jobs.worker(lease=5):
        job = bad.enqueue().wait(20)
    assert job.state is State.FAILED
    assert job.failure is not None
    assert re.search(r"E40[123]: result", job.failure.message)
    assert calls == [1]  # running it again would not help


def test_a_generator_function_fails_clearly(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=1)
    def yields() -> Any:
        yield 1

    @jobs.task(max_attempts=1)
    async def ayields() -> Any:
        yield 1

    with jobs.worker(lease=5):
        for task in (yields, ayields):
            job = task.enqueue().wait(20)
            assert job.failure is not None
            assert "E401: result" in job.failure.message
            assert "generator" in job.failure.message


def test_a_handler_that_cancels_its_own_task_is_tried_again_and_then_given_up(jobs: Jobsworth) -> None:
    @jobs.task(retry=Retry(max_attempts=2, base=0.01))
    async def cancels_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)

    with jobs.worker(lease=5):
        job = cancels_itself.enqueue().wait(20)
    assert (job.state, job.attempt) == (State.FAILED, 2)


def test_odd_words_in_cancel_reasons_and_progress_arrive_as_text(jobs: Jobsworth) -> None:
    go = threading.Event()

    @jobs.task
    def task() -> None:
        current_job().report_progress(message="\udcff and \0")
        current_job().report_progress(1, 3, message=ValueError("an object"))  # type: ignore[arg-type]
        go.wait(20)

    handle = task.options(label="\udcff").enqueue()
    with jobs.worker(lease=5):
        until(lambda: handle.progress)
        handle.cancel(reason="\ud800 because")
        go.set()
        job = handle.wait(20)
    assert job.progress is not None
    assert job.progress.message == "an object"
    assert jobs.job_status("default", job.id)["job"]["label"] == "\\udcff"
    with pytest.raises(BadOption, match="E105"):
        handle.cancel(grace=math.nan)


# --- a worker and jobs it does not know ----------------------------------------------------------------------------


def test_jobs_of_a_task_no_worker_knows_wait_and_are_reported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    newer = Jobsworth(url)

    @newer.task
    def new_task(n: int) -> int:
        return n

    waiting = [new_task.enqueue(n) for n in range(3)]
    older = Jobsworth(url)

    @older.task
    def old_task() -> str:
        return "done"

    with older.worker(lease=5):
        assert old_task.enqueue().result(20) == "done"
        assert older.queue_snapshot("default")["unroutable"] == {"new_task": 3}
    assert [handle.refresh().job.attempt for handle in waiting] == [0, 0, 0]
    with newer.worker(lease=5):
        assert [handle.result(20) for handle in waiting] == [0, 1, 2]
    newer.close()
    older.close()


def test_arguments_that_no_longer_fit_are_dead_letters_with_their_bytes_and_no_attempt(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    before, after = Jobsworth(url), Jobsworth(url)
    before.task(lambda a, b: None, name="task")
    after.task(lambda a, c: None, name="task")
    handle = before.find_task("task").enqueue(1, 2)
    with after.worker(lease=5):
        job = handle.wait(20)
    assert (job.state, job.attempt, job.errors, job.args) == (State.FAILED, 0, 0, b'{"a":1,"b":2}')
    assert job.failure is not None
    assert job.failure.reason == "incompatible"
    assert 'has no argument "b"' in job.failure.message
    before.close()
    after.close()


# --- damaged files -------------------------------------------------------------------------------------------------

BOMB = b"cposix\nsystem\n(S'touch %s'\ntR."


def test_a_pickle_in_the_arguments_is_never_executed(stored: Jobsworth, tmp_path: Path) -> None:
    @stored.task
    def task(n: int) -> int:
        return n

    bomb = BOMB % str(tmp_path / "exploded").encode()
    bad, good = task.enqueue(1), task.enqueue(2)
    tamper(tmp_path, "UPDATE jobsworth_jobs SET args = ? WHERE id = ?", bomb, bad.id)
    with stored.worker(lease=5):
        assert good.result(20) == 2
        job = bad.wait(20)
    assert not (tmp_path / "exploded").exists()
    assert (job.state, job.attempt, job.args) == (State.FAILED, 0, bomb)
    assert job.failure is not None
    assert job.failure.reason == "incompatible"


TAMPERED = [
    ("args", None), ("args", "text"), ("args", b""), ("args", b"\xff\xfe"), ("args", b"[]"), ("args", b"{"),
    ("args", 5), ("args", b"[" * 100_000), ("tags", "not json"), ("tags", "[1,2]"), ("tags", b"\xff"),
    ("meta", "text"), ("meta", b"{"), ("timeout", "soon"), ("timeout", -1.0), ("timeout", 1e308),
    ("priority", "high"), ("attempt", "x"), ("errors", "x"), ("crashes", "x"), ("crashes", -1), ("max_attempts", "x"),
    ("max_attempts", 0), ("max_attempts", -5), ("state", 9), ("state", -1), ("state", "queued"), ("key", b"\xff"),
    ("owner", 5), ("label", b"\x00"), ("expires_at", "never"), ("run_at", "later"), ("run_at", None),
    ("created_at", "once"), ("created_at", 1e300), ("progress", "nonsense"), ("failure", "nonsense"),
    ("failure", "[]"), ("lease_until", "x"), ("worker", b"\xff"), ("version", "x"), ("fence", "x"), ("more", "x"),
    ("cancel_grace", "x"), ("id", b"\xff"), ("task", b"\xff"), ("queue", b"\xff"), ("result", "text"),
    ("result", b"{"), ("failure", "[" * 100_000),
]  # fmt: skip
UNDECODABLE = ["id", "label", "owner", "key", "cancel_reason", "worker", "tags", "failure", "progress"]


@pytest.mark.parametrize("state", [0, 1, 2, 3, 4, 5])
def test_damaged_rows_stop_nobody(stored: Jobsworth, tmp_path: Path, state: int) -> None:
    """Every column damaged in every way, in jobs of each state: the worker survives, the queue goes on, all are shown.

    What the schema itself refuses to store cannot be damaged that way.
    """

    @stored.task(max_attempts=1)
    def task(n: int) -> int:
        return n

    handles = []
    for n, (column, value) in enumerate(TAMPERED):
        handle = task.options(tags=["t"], meta={"m": n}).enqueue(n)
        moment = 0.0 if state in (0, 2, 3) else None
        tamper(tmp_path, "UPDATE jobsworth_jobs SET state = ?, lease_until = ?, run_at = 0, fence = 7 WHERE id = ?",
               state, moment, handle.id)  # fmt: skip
        try:
            tamper(tmp_path, f"UPDATE jobsworth_jobs SET {column} = ? WHERE id = ?", value, handle.id)
        except sqlite3.IntegrityError:
            continue
        handles.append(handle)
    for column in UNDECODABLE:
        handle = task.enqueue(0)
        tamper(
            tmp_path, "UPDATE jobsworth_jobs SET state = ?, lease_until = 0, run_at = 0 WHERE id = ?", state, handle.id
        )
        tamper(tmp_path, f"UPDATE jobsworth_jobs SET {column} = CAST(x'ff22' AS TEXT) WHERE id = ?", handle.id)
    faults: list[Event] = []
    with stored.worker(lease=1, listener=faults.append):
        for n in range(5):
            assert task.enqueue(n).result(20) == n
        until(
            lambda: stored.bridge.call(lambda engine: engine.count(Where(queue="default", states=(State.QUEUED,)))) < 5
        )
        everything = stored.find(limit=None)
        assert len(everything) == len(handles) + len(UNDECODABLE) + 5 + (len(TAMPERED) - len(handles))
        for job in everything:
            if re.fullmatch(r"[0-9a-f]{28}", job.id):
                stored.handle(job.id).status()
        for question in ({"tag": "t"}, {"text": "nonsense"}, {"reason": "error"}, {"state": "failed"}, {"owner": "x"}):
            stored.find(**question)
        stored.queue_statuses()
        stored.queue_snapshot("default")
        stored.dead_letters().list()
    assert [event for event in faults if isinstance(event, Fault)] == []


def test_ten_thousand_damaged_rows_are_put_aside_one_by_one(stored: Jobsworth, tmp_path: Path) -> None:
    @stored.task(max_attempts=1)
    def task(n: int) -> int:
        return n

    handles = task.enqueue_many([(n,) for n in range(10_000)])
    tamper(tmp_path, "UPDATE jobsworth_jobs SET args = randomblob(1 + seq % 50)")
    good = task.enqueue(7)
    with stored.worker(lease=5):
        assert good.result(60) == 7
    jobs = stored.find(state="failed", limit=None)
    assert len(jobs) == len(handles)
    assert all(len(job.args) == 1 + n % 50 for n, job in zip(range(10_000, 0, -1), jobs, strict=True))  # bytes kept
    assert {job.failure.reason for job in jobs if job.failure} == {"incompatible"}
    assert {job.attempt for job in jobs} == {0}


def test_a_damaged_worker_card_hides_nobody(stored: Jobsworth, tmp_path: Path) -> None:
    task = stored.task(lambda: 1, name="t")
    with stored.worker(lease=5):
        task.enqueue().wait(20)
        tamper(tmp_path, "INSERT INTO jobsworth_workers VALUES ('bad', x'ff', 0, 0, 1e12)")
        assert len(stored.workers()) == 1
        assert stored.queue_snapshot("default")["workers"] == 1


# --- the file itself -----------------------------------------------------------------------------------------------


def open_and_enqueue(path: Path) -> None:
    jobs = Jobsworth(f"sqlite:///{path}")
    try:
        jobs.task(lambda: None, name="t").enqueue()
    finally:
        jobs.close()


def test_who_comes_while_somebody_else_makes_the_file_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    monkeypatch.setattr(store.random, "uniform", lambda least, most: tries.append(least) or most)
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("CREATE TABLE mine (n)")
    other.execute("BEGIN EXCLUSIVE")  # as when the write-ahead log is switched on
    with ThreadPoolExecutor(1) as threads:
        opened = threads.submit(open_and_enqueue, tmp_path / "jobs.db")
        until(lambda: len(tries) > 5 or opened.done())
        other.execute("COMMIT")
        opened.result(20)
    other.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(b"\xff\xd8\xff" * 1000)
    with pytest.raises(EngineError, match=r"E200: .*picture.jpg: not a usable SQLite database"):
        open_and_enqueue(path)
    assert path.read_bytes() == b"\xff\xd8\xff" * 1000


def test_a_truncated_database_is_refused(tmp_path: Path) -> None:
    open_and_enqueue(tmp_path / "jobs.db")
    data = (tmp_path / "jobs.db").read_bytes()
    (tmp_path / "jobs.db").write_bytes(data[: len(data) // 2])
    with pytest.raises(EngineError, match=r"E20[01]"):
        open_and_enqueue(tmp_path / "jobs.db")


def test_a_database_of_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_and_enqueue(tmp_path / "jobs.db")
    tamper(tmp_path, "UPDATE jobsworth_schema SET version = 999")
    before = (tmp_path / "jobs.db").read_bytes()
    with pytest.raises(SchemaMismatch, match=r"(?s)E110: .*schema 999.*upgrade"):
        open_and_enqueue(tmp_path / "jobs.db")
    assert (tmp_path / "jobs.db").read_bytes() == before


@pytest.mark.parametrize("version", ["NULL", "'newest'", "-1"])
def test_a_schema_version_that_is_none_is_refused(tmp_path: Path, version: str) -> None:
    tamper(tmp_path, "CREATE TABLE jobsworth_schema (version)")
    tamper(tmp_path, f"INSERT INTO jobsworth_schema VALUES ({version})")
    with pytest.raises(SchemaMismatch, match="E110"):
        open_and_enqueue(tmp_path / "jobs.db")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"(?s)E201: .*nowhere.*does the folder exist"):
        open_and_enqueue(tmp_path / "nowhere" / "jobs.db")


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="E201"):
        open_and_enqueue(tmp_path)


def as_nobody(path: Path) -> str:
    """What enqueueing into that file says to a user without any rights. Permissions mean nothing to root."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            try:
                open_and_enqueue(path)
                said = "nothing was wrong"
            except BaseException as exc:
                said = f"{type(exc).__name__} {exc}"
            os.write(writing, said.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_only_be_read_is_said_to_be_so(what: str) -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        folder = Path(place)
        if what == "file":
            open_and_enqueue(folder / "jobs.db")
            (folder / "jobs.db").chmod(0o444)
        folder.chmod(0o555)
        said = as_nobody(folder / "jobs.db")
        folder.chmod(0o755)
    assert said.startswith("EngineUnavailable E201"), said
    assert "jobs.db" in said
    assert "writ" in said  # what to do


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:35 / /mnt/share rw,relatime shared:2 - nfs4 server:/export rw
41 22 0:36 / /mnt/with\\040space rw - cifs //server/share rw
42 22 0:37 / /mnt/L\u00f6we rw - fuse.sshfs host: rw
43 40 0:38 / /mnt/share/local rw - tmpfs none rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/share/jobs.db", "nfs4"), ("/mnt/with space/deep/jobs.db", "cifs"),
        ("/mnt/L\u00f6we/jobs.db", "fuse.sshfs"),
        ("/mnt/share/local/jobs.db", "tmpfs"), ("/home/ada/jobs.db", "ext4"), ("/mnt/shared/jobs.db", "ext4"),
    ],
)  # fmt: skip
def test_network_file_systems_are_recognised(tmp_path: Path, path: str, kind: str) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(MOUNTS, encoding="utf-8")
    assert filesystem.type_of(Path(path), mountinfo) == kind


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "type_of", lambda path: "nfs4")
    with pytest.raises(NetworkFileSystem, match=r"(?s)E111: .*jobs.db.*nfs4.*local disk"):
        open_and_enqueue(tmp_path / "jobs.db")
    assert not (tmp_path / "jobs.db").exists()


class Sleepy(QueueService):
    name = "sleepy"


def test_a_queue_service_without_a_handler_says_so(jobs: Jobsworth) -> None:
    sleepy = jobs.add(Sleepy(retry=1))
    with jobs.worker(lease=5), pytest.raises(JobFailed, match="must define handle_item"):
        sleepy.enqueue({}).result(20)
    with pytest.raises(UnknownQueue, match="E107"):
        Sleepy("other").enqueue({})
