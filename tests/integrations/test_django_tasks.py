"""The backend for django.tasks: what its contract says of results, contexts, signals, priorities and waiting."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("django", reason="Django is not installed: pip install 'jobsworth[django]'")
import django_house
from django.core import checks
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from django_site.settings import BACKEND
from django_site.shop import tasks

from jobsworth import Jobsworth, State
from jobsworth.engine import Where
from jobsworth.errors import NotSerializable
from jobsworth.integrations.django import contract
from jobsworth.integrations.django.results import StoredError
from jobsworth.integrations.django.tasks import JobsworthBackend
from web_client import a_url

try:
    from django.tasks import default_task_backend, task_backends
    from django.tasks.exceptions import TaskResultMismatch
except ImportError:
    from django_tasks import default_task_backend, task_backends
    from django_tasks.exceptions import TaskResultMismatch

Status = contract.TaskResultStatus
Missing = contract.TaskResultDoesNotExist


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    url = a_url(request, request.param, tmp_path)
    own = request.param in ("sqlite", "postgres")
    place, more = (url, {}) if own else (f"sqlite:///{tmp_path}/shop.db", {"URL": url})
    with django_house.living_on(place, **more) as found:
        yield found


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Jobsworth]:
    """On one engine, for what has nothing to do with engines."""
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db") as found:
        yield found


def done(jobs: Jobsworth, *results: Any) -> None:
    """Run what was enqueued, and read its results anew."""
    with jobs.worker():
        for result in results:
            jobs.handle(result.id).wait(timeout=20)
    for result in results:
        result.refresh()


@contextmanager
def hearing(*signals: Any) -> Iterator[list[tuple[Any, str, str]]]:
    """What these signals told: who sent it, the result's id and its status at that moment."""
    heard: list[tuple[Any, str, str]] = []

    def hear(sender: Any, task_result: Any, **_: Any) -> None:
        heard.append((sender, task_result.id, task_result.status))

    for signal in signals:
        signal.connect(hear)
    try:
        yield heard
    finally:
        for signal in signals:
            signal.disconnect(hear)


def test_what_is_enqueued_is_ready_and_knows_its_call(jobs: Jobsworth) -> None:
    result = tasks.add.enqueue(1, other=2)
    assert (result.status, result.is_finished, result.attempts) == (Status.READY, False, 0)
    assert (result.task, result.args, result.kwargs, result.backend) == (tasks.add, [1], {"other": 2}, "default")
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (None, None, None)
    assert (result.errors, result.worker_ids) == ([], [])
    assert abs(timezone.now() - result.enqueued_at) < timedelta(seconds=30)
    with pytest.raises(ValueError, match="has not finished yet"):
        assert result.return_value
    assert tasks.add.get_result(result.id) == result
    assert default_task_backend.get_result(result.id) == result


def test_what_has_run_tells_what_it_gave(jobs: Jobsworth) -> None:
    results = [tasks.add.enqueue(1, other=2), tasks.amultiply.enqueue(6, 7)]
    with jobs.worker() as worker:
        for result in results:
            jobs.handle(result.id).wait(timeout=20)
    for result, value in zip(results, (3, 42), strict=True):
        result.refresh()
        assert (result.status, result.is_finished, result.return_value) == (Status.SUCCESSFUL, True, value)
        assert (result.attempts, result.worker_ids, result.errors) == (1, [worker.id], [])
        assert result.started_at == result.last_attempted_at <= result.finished_at


def test_coroutines_say_and_ask_the_same(jobs: Jobsworth) -> None:
    async def ask() -> None:
        result = await tasks.add.aenqueue(4)
        assert (await tasks.add.aget_result(result.id)) == result
        async with jobs.worker():
            await jobs.handle(result.id).await_(timeout=20)
        await result.arefresh()
        assert result.return_value == 5
        with pytest.raises(Missing):
            await default_task_backend.aget_result("123")
        with pytest.raises(TaskResultMismatch):
            await tasks.post.aget_result(result.id)

    asyncio.run(ask())


def test_a_failure_is_told_with_its_class_and_its_traceback(jobs: Jobsworth) -> None:
    result = tasks.fail.enqueue("no such letter")
    done(jobs, result)
    assert (result.status, result.is_finished, result.attempts) == (Status.FAILED, True, 1)
    with pytest.raises(ValueError, match="Task failed"):
        assert result.return_value
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert "no such letter" in error.traceback
    assert "in fail" in error.traceback
    assert result.last_attempted_at <= result.finished_at


def test_a_value_that_is_no_json_fails_the_task(one: Jobsworth) -> None:
    result = tasks.nonsense.enqueue()
    done(one, result)
    assert result.status == Status.FAILED
    assert result.errors[0].exception_class is TypeError


def test_arguments_that_are_no_json_are_refused_and_nothing_is_stored(one: Jobsworth) -> None:
    with pytest.raises(TypeError, match="Unsupported type"):
        tasks.add.enqueue(datetime.now(UTC))
    with pytest.raises(TypeError, match="Unsupported type"):
        asyncio.run(tasks.add.aenqueue(object()))
    with pytest.raises(NotSerializable):
        tasks.add.enqueue(float("nan"))
    assert one.find() == []


def test_there_is_no_second_attempt_unless_the_backends_options_say_so(one: Jobsworth) -> None:
    tasks.runs.clear()
    often, once = tasks.fail_at_first.enqueue(), tasks.fail_at_first.using(backend="default").enqueue()
    with hearing(contract.task_started, contract.task_finished) as heard, one.worker():
        one.handle(once.id).wait(timeout=20)
        one.handle(often.id).wait(timeout=30)
    for result in (often, once):
        result.refresh()
    assert (once.status, once.attempts) == (Status.FAILED, 1)
    assert (often.status, often.attempts, often.return_value) == (Status.SUCCESSFUL, 2, [2, often.id])
    assert [error.exception_class for error in often.errors] == [OSError]
    assert [each[:2] for each in tasks.runs if each[1] == often.id] == [(1, often.id), (2, often.id)]
    assert all(len(ids) == attempt for attempt, _, ids in tasks.runs)
    assert [status for _, id_, status in heard if id_ == often.id] == ["RUNNING", "RUNNING", "SUCCESSFUL"]
    assert [status for _, id_, status in heard if id_ == once.id] == ["RUNNING", "FAILED"]


def test_signals_tell_what_happens_and_by_which_backend(jobs: Jobsworth) -> None:
    with hearing(contract.task_enqueued, contract.task_started, contract.task_finished) as heard:
        results = [tasks.add.enqueue(1), tasks.amultiply.enqueue(2, 3), tasks.fail.enqueue("x")]
        done(jobs, *results)
    for result, end in zip(results, ("SUCCESSFUL", "SUCCESSFUL", "FAILED"), strict=True):
        assert [status for _, id_, status in heard if id_ == result.id] == ["READY", "RUNNING", end]
    assert {sender for sender, _, _ in heard} == {JobsworthBackend}


def test_who_listens_to_a_signal_cannot_make_the_task_fail(one: Jobsworth, caplog: pytest.LogCaptureFixture) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("broken receiver")

    contract.task_started.connect(broken)
    contract.task_finished.connect(broken)
    try:
        results = [tasks.add.enqueue(1), tasks.amultiply.enqueue(2, 3)]
        done(one, *results)
    finally:
        contract.task_started.disconnect(broken)
        contract.task_finished.disconnect(broken)
    assert [result.return_value for result in results] == [2, 6]
    assert "broken receiver" in caplog.text


def test_a_job_that_will_run_again_is_ready_and_has_not_finished(one: Jobsworth) -> None:
    result = tasks.sleep_on_it.enqueue()
    with hearing(contract.task_finished) as heard, one.worker():
        from waiting import until

        until(lambda: one.handle(result.id).state is State.SCHEDULED and one.handle(result.id).job.attempts)
    result.refresh()
    assert (result.status, result.finished_at, heard) == (Status.READY, None, [])


def test_a_cancelled_job_has_failed(one: Jobsworth) -> None:
    result = tasks.add.enqueue(1)
    one.handle(result.id).cancel("not wanted")
    result.refresh()
    assert (result.status, result.attempts) == (Status.FAILED, 0)
    assert "not wanted" in result.errors[0].traceback


def test_the_higher_priority_runs_first(jobs: Jobsworth) -> None:
    low, middle, high = (tasks.add.using(priority=each).enqueue(each) for each in (-100, 0, 100))
    with jobs.worker({"default": 1}):
        jobs.handle(low.id).wait(timeout=20)
    for result in (low, middle, high):
        result.refresh()
    assert high.started_at <= middle.started_at <= low.started_at
    assert high.finished_at <= low.started_at
    assert (low.task.priority, high.task.priority) == (-100, 100)


def test_a_task_may_be_run_later_and_knows_when(jobs: Jobsworth) -> None:
    later = timezone.now() + timedelta(days=1)
    result = tasks.add.using(run_after=later).enqueue(1)
    assert jobs.handle(result.id).state is State.SCHEDULED
    assert tasks.add.get_result(result.id).task.run_after == later
    soon = tasks.add.using(run_after=timezone.now() - timedelta(days=1)).enqueue(1)
    done(jobs, soon)
    assert soon.status == Status.SUCCESSFUL


def test_a_moment_without_a_zone_is_the_projects_own(one: Jobsworth) -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="America/New_York"):
        result = tasks.add.using(run_after=datetime(2099, 1, 1)).enqueue(1)  # noqa: DTZ001
        assert one.handle(result.id).job.run_at == datetime(2099, 1, 1, 5, tzinfo=UTC).timestamp()
        found = tasks.add.get_result(result.id)
        assert found.task.run_after == datetime(2099, 1, 1)  # noqa: DTZ001
        assert timezone.is_naive(found.enqueued_at)


def test_a_task_runs_in_any_queue_of_its_backend(jobs: Jobsworth) -> None:
    post, letter = tasks.post.enqueue("ada"), tasks.add.using(queue_name="mail").enqueue(1)
    assert {job.queue for job in jobs.find()} == {"mail"}
    assert tasks.post.get_result(post.id).task == tasks.post
    with jobs.worker("mail"):
        for result in (post, letter):
            jobs.handle(result.id).wait(timeout=20)
    letter.refresh()
    assert (letter.return_value, letter.task.queue_name) == (2, "mail")


def test_the_task_and_its_signal_wait_for_the_commit(jobs: Jobsworth) -> None:
    with hearing(contract.task_enqueued) as heard:
        with transaction.atomic():
            result = tasks.add.enqueue(1)
            assert (result.enqueued_at, heard) == (None, [])
            with pytest.raises(Missing):
                tasks.add.get_result(result.id)
        assert heard == [(JobsworthBackend, result.id, "READY")]
        assert tasks.add.get_result(result.id) == result
        with django_house.rolled_back():
            tasks.add.enqueue(2)
    assert len(jobs.find()) == len(heard) == 1


def test_a_task_may_use_djangos_data(jobs: Jobsworth) -> None:
    result = tasks.how_many_orders.enqueue()
    done(jobs, result)
    assert result.return_value == 0


@pytest.mark.parametrize("result_id", ["123", "", "no such id!", "x" * 500])
def test_a_result_that_is_not_there(one: Jobsworth, result_id: str) -> None:
    with pytest.raises(Missing):
        default_task_backend.get_result(result_id)


def test_a_result_of_another_task_is_not_this_ones(one: Jobsworth) -> None:
    result = tasks.add.enqueue(1)
    with pytest.raises(TaskResultMismatch):
        tasks.post.get_result(result.id)


def test_no_task_is_imported_by_a_name_that_is_stored(one: Jobsworth) -> None:
    """Neither to run it nor to show it: a name that is not declared here is nothing."""
    evil = msgspec.structs.replace(tasks_job(one), id="evil", task="antigravity.anything")
    one.bridge.call(lambda engine: engine.enqueue([[evil]]))
    sys.modules.pop("antigravity", None)
    with pytest.raises(Missing):
        default_task_backend.get_result("evil")
    with one.worker():
        done_first = tasks.add.enqueue(1)
        one.handle(done_first.id).wait(timeout=20)
    assert one.handle("evil").state is State.QUEUED
    assert "antigravity" not in sys.modules


def tasks_job(jobs: Jobsworth) -> Any:
    return jobs.find_task("django_site.shop.tasks.add").new_job([1], {})


def test_no_module_is_imported_for_the_class_of_a_stored_error() -> None:
    sys.modules.pop("antigravity", None)
    with pytest.raises(ImportError):
        StoredError(exception_class_path="antigravity.Error", traceback="").exception_class  # noqa: B018
    assert "antigravity" not in sys.modules
    with pytest.raises(ValueError, match="does not reference a valid exception"):
        StoredError(exception_class_path="subprocess.run", traceback="").exception_class  # noqa: B018


def test_a_job_that_is_no_task_has_no_result(one: Jobsworth) -> None:
    from django_site.shop.jobs import echo

    with pytest.raises(Missing):
        default_task_backend.get_result(echo.enqueue("a").id)


def test_what_the_backend_declares_is_so() -> None:
    backend = task_backends["default"]
    assert isinstance(backend, JobsworthBackend)
    declared = (backend.supports_defer, backend.supports_async_task, backend.supports_get_result)
    assert (*declared, backend.supports_priority) == (True, True, True, True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"priority": 101}, "whole number between -100 and 100"),
        ({"priority": 1.5}, "whole number"),
        ({"queue_name": "unheard"}, "Queue 'unheard' is not valid"),
        ({"run_after": datetime(2099, 1, 1)}, "aware datetime"),  # noqa: DTZ001
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_said(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Exception, match=why):
        tasks.add.using(**change)


def test_a_task_that_was_made_under_other_settings_is_looked_at_again(one: Jobsworth) -> None:
    unheard = {"default": {"BACKEND": BACKEND, "QUEUES": ["another"]}}
    with override_settings(TASKS=unheard), pytest.raises(Exception, match="Queue 'default' is not valid"):
        tasks.add.enqueue(1)
    assert one.bridge.call(lambda engine: engine.count(Where())) == 0


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, []),
        ({"max_attempts": 5, "timeout": 60}, []),
        ({"attempts": 5}, ["jobsworth.E009"]),
        ({"max_attempts": 0}, ["jobsworth.E009"]),
        ({"timeout": "a minute"}, ["jobsworth.E009"]),
    ],
)
def test_the_checks_look_at_the_backends_options(options: dict[str, Any], ids: list[str]) -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}, JOBSWORTH={"URL": "redis://x"}):
        assert [each.id for each in task_backends["default"].check()] == ids
        assert [each.id for each in checks.run_checks() if "jobsworth" in str(each.id)] == ids


def test_the_checks_miss_the_app_where_only_its_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.apps import apps

    monkeypatch.setattr(apps, "is_installed", lambda name: False)
    assert [each.id for each in task_backends["default"].check()] == ["jobsworth.E008"]


def test_progress_that_was_reported_before_a_failure_is_kept(one: Jobsworth) -> None:
    result = tasks.half_way.enqueue()
    done(one, result)
    assert one.handle(result.id).job.progress.percent == 50
