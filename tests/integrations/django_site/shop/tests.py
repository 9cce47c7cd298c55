"""Tests as a project's own people write them; `manage.py test` runs them on a database of its own."""

# ruff: noqa: PT009
from __future__ import annotations

import os

from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase

from django_site.shop.jobs import echo, send
from django_site.shop.models import Order
from django_site.shop.tasks import add
from jobsworth.integrations.django import jobs


class InATransaction(TestCase):
    """Everything is rolled back in the end, jobs included."""

    def test_jobs_come_with_the_commit_that_the_test_plays(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as calls:
            order = Order.objects.create(what="tea")
            send.enqueue(order.pk)
            add.enqueue(1)
            self.assertEqual(jobs.find(), [])
        if jobs.engine.kind == "memory":
            self.assertEqual({job.task for job in jobs.find()}, {"send", "django_site.shop.tasks.add"})
            self.assertEqual(len(calls), 3)  # two jobs, and the signal of one
        else:  # they are in the transaction, as is the order, and nobody else sees either
            self.assertEqual(jobs.find(), [])
            self.assertEqual(self._inside(), 2)
            self.assertEqual(len(calls), 1)

    def test_what_is_rolled_back_plays_no_commit(self) -> None:
        before = len(jobs.find(limit=None))
        with self.captureOnCommitCallbacks(execute=True) as calls:
            try:
                with transaction.atomic():
                    echo.enqueue("a")
                    raise ValueError
            except ValueError:
                pass
        self.assertEqual(calls, [])
        self.assertEqual(len(jobs.find(limit=None)), before)

    async def test_coroutines_are_in_the_transaction_too(self) -> None:
        before = len(await jobs.afind(limit=None))
        await echo.aenqueue("a")
        self.assertEqual(len(await jobs.afind(limit=None)), before)

    def _inside(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM jobsworth.jobs")
            return int(cursor.fetchone()[0])


class WithCommits(TransactionTestCase):
    available_apps = ["django_site.shop"]  # flushing then sends no signals, so nothing closes our connections early

    def test_jobs_run_on_the_tests_own_database(self) -> None:
        if jobs.engine.kind == "memory" and connection.settings_dict["NAME"] != ":memory:":
            self.assertIn("mode=memory", str(connection.settings_dict["NAME"]))
        order = Order.objects.create(what="tea")
        with jobs.worker():
            self.assertEqual(echo.enqueue("a").result(timeout=20), "a")
            if jobs.engine.kind != "memory":  # a database in memory has its own way with threads
                self.assertEqual(send.enqueue(order.pk).result(timeout=20), "tea")


class NeverTheRealOne(TestCase):
    def test_the_jobs_are_not_where_the_settings_say(self) -> None:
        self.assertNotIn(os.environ["SHOP_DATABASE"], jobs.url)
        self.assertTrue(jobs.url == "memory://" or "/test_" in jobs.url, jobs.url)
