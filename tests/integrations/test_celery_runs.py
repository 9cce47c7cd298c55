"""Runs of Celery tasks in a worker: retries, endings, hooks, and what a run sees and says of itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import celery_limits as limits
import pytest

from jobsworth.integrations.celery import (
    Celery,
    Task,
    TaskFailed,
    current_task,
)
from jobsworth.integrations.celery.exceptions import (
    Ignore,
    MaxRetriesExceededError,
    Reject,
    Retry,
    TaskRevokedError,
    TimeLimitExceeded,
)
from waiting import until


@pytest.fixture
def plain() -> Iterator[Celery]:
    app = Celery("tasks", broker="memory://", backend="cache+memory://")
    yield app
    app.close()


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
