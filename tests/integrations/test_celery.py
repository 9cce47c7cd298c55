"""`jobsworth.integrations.celery`: the program of the guide on every engine, and what tasks, retries and results do."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery_limits as limits
import celery_program as program
import pytest

from jobsworth.errors import BadArguments, BadOption, JobNotFound
from jobsworth.integrations.celery import (
    AsyncResult,
    Celery,
    DiffersFromCelery,
    NotSupported,
    Task,
    TaskFailed,
    chain,
    current_app,
    current_task,
    group,
    shared_task,
    signals,
)
from jobsworth.integrations.celery.exceptions import (
    Ignore,
    MaxRetriesExceededError,
    Reject,
    Retry,
    TaskRevokedError,
    TimeLimitExceeded,
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


def test_an_exception_without_a_retry_fails_at_once(plain: Celery) -> None:
    class Known(Exception):
        pass

    @plain.task(throws=(Known,))
    def breaks(kind: str) -> None:
        raise Known("as foreseen") if kind == "known" else KeyError("unforeseen")

    with plain.jobs.worker():
        with pytest.raises(Known, match="as foreseen"):
            breaks.delay("known").get(timeout=10)
        result = breaks.delay("other")
        with pytest.raises(TaskFailed) as caught:
            result.get(timeout=10)
        assert (caught.value.type, caught.value.text) == ("KeyError", "'unforeseen'")
        assert isinstance(result.result, TaskFailed)
        assert result.get(timeout=10, propagate=False).type == "KeyError"
        assert plain.jobs.find(ids=[result.id])[0].attempt == 1


def test_retry_asks_for_more_attempts_than_the_task_has(plain: Celery) -> None:
    @plain.task(bind=True, max_retries=1)
    def stubborn(self: Task) -> int:
        if self.request.retries < 4:
            raise self.retry(countdown=0, max_retries=4)
        return self.request.retries

    with plain.jobs.worker():
        assert stubborn.delay().get(timeout=10) == 4


def test_retries_that_run_out_raise_what_the_task_can_catch(plain: Celery) -> None:
    @plain.task(bind=True, max_retries=1)
    def tries(self: Task, exc: bool) -> str:
        try:
            raise self.retry(countdown=0, exc=ValueError("mine") if exc else None)
        except MaxRetriesExceededError as told:
            return f"{told}"
        except ValueError as told:
            return f"{told}"

    with plain.jobs.worker():
        assert tries.delay(exc=False).get(timeout=10).startswith("Can't retry ")
        assert tries.delay(exc=True).get(timeout=10) == "mine"


def test_a_retry_shows_as_such_until_it_runs(plain: Celery) -> None:
    @plain.task(bind=True)
    def later(self: Task) -> None:
        raise self.retry(exc=OSError("away"))

    with plain.jobs.worker():
        result = later.delay()
        until(lambda: result.status == "RETRY")
    assert not result.ready()
    assert result.result.type == "OSError"
    assert (
        170 < (plain.jobs.find(ids=[result.id])[0].run_at or 0) - plain.jobs.find(ids=[result.id])[0].updated_at <= 181
    )


def test_the_request_says_what_runs_and_progress_is_seen(plain: Celery) -> None:
    plain.conf.task_track_started = True
    go, seen = threading.Event(), threading.Event()

    @plain.task(bind=True)
    def steps(self: Task, n: int, *, by: str = "x") -> dict[str, Any]:
        self.update_state(state="PROGRESS", meta={"current": 1, "total": n})
        seen.set()
        assert go.wait(10)
        run = self.request
        assert current_task.name == self.name
        return {
            "id": run.id,
            "retries": run.retries,
            "queue": run.delivery_info["routing_key"],
            "args": run.args,
            "by": by,
        }

    with plain.jobs.worker():
        result = steps.apply_async((4,), {"by": "y"}, queue="celery")
        assert seen.wait(10)
        until(lambda: result.state == "PROGRESS")
        assert result.info == {"current": 1, "total": 4}
        assert plain.jobs.handle(result.id).progress.percent == 25
        go.set()
        assert result.get(timeout=10) == {"id": result.id, "retries": 0, "queue": "celery", "args": [4], "by": "y"}
    assert len(result.id) == 36


def test_a_start_is_told_only_where_it_is_tracked(plain: Celery) -> None:
    go, begun = threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        begun.release()
        assert go.wait(10)

    tracked = plain.task(name="tracked", track_started=True)(wait)
    silent = plain.task(name="silent")(lambda: wait())
    with plain.jobs.worker():
        results = tracked.delay(), silent.delay()
        for _ in results:
            assert begun.acquire(timeout=10)
        assert [each.status for each in results] == ["STARTED", "PENDING"]
        go.set()
        for each in results:
            each.get(timeout=10)


def test_wrong_arguments_are_refused_where_they_are_given(plain: Celery) -> None:
    @plain.task
    def add(x: int, y: int) -> int:
        return x + y

    with pytest.raises(TypeError):
        add.delay(1)
    with pytest.raises(BadArguments):
        add.delay(1, 2, z=3)
    with pytest.raises(TypeError, match="set"):
        add.delay({1}, 2)
    with pytest.raises(BadOption, match="countdwn"):
        add.apply_async((1, 2), countdwn=3)
    with pytest.raises(NotSupported, match="pickle"):
        add.apply_async((1, 2), serializer="pickle")
    assert add(1, 2) == 3


def test_annotations_are_not_enforced_as_in_celery(plain: Celery) -> None:
    @plain.task
    def show(number: int, items: list[str]) -> str:
        return f"{number!r} {items!r}"

    with plain.jobs.worker():
        assert show.delay("7", {"a": 1}).get(timeout=10) == "'7' {'a': 1}"


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


def test_always_eager_stores_nothing(plain: Celery) -> None:
    @plain.task
    def add(x: int, y: int) -> int:
        return x + y

    plain.conf.task_always_eager = True
    assert add.delay(1, 2).get() == 3
    assert plain.jobs.find() == []
    plain.conf.task_eager_propagates = True

    @plain.task
    def fails() -> None:
        raise ValueError("now")

    with pytest.raises(ValueError, match="now"):
        fails.delay()


def test_shared_tasks_belong_to_the_app_that_is_meant() -> None:
    @shared_task(name="shared.double")
    def double(x: int) -> int:
        return 2 * x

    app = Celery("mine", broker="memory://")
    assert current_app.main == "mine"
    with app.jobs.worker():
        assert double.delay(4).get(timeout=10) == 8
    assert double.name == "shared.double"
    assert double(5) == 10
    app.close()


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


def test_what_composes_tasks_is_refused_by_name(plain: Celery) -> None:
    @plain.task
    def add(x: int, y: int) -> int:
        return x + y

    for refused in (lambda: chain(add.s(1, 2)), lambda: group([add.s(1, 2)]), lambda: add.s(1, 2) | add.s(3)):
        with pytest.raises(NotSupported, match="chains, groups and chords"):
            refused()


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


def test_an_ended_run_says_how_it_ended(plain: Celery) -> None:
    @plain.task(bind=True)
    def ends(self: Task, how: str) -> None:
        if how == "ignore":
            raise Ignore
        if how == "failed":
            self.update_state(state="FAILURE", meta={"why": "so"})
            raise Ignore
        raise Reject("no", requeue=False)

    with plain.jobs.worker():
        results = {how: ends.delay(how) for how in ("ignore", "failed", "reject")}
        for each in results.values():
            each.get(timeout=10, propagate=False)
    assert {how: each.status for how, each in results.items()} == {
        "ignore": "SUCCESS", "failed": "FAILURE", "reject": "FAILURE",
    }  # fmt: skip


def test_waiting_ends_in_time_and_for_nobody(plain: Celery) -> None:
    @plain.task
    def never() -> None: ...

    with pytest.raises(TimeoutError):
        never.delay().get(timeout=0.01)
    with pytest.raises(JobNotFound):
        AsyncResult("nobody", app=plain).get(timeout=1)
    assert AsyncResult("nobody", app=plain).status == "PENDING"


def test_no_task_waits_for_another(plain: Celery) -> None:
    @plain.task
    def waits() -> None:
        waits.delay().get()

    with plain.jobs.worker(), pytest.raises(TaskFailed, match="never call result"):
        waits.delay().get(timeout=10)


def test_retry_outside_of_a_run_raises_what_is_wrong(plain: Celery) -> None:
    @plain.task(bind=True)
    def tries(self: Task) -> None:
        try:
            raise ValueError("itself")
        except ValueError as exc:
            raise self.retry(exc=exc)  # noqa: B904 (as people write it)

    with pytest.raises(ValueError, match="itself"):
        tries()
    assert isinstance(Retry(), Exception)


def test_limits_and_terminate_end_what_runs_in_child_processes() -> None:
    with limits.app.jobs.worker():
        soft, hard, long = limits.soft.delay(), limits.hard.delay(), limits.long.delay()
        assert soft.get(timeout=20) == "tidied"
        with pytest.raises(TimeLimitExceeded):
            hard.get(timeout=20)
        inspect = limits.app.control.inspect()
        ((name, (shown,)),) = until(lambda: [each for each in inspect.active().items() if each[1]], 20)
        assert (shown["id"], shown["name"], shown["hostname"]) == (long.id, "celery_limits.long", name)
        assert inspect.ping() == {name: {"ok": "pong"}}
        long.revoke(terminate=True)
        with pytest.raises(TaskRevokedError):
            long.get(timeout=20)
    assert limits.app.control.inspect().active() is None
    limits.app.close()
