"""The settings, and the runner, with which scripts/django_tasks.py runs Django's own tests."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from typing import Any

from django.test.runner import DiscoverRunner

SECRET_KEY = "a secret of more than sixteen characters"  # noqa: S105
USE_TZ = False
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "jobsworth.integrations.django"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
TEST_RUNNER = "django_tasks_settings.Runner"
LEFT_OUT = {
    "DummyBackendTestCase.test_refresh_result": "changes a result inside the dummy's memory",
    "DummyBackendTestCase.test_refresh_result_async": "changes a result inside the dummy's memory",
    "DummyBackendTransactionTestCase.test_doesnt_wait_until_transaction_commit_by_default": "ours waits",
    "ImmediateBackendTransactionTestCase.test_doesnt_wait_until_transaction_commit_by_default": "ours waits",
    "ImmediateBackendTestCase.test_cannot_get_result": "ours can: supports_get_result",
    "ImmediateBackendTestCase.test_cannot_refresh_result": "ours can: supports_get_result",
    "ImmediateBackendTestCase.test_cannot_pass_run_after": "ours takes it: supports_defer",
    "ImmediateBackendTestCase.test_throws_keyboard_interrupt": "a handler cannot end our worker",
}


class Runner(DiscoverRunner):
    """Puts ours where the tests name Django's own, and leaves out what is about features that are not the same."""

    def setup_test_environment(self, **options: Any) -> None:
        super().setup_test_environment(**options)
        from django.tasks.backends import dummy, immediate

        dummy.DummyBackend, immediate.ImmediateBackend = _stand_ins()

    def build_suite(self, *labels: Any, **options: Any) -> Any:
        suite = super().build_suite(*labels, **options)
        kept = []
        for test in _each(suite):
            name = ".".join(test.id().split(".")[-2:])
            if name in LEFT_OUT:
                print(f"left out: {name}: {LEFT_OUT[name]}")  # noqa: T201
            else:
                kept.append(test)
        return self.test_suite(kept)


def _each(suite: Any) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestCase):
            yield test
        else:
            yield from _each(test)


def _stand_ins() -> tuple[type, type]:
    from jobsworth.engine import Where
    from jobsworth.integrations.django import jobs
    from jobsworth.integrations.django.tasks import JobsworthBackend

    class Stored(JobsworthBackend):
        """Ours, and what these tests ask of a dummy."""

        @property
        def results(self) -> list[Any]:
            return [self.get_result(job.id) for job in jobs.find(limit=None, newest_first=False)]

        def clear(self) -> None:
            jobs.bridge.call(lambda engine: engine.delete(Where(limit=None)))

    class Done(JobsworthBackend):
        """Ours, with a worker that has done the job before enqueue() returns."""

        def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            result = super().enqueue(task, args, kwargs)
            with jobs.worker():
                jobs.handle(result.id).wait(timeout=10)
            result.refresh()
            return result

    return Stored, Done
