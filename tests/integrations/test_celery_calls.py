"""Calls of Celery tasks: what may travel, how it is checked, signatures, names, and calls without a worker."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jobsworth.errors import BadArguments, BadName, BadOption
from jobsworth.integrations.celery import (
    AsyncResult,
    Celery,
    DiffersFromCelery,
    NotSupported,
    Task,
    TaskFailed,
    chain,
    current_app,
    group,
    maybe_signature,
    shared_task,
    signature,
)
from jobsworth.integrations.celery.exceptions import (
    AlwaysEagerIgnored,
    Ignore,
    NotRegistered,
    Reject,
    Retry,
    TaskRevokedError,
)
from waiting import until


@pytest.fixture
def plain() -> Iterator[Celery]:
    app = Celery("tasks", broker="memory://", backend="cache+memory://")
    yield app
    app.close()


@dataclass
class Point:
    x: int


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

    @plain.task
    def move(to: Point, when: datetime | None = None) -> list[str]:
        return [type(to).__name__, type(when).__name__]

    with pytest.warns(DiffersFromCelery, match="pydantic=True"):
        made = plain.task(name="made", pydantic=True)(move.run)
    with plain.jobs.worker():
        assert show.delay("7", {"a": 1}).get(timeout=10) == "'7' {'a': 1}"
        assert move.delay(Point(1), datetime.now(UTC)).get(timeout=10) == ["Point", "datetime"]
        assert move.delay({"x": 1}, when="2026-01-01").get(timeout=10) == ["dict", "str"]
        assert move.delay("nowhere").get(timeout=10) == ["str", "NoneType"]
        assert made.delay({"x": 1}).get(timeout=10) == ["Point", "NoneType"]


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
    other = Celery("other", broker="memory://", set_as_current=False)
    other.set_default()  # where there is none
    assert current_app.main == "mine"
    with app.jobs.worker():
        assert double.delay(4).get(timeout=10) == 8
    assert double.name == "shared.double"
    assert double(5) == 10
    other.set_current()
    assert (current_app.main, double.app) == ("other", other)
    app.close()
    other.close()


def test_what_composes_tasks_is_refused_by_name(plain: Celery) -> None:
    @plain.task
    def add(x: int, y: int) -> int:
        return x + y

    for refused in (lambda: chain(add.s(1, 2)), lambda: group([add.s(1, 2)]), lambda: add.s(1, 2) | add.s(3)):
        with pytest.raises(NotSupported, match="chains, groups and chords"):
            refused()


def test_a_task_may_take_calls_that_its_function_does_not(plain: Celery) -> None:
    @plain.task(typing=False)
    def loose(x: int) -> int:
        return x

    class Sum(Task):
        name = "classes.sum"

        def run(self, x: int, y: int = 1) -> int:
            return x + y

    total = plain.register_task(Sum)
    with plain.jobs.worker():
        with pytest.raises(TaskFailed, match=r"TypeError: .* takes 1 positional argument but 3 were given"):
            loose.delay(1, 2, 3).get(timeout=10)
        with pytest.raises(TaskFailed, match=r"TypeError: .* got multiple values for argument 'x'"):
            loose.delay(1, x=2).get(timeout=10)
        assert loose.delay(1).get(timeout=10) == 1
        assert total.delay(2).get(timeout=10) == 3
    with pytest.raises(TypeError, match="list or tuple"):
        loose.apply_async("ab")
    assert plain.register_task(Sum) is total
    plain.tasks.unregister("classes.sum")
    with pytest.raises(NotRegistered):
        plain.tasks["classes.sum"]


def test_a_job_of_an_undeclared_task_waits_for_who_knows_it(plain: Celery) -> None:
    waiting = plain.send_task("later.declared", [1], {"y": 2}, queue="celery", countdown=0)
    assert (waiting.status, waiting.args, waiting.kwargs) == ("PENDING", [1], {"y": 2})
    by_signature = plain.signature("later.declared", args=(3,)).delay(4)

    @plain.task(name="later.declared")
    def declared(x: int, y: int) -> int:
        return x + y

    with plain.jobs.worker():
        assert (waiting.get(timeout=10), by_signature.get(timeout=10)) == (3, 7)


def test_options_say_when_and_whether_it_runs(plain: Celery) -> None:
    plain.conf.timezone = "Europe/Vienna"

    @plain.task(bind=True)
    def look(self: Task) -> list[Any]:
        run = self.request
        return [run.expires is not None, run.headers, run.shadow, run.delivery_info["priority"], run.correlation_id]

    past = datetime.now(UTC) - timedelta(seconds=5)
    with plain.jobs.worker():
        for expired in (look.apply_async(expires=past), look.apply_async(expires=-3)):
            with pytest.raises(TaskRevokedError):
                expired.get(timeout=10)
        told = look.apply_async(
            eta=past, expires=60, headers={"h": 1}, shadow="s", priority=3, task_id=5, retry=True, argsrepr=None
        )
        assert told.get(timeout=10) == [True, {"h": 1}, "s", 3, "5"]
        ignored = look.apply_async(ignore_result=True)
        assert ignored.get() is None
        until(lambda: ignored.status == "SUCCESS")
        assert ignored.result is None
    naive = look.apply_async(eta=datetime(2030, 1, 1, 12), queue="other")  # noqa: DTZ001 (as people write it)
    job = plain.jobs.find(ids=[naive.id])[0]
    assert (job.run_at, job.queue) == (datetime(2030, 1, 1, 11, tzinfo=UTC).timestamp(), "other")
    for wrong in ({"queue": "a b"}, {"task_id": "a b"}, {"countdown": "soon"}, {"eta": 5}, {"group_id": "g"}):
        with pytest.raises(BadOption if "queue" not in wrong and "task_id" not in wrong else BadName):
            look.apply_async(**wrong)
    with pytest.warns(DiffersFromCelery, match="retry_policy"):
        look.apply_async(retry_policy={"max_retries": 3}, countdown=60)


def test_signatures_are_dicts_that_call(plain: Celery) -> None:
    @plain.task
    def add(x: int, y: int = 1) -> int:
        return x + y

    call = add.s(1)
    assert dict(call) == {
        "task": add.name, "args": (1,), "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False,
    }  # fmt: skip
    assert (call == add.s(1), call == add.s(2), repr(add.s(1, y=2)), call.type) == (
        True,
        False,
        f"{add.name}(1, y=2)",
        add,
    )
    assert add.s(2).clone((5,), {"y": 3}, queue="q") == add.signature((5, 2), {"y": 3}, queue="q")
    assert add.si(2).clone((5,)) == add.signature((2,), immutable=True)
    assert (call(2), call.apply((2,)).get(), maybe_signature(json.loads(json.dumps(call)), plain)(4)) == (3, 3, 5)
    assert (signature(add.name, args=(1,), app=plain)(), copy.deepcopy(call), call.replace(args=(7,))()) == (2, call, 8)
    assert call.set(countdown=3).options == {"countdown": 3}
    assert call.freeze("chosen") == AsyncResult("chosen", app=plain)
    assert call.delay().id == "chosen"
    assert call.link(add.s(3)) == add.s(3)
    call.link(add.s(3))
    call.on_error(add.si(0))
    assert (call.options["link"], call.options["link_error"]) == ([add.s(3)], [add.si(0)])
    for refused in (
        lambda: call | call,
        lambda: add.map([1]),
        lambda: maybe_signature({"task": "x", "subtask_type": "chain"}),
    ):
        with pytest.raises(NotSupported, match="chains, groups and chords"):
            refused()


def test_apply_keeps_what_happened_and_raises_if_it_is_told_to(plain: Celery) -> None:
    ran: list[int] = []

    @plain.task(bind=True, max_retries=2)
    def tries(self: Task, how: str) -> str:
        ran.append(self.request.retries)
        match how:
            case "retry":
                raise self.retry(exc=ValueError("again"), countdown=9)
            case "args":
                raise self.retry(args=("fine",))
            case "by hand":
                raise Retry("by hand")
            case "ignore":
                raise Ignore
            case "reject":
                raise Reject("no")
        return f"{how} {self.request.is_eager}"

    found = {how: tries.apply((how,)) for how in ("fine", "retry", "args", "by hand", "ignore", "reject")}
    assert {how: each.state for how, each in found.items()} == {
        "fine": "SUCCESS", "retry": "FAILURE", "args": "SUCCESS", "by hand": "RETRY", "ignore": "IGNORED",
        "reject": "REJECTED",
    }  # fmt: skip
    assert ran == [0, 0, 1, 2, 0, 1, 0, 0, 0]
    assert (found["args"].get(), found["ignore"].get(), found["reject"].get()) == ("fine True", None, None)
    with pytest.raises(ValueError, match="again"):
        found["retry"].get()
    with pytest.raises(Retry):
        tries.apply(("retry",), throw=True)
    whole, broken = tries.apply((object(),)), tries.apply(())
    assert whole.state == "SUCCESS"  # nothing travels
    assert isinstance(broken.result, TypeError)
    with pytest.raises(TypeError, match="missing 1 required"):
        tries.apply((), throw=True)
    assert isinstance(whole, AsyncResult)
    assert (whole == whole.id, str(whole), whole.as_tuple()) == (True, whole.id, ((whole.id, None), None))
    assert (whole.children, whole.parent, whole.date_done, whole.then(lambda it: it.id)) == (None, None, None, whole.id)


def test_always_eager_goes_through_json_and_leaves_send_task_alone(plain: Celery) -> None:
    plain.conf.task_always_eager = True

    @plain.task(bind=True)
    def kind(self: Task, value: Any) -> list[Any]:
        return [type(value).__name__, self.request.parent_id, self.request.retries]

    @plain.task
    def outer() -> Any:
        return kind.delay((1,)).get(disable_sync_subtasks=False)

    ran = outer.delay()
    assert ran.get() == ["list", ran.id, 0]
    assert kind.apply_async((Decimal(1),), countdown=5, retries=2, queue="q").get() == ["Decimal", None, 2]
    with pytest.raises(TypeError):
        kind.delay(object())
    with pytest.warns(AlwaysEagerIgnored):
        assert plain.send_task(kind.name, (1,)).status == "PENDING"


def test_tasks_are_named_and_made_as_their_app_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobsworth.integrations.celery.current._shared", [])  # what is shared here is for this test

    class Own(Celery):
        def gen_task_name(self, name: str, module: str) -> str:
            return f"own.{name}"

    class Counting(Task):
        made: ClassVar[list[str]] = []

        def __init__(self) -> None:
            self.made.append(self.name)

    app = Own("mine", broker="memory://", task_cls=Counting, strict_typing=False, set_as_current=False)

    @app.task(max_retries=7)
    def one() -> int:
        """What it does."""
        return 1

    assert (one.name, one.__name__, one.__doc__, one.max_retries) == ("own.one", "one", "What it does.", 7)
    assert (one.__wrapped__(), isinstance(one, app.Task), Counting.made, app.task(one.__wrapped__) is one) == (
        1, True, ["own.one"], True,
    )  # fmt: skip
    assert one.delay("one too many").status == "PENDING"  # strict_typing=False
    with pytest.raises(BadOption, match="already a task named"):
        app.task(name="own.one")(lambda: 2)
    with pytest.raises(NotSupported, match="task_cls"):
        Celery("other", broker="memory://", task_cls="collections:OrderedDict", set_as_current=False)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "tasks.py").write_text(
        "from jobsworth.integrations.celery import shared_task\n@shared_task\ndef found():\n    return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app.autodiscover_tasks(lambda: ["pack"])
    app.autodiscover_tasks(["pack"], related_name="nothing")
    assert app.tasks["own.found"].app is app
    with pytest.raises(ModuleNotFoundError):
        app.autodiscover_tasks(["no_such_package"])
    app.close()


def test_what_nobody_heeds_is_said_where_it_is_said(plain: Celery) -> None:
    class Pickling(Task):
        serializer = "pickle"

    class Own(Task):
        Request = object

        def apply_async(
            self, args: Any = None, kwargs: Any = None, task_id: Any = None, *more: Any, **options: Any
        ) -> Any:
            return super().apply_async(args, kwargs, task_id or "own", *more, **options)

        def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
            return f"shown {args[0]}"

        @classmethod
        def on_bound(cls, app: Celery) -> None:
            cls.name_of_app = app.main

    with pytest.raises(NotSupported, match="serializer='pickle'"):
        plain.task(base=Pickling)(lambda: 1)
    with pytest.warns(DiffersFromCelery, match="nobody heeds Request"):
        shown = plain.task(base=Own, name="shown")(lambda x: x)
    with pytest.warns(DiffersFromCelery, match="nobody heeds max_retires=3"):
        plain.task(name="mistyped", max_retires=3)(lambda: 1)
    assert shown.delay(1).id == "own"
    assert (plain.jobs.find(ids=["own"])[0].label, shown.name_of_app) == ("shown 1", "tasks")
    for limit in ("time_limit", "soft_time_limit"):
        with pytest.warns(DiffersFromCelery, match=f"^{limit} of shown"):
            shown.apply_async((1,), task_id=limit, **{limit: 5})
    with pytest.warns(DiffersFromCelery, match="send_event"):
        shown.send_event("task-progress")
