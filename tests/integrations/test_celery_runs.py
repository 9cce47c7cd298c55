"""Runs of Celery tasks in a worker: retries, endings, hooks, and what a run sees and says of itself."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar

import celery_limits as limits
import pytest

from jobsworth.integrations.celery import AsyncResult, Celery, NotSupported, Task, TaskFailed, current_task, states
from jobsworth.integrations.celery.exceptions import (
    Ignore,
    MaxRetriesExceededError,
    Reject,
    Retry,
    TaskRevokedError,
    TimeLimitExceeded,
)
from jobsworth.integrations.celery.result import GroupResult, ResultSet, result_from_tuple
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
        soft, hard, long = (
            limits.soft.delay(),
            limits.hard.apply_async(link_error=limits.errback.s()),
            limits.long.delay(),
        )
        assert soft.get(timeout=20) == "tidied"
        with pytest.raises(TaskFailed, match="a child process cannot store jobs in memory"):
            limits.sends.delay().get(timeout=20)
        with pytest.raises(TimeLimitExceeded):
            hard.get(timeout=20)
        until(lambda: len(limits.told) == 2, 20)
        assert limits.told == [("TimeLimitExceeded", hard.id), ("errback", hard.id)]
        inspect = limits.app.control.inspect()
        name, shown = until(
            lambda: next(
                ((name, job) for name, jobs in inspect.active().items() for job in jobs if job["id"] == long.id), None
            ),
            20,
        )
        assert (shown["id"], shown["name"], shown["hostname"]) == (long.id, "celery_limits.long", name)
        assert inspect.ping() == {name: {"ok": "pong"}}
        long.revoke(terminate=True)
        with pytest.raises(TaskRevokedError):
            long.get(timeout=20)
    assert limits.app.control.inspect().active() is None
    limits.app.close()


class Told(Task):
    """Writes down what it is called with."""

    told: ClassVar[list[Any]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.told.append(("call", args, kwargs))
        return super().__call__(*args, **kwargs)

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.told.append(("before", args, kwargs))
        if kwargs.get("how") == "unfit":
            raise ValueError("not like this")

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.told.append(("success", retval, args, kwargs))

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.told.append(("retry", repr(exc), str(einfo).splitlines()[-1].rpartition(".")[2]))

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.told.append(("failure", repr(exc), args, kwargs, str(einfo).splitlines()[-1]))

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.told.append(("after", status, repr(retval), einfo))


def test_hooks_and_call_of_a_base_class_see_a_run_as_celery_shows_it(plain: Celery) -> None:
    told = Told.told
    told.clear()

    @plain.task(base=Told, bind=True, max_retries=1)
    def runs(self: Task, number: int, how: str = "fine") -> int:
        match how:
            case "again" if not self.request.retries:
                raise self.retry(exc=ValueError("once"), countdown=0)
            case "fails":
                raise KeyError("gone")
            case "ignored":
                raise Ignore
        return runs(number + 1, how="inner") if how == "outer" else number

    def of(how: str) -> list[Any]:
        told.clear()
        runs.delay(1, how=how).get(timeout=10, propagate=False)
        until(lambda: how == "ignored" or told[-1][0] == "after")
        return [each for each in told if each[:1] + each[2:] != ("before", {"how": how})]

    call = ("call", (1,), {"how": "again"})
    with plain.jobs.worker():
        assert of("again") == [
            call, ("retry", "ValueError('once')", "Retry: Retry in 0s: ValueError('once')"), call,
            ("success", 1, [1], {"how": "again"}), ("after", "SUCCESS", "1", None),
        ]  # fmt: skip
        assert of("fails")[1:] == [
            ("failure", "KeyError('gone')", [1], {"how": "fails"}, "KeyError: 'gone'"),
            ("after", "FAILURE", "KeyError('gone')", None),
        ]  # fmt: skip
        assert [each[0] for each in of("unfit")] == ["failure", "after"]
        assert of("ignored") == [("call", (1,), {"how": "ignored"})]
        outer = of("outer")
        assert outer[:2] == [("call", (1,), {"how": "outer"}), ("call", (2,), {"how": "inner"})]
        assert outer[2] == ("success", 2, [1], {"how": "outer"})


def test_a_retry_holds_once_it_was_asked_for_and_one_by_hand_is_bounded(plain: Celery) -> None:
    ran: list[str] = []

    @plain.task(bind=True, max_retries=1)
    def asks(self: Task, how: str) -> str:
        ran.append(how)
        if how == "by hand":
            raise Retry("again", when=0)
        if self.request.retries:
            return f"{how} {self.request.retries}"
        try:
            said = self.retry(countdown=0, throw=False)
            assert isinstance(said, Retry)
            if how == "other":
                raise KeyError("after asking")
            self.retry(countdown=0)
        except Retry:
            pass  # as programs do that catch everything
        return "never seen"

    with plain.jobs.worker():
        assert asks.delay("swallowed").get(timeout=10) == "swallowed 1"
        assert asks.delay("other").get(timeout=10) == "other 1"
        by_hand = asks.delay("by hand")
        by_hand.get(timeout=10, propagate=False)
        assert (by_hand.status, ran.count("by hand")) == ("FAILURE", 2)


def test_retry_moves_the_job_where_its_options_say(plain: Celery) -> None:
    told: list[Any] = []

    class Buried(Task):
        def on_dead_letter(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            told.append((type(exc).__name__, task_id, args, kwargs))

    @plain.task(bind=True, base=Buried, max_retries=2)
    def moves(self: Task, step: int, *, to: str = "") -> list[Any]:
        run = self.request
        if step < 2:
            options = {} if step else {"queue": "other", "priority": 7}
            raise self.retry(kwargs={"step": step + 1, "to": "other"}, countdown=0, **options)
        if to == "fails" or step > 2:
            raise self.retry(args=(step + 1,), countdown=0)
        where = run.delivery_info
        return [run.id, run.args, run.kwargs, run.retries, where["routing_key"], where["priority"], run.headers]

    plain.conf.task_queues = ["other"]
    with plain.jobs.worker():
        moved = moves.apply_async((0,), headers={"h": 1})
        assert moved.get(timeout=10) == [moved.id, [2], {"to": "other"}, 2, "other", 7, {"h": 1}]
        lost = moves.delay(3)
        with pytest.raises(MaxRetriesExceededError):
            lost.get(timeout=10)
        until(lambda: told)
        assert told == [("MaxRetriesExceededError", lost.id, [5], {})]
        later = moves.apply_async((0,), countdown=60)
        later.revoke()
        assert later.status == "REVOKED"


def test_progress_may_hold_what_results_may(plain: Celery) -> None:
    go = threading.Event()

    @plain.task(bind=True, track_started=True)
    def steps(self: Task) -> Any:
        self.update_state(state="COUNTING", meta={"at": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal(1)})
        assert go.wait(10)
        return {1: date(2026, 1, 1)}

    with plain.jobs.worker():
        result = steps.delay()
        until(lambda: result.state == "COUNTING")
        assert result.info == {"at": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal(1)}
        go.set()
        assert result.get(timeout=10) == {"1": date(2026, 1, 1)}
    assert result.get(callback=lambda task_id, value: None, interval=0.1, PROPAGATE_STATES=()) == {
        "1": date(2026, 1, 1)
    }
    assert (copy.copy(result), copy.deepcopy(result), len({result, result.id})) == (result, result, 1)
    assert result_from_tuple(result.as_tuple(), plain).get() == {"1": date(2026, 1, 1)}
    assert (result.get_leaf(), result.children, result.as_list()) == ({"1": date(2026, 1, 1)}, [], [result.id])
    assert states.state("COUNTING") > states.state("STARTED")
    with pytest.raises(ValueError, match="valid id"):
        AsyncResult(None)
    for refused in (lambda: GroupResult("id", []), lambda: ResultSet([]), lambda: result.then(print), result.collect):
        with pytest.raises(NotSupported):
            refused()


def test_a_coroutine_is_run_as_a_function_is(plain: Celery) -> None:
    told: list[str] = []

    class Around(Task):
        async def __call__(self, *args: Any, **kwargs: Any) -> Any:
            told.append("call")
            return await super().__call__(*args, **kwargs)

    @plain.task(base=Around, bind=True, autoretry_for=(OSError,), retry_kwargs={"max_retries": 2, "countdown": 0})
    async def awaits(self: Task, how: str, *, left: int = 0) -> list[Any]:
        await asyncio.sleep(0)
        run = self.request
        if how == "auto" and run.retries < 2:
            raise OSError("away")
        if left:
            raise self.retry(kwargs={"how": how, "left": left - 1}, countdown=0)
        return [how, run.args, run.kwargs, run.retries, current_task.name == self.name]

    with plain.jobs.worker():
        changed, auto = awaits.delay("args", left=1), awaits.delay("auto")
        assert changed.get(timeout=10) == ["args", ["args"], {"left": 0}, 1, True]
        assert auto.get(timeout=10) == ["auto", ["auto"], {}, 2, True]
    assert told == ["call"] * 5
    with pytest.raises(NotSupported, match="async def"):
        awaits.apply(("args",))
