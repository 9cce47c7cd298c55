"""`jobsworth.integrations.celery`: the program of the guide on every engine, and what tasks, retries and results do."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import celery_program as program
import pytest

from jobsworth.errors import JobNotFound
from jobsworth.integrations.celery import (
    AsyncResult,
    Celery,
    DiffersFromCelery,
    Task,
    TaskFailed,
    signals,
)
from jobsworth.integrations.celery.exceptions import (
    MaxRetriesExceededError,
    TaskRevokedError,
    TimeoutError,  # noqa: A004 (Celery's name)
)
from waiting import until


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Celery]:
    """The program's app, at home on each engine in turn."""
    match request.param:
        case "memory":
            url = "memory://"
        case "sqlite":
            url = f"sqlite:///{tmp_path / 'jobs.db'}"
        case "postgres":
            url = request.getfixturevalue("postgres").new_database()
        case _:
            server = request.getfixturevalue("redis")
            url = f"{server.url}?namespace=celery-{uuid.uuid4().hex}"
    app = program.celery_app
    app.close()
    app.conf.broker_url = url
    program.noted.clear()
    program.fails.clear()
    yield app
    app.close()
    app.conf.broker_url = "memory://"


@pytest.fixture
def plain() -> Iterator[Celery]:
    app = Celery("tasks", broker="memory://", backend="cache+memory://")
    yield app
    app.close()


def test_the_program_of_the_guide_runs_on_every_engine(app: Celery) -> None:
    with app.jobs.worker():
        task = program.process_upload.delay(7)
        result = AsyncResult(task.id, app=app)
        assert result.get(timeout=20) == {"status": "completed", "file_id": 7}
        assert (result.status, result.ready(), result.successful(), result.failed()) == ("SUCCESS", True, True, False)
        assert program.noted == [(7, "file 7")]
        assert result.traceback is None
        result.forget()
        assert AsyncResult(task.id, app=app).status == "PENDING"


def test_a_task_is_tried_again_and_then_succeeds(app: Celery) -> None:
    program.fails.append(2)
    with app.jobs.worker():
        result = program.process_upload.apply_async(args=[8], kwargs={}, priority=3)
        assert result.get(timeout=20)["file_id"] == 8
        assert result.retries == 2


def test_what_runs_out_of_retries_is_told_once_and_raised_as_its_declared_class(app: Celery) -> None:
    with app.jobs.worker():
        result = program.process_with_recovery.delay({"why": "no bank"})
        with pytest.raises(TaskFailed, match="ConnectionError: no bank"):  # it declares Exception, not this class
            result.get(timeout=20)
        assert result.status == "FAILURE"
        assert "ConnectionError: no bank" in (result.traceback or "")
        ((task_id, told),) = until(lambda: program.noted, what="the dead letter's hook")
    assert task_id == result.id
    assert isinstance(told, MaxRetriesExceededError)
    assert isinstance(told.__cause__, TaskFailed)
    assert told.task_args == [{"why": "no bank"}]
    assert app.jobs.find(ids=[result.id])[0].failure.reason == "exhausted"
    assert app.jobs.find(ids=[result.id])[0].errors == 6


def test_a_call_arrives_as_it_was_made(app: Celery) -> None:
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    values = {"at": moment, "on": date(2026, 1, 2), "no": UUID(int=7), "price": Decimal("3.50"), "raw": b"\xff"}
    tagged = {"__type__": "uuid", "__value__": str(UUID(int=1))}  # a program's own, which stays a dict
    with app.jobs.worker():
        seen = program.look.apply_async(([values, tagged, (1, 2)],), {"key": moment}).get(timeout=20)
        assert (seen["args"], seen["kwargs"]) == ([[values, tagged, [1, 2]]], {"key": moment})
        by_name = program.process_upload.delay(file_id=9)
        assert by_name.get(timeout=20)["file_id"] == 9
        assert (by_name.args, by_name.kwargs) == ([], {"file_id": 9})

        changed = program.changes.delay([], left=2)
        assert changed.get(timeout=20) == {"id": changed.id, "steps": [2, 1], "retries": 2}
        seen = AsyncResult(changed.id, app=app)
        assert (seen.status, seen.retries, seen.args, seen.result["retries"]) == ("SUCCESS", 2, [[2, 1]], 2)
        with pytest.raises(MaxRetriesExceededError):
            program.changes.delay([], left=3).get(timeout=20)
        changed.forget()
        assert app.jobs.find(text=changed.id) == []

        if app.jobs.url != "memory://":  # which is another place in each program
            sender = Celery("sender", broker=app.conf.broker_url, set_as_current=False)
            sent = sender.send_task(program.look.name, (1,), {"key": moment}, priority=2)
            assert sent.get(timeout=20)["kwargs"] == {"key": moment}
            assert (sent.args, sent.kwargs, sent.name) == ([1], {"key": moment}, program.look.name)
            wrong = sender.send_task("celery_program.process_upload", (1, 2, 3))
            with pytest.raises(TaskFailed, match="TypeError: "):
                wrong.get(timeout=20)
            sender.close()


def test_callbacks_and_children_come_once_however_often_a_run_is_repeated(app: Celery) -> None:
    def again(result: AsyncResult) -> None:
        app.jobs.handle(result.id).retry()
        until(lambda: (job := app.jobs.find(ids=[result.id])[0]).attempt == 2 and job.finished_at, 20)

    with app.jobs.worker():
        parent = program.sends.apply_async((5,), link=program.look.s(6).set(link=program.look.s(7)))
        assert parent.get(timeout=20) == 5
        sent, linked = parent.children or []
        assert [each.get(timeout=20)["args"] for each in (sent, linked)] == [[5], [5, 6]]
        assert linked.get(timeout=20)["parent"] == parent.id
        (last,) = until(lambda: linked.children)
        assert last.get(timeout=20)["args"][1:] == [7]
        again(linked)
        assert AsyncResult(linked.id, app=app).successful()
        assert [each.id for each in AsyncResult(linked.id, app=app).children or []] == [last.id]

        broken = program.breaks.apply_async(link_error=[program.failed.s(), program.failed.si("said")])
        broken.get(timeout=20, propagate=False)
        until(lambda: len(program.noted) == 2, 20)
        again(broken)
        assert len(broken.children or []) == 2
    assert sorted(program.noted) == sorted([broken.id, "said"])


def test_apply_runs_here_with_its_retries(app: Celery) -> None:
    result = program.process_upload.apply(args=[123])
    assert result.successful()
    assert result.result["status"] == "completed"
    program.fails.append(100)
    result = program.process_upload.apply(args=[123])
    assert result.failed()
    assert "Temporary error" in result.traceback
    assert program.fails == [96]
    with pytest.raises(ConnectionError):
        result.get()


def test_callbacks_follow_a_task(plain: Celery) -> None:
    heard: list[Any] = []

    @plain.task
    def add(x: int, y: int) -> int:
        return x + y

    @plain.task
    def breaks() -> None:
        raise ValueError("broken")

    @plain.task
    def errback(request: Any, exc: Exception, traceback: str) -> None:
        heard.append((request.id, str(exc), "broken" in traceback))

    with plain.jobs.worker():
        first = add.apply_async((1, 2), link=add.s(10))
        follower = AsyncResult(f"{first.id}.link.0", app=plain)
        until(lambda: plain.jobs.find(ids=[follower.id]))
        assert follower.get(timeout=10) == 13
        failed = breaks.apply_async(link_error=errback.s())
        failed.get(timeout=10, propagate=False)
    assert heard == [(failed.id, "broken", True)]


def test_signals_tell_of_runs_and_workers(plain: Celery) -> None:
    heard: list[str] = []
    hooks = ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry", "worker_ready")
    kept = [lambda name=name, **_: heard.append(name) for name in hooks]
    for name, hook in zip(hooks, kept, strict=True):
        getattr(signals, name).connect(hook)

    @plain.task(bind=True)
    def once_more(self: Task) -> None:
        if not self.request.retries:
            raise self.retry(countdown=0)
        raise ValueError("no")

    try:
        with plain.jobs.worker():
            once_more.delay().get(timeout=10, propagate=False)
        assert heard == [
            "worker_ready", "task_prerun", "task_retry", "task_postrun", "task_prerun", "task_failure", "task_postrun",
        ]  # fmt: skip
    finally:
        for name, hook in zip(hooks, kept, strict=True):
            getattr(signals, name).disconnect(hook)


def test_a_signal_that_is_never_sent_says_so() -> None:
    with pytest.warns(DiffersFromCelery, match="beat_init is never sent"):
        signals.beat_init.connect(print)


def test_a_task_may_be_sent_to_any_queue(plain: Celery) -> None:
    @plain.task(bind=True)
    def where(self: Task) -> str:
        return self.request.delivery_info["routing_key"]

    @plain.task(name="video.encode", bind=True)
    def encode(self: Task) -> str:
        return self.request.delivery_info["routing_key"]

    plain.conf.task_routes = {"video.*": {"queue": "video"}}
    plain.conf.task_queues = ["other"]
    with plain.jobs.worker():
        assert where.delay().get(timeout=10) == "celery"
        assert where.apply_async(queue="other").get(timeout=10) == "other"
        assert encode.delay().get(timeout=10) == "video"


def test_a_waiting_task_that_is_revoked_never_runs(plain: Celery) -> None:
    ran: list[int] = []
    told: list[str] = []

    @plain.task
    def note(n: int) -> None:
        ran.append(n)

    first, second = note.apply_async((1,), countdown=60), note.delay(2)
    plain.control.revoke([first.id, second.id])
    assert [first.status, second.status] == ["REVOKED", "REVOKED"]
    with pytest.raises(TaskRevokedError):
        first.get(timeout=1)
    assert (ran, told) == ([], [])


def test_a_running_task_that_is_revoked_runs_on_but_not_again(plain: Celery) -> None:
    go, begun = threading.Event(), threading.Event()

    @plain.task(bind=True)
    def long(self: Task, again: bool) -> str:
        begun.set()
        assert go.wait(10)
        if again:
            raise self.retry(countdown=0)
        return "done"

    with plain.jobs.worker():
        for again, status in ((False, "SUCCESS"), (True, "REVOKED")):
            go.clear()
            begun.clear()
            result = long.delay(again)
            assert begun.wait(10)
            result.revoke()
            go.set()
            result.get(timeout=10, propagate=False)
            assert result.status == status


def test_waiting_ends_in_time_and_for_nobody(plain: Celery) -> None:
    @plain.task
    def never() -> None: ...

    with pytest.raises(TimeoutError):
        never.delay().get(timeout=0.01)
    for kind in (TimeoutError, JobNotFound):  # in Celery it is a timeout
        with pytest.raises(kind, match="nobody"):
            AsyncResult("nobody", app=plain).get(timeout=1)
    assert AsyncResult("nobody", app=plain).status == "PENDING"
