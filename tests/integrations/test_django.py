"""Jobs of a Django project: found by themselves, never ahead of their transaction, beside Django's own data."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="Django is not installed: pip install 'jobsworth[django]'")
import django_house
from asgiref.sync import sync_to_async
from django.core import checks
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.test import override_settings
from django_site.shop.jobs import asend, echo, look_at_the_connection, send, send_apart
from django_site.shop.jobs import connections as seen
from django_site.shop.models import Order

from jobsworth import Jobsworth, State
from jobsworth.errors import BadOption, BadUrl, JobNotFound
from jobsworth.integrations.django import house
from jobsworth.integrations.django import jobs as project
from jobsworth.testing import fake
from jobsworth.transaction import checked_connection
from web_client import a_url

OWN = ("sqlite", "postgres")
ALL = ("memory", "sqlite", "postgres", "redis")


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    """The jobs live in Django's own database."""
    with django_house.living_on(a_url(request, request.param, tmp_path)) as jobs:
        yield jobs


@pytest.fixture(params=ALL)
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    """The jobs live elsewhere than Django's data."""
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db", URL=a_url(request, request.param, tmp_path)) as jobs:
        yield jobs


@pytest.fixture(params=[*OWN, *(f"{kind} elsewhere" for kind in ALL)])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    kind, _, apart = request.param.partition(" ")
    url = a_url(request, kind, tmp_path)
    more = {"URL": url} if apart else {}
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db" if apart else url, **more) as jobs:
        yield jobs


def stored(jobs: Jobsworth) -> list[str]:
    return sorted(str(job.args) for job in jobs.find(limit=None))


def test_what_is_declared_in_the_jobs_of_installed_apps_is_found(own: Jobsworth) -> None:
    assert {"send", "asend", "send_apart", "echo"} <= set(own.tasks)
    assert own is project


def test_the_jobs_live_in_djangos_own_database_when_nothing_else_is_said(own: Jobsworth) -> None:
    echo.enqueue("a")
    table = "jobsworth_jobs" if connection.vendor == "sqlite" else "jobsworth.jobs"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchone() == (1,)


def test_without_a_transaction_a_job_is_stored_at_once(anywhere: Jobsworth) -> None:
    handle = echo.enqueue("a")
    assert (handle.state, handle.created) == (State.QUEUED, True)


def test_a_job_exists_if_and_only_if_the_transaction_commits(anywhere: Jobsworth) -> None:
    with transaction.atomic():
        order = Order.objects.create(what="tea")
        kept = send.enqueue(order.pk)
        with pytest.raises(JobNotFound):
            kept.status()
    with django_house.rolled_back():
        send.enqueue(Order.objects.create(what="coffee").pk)
    assert [job.id for job in anywhere.find()] == [kept.id]
    assert [order.what for order in Order.objects.all()] == ["tea"]


def test_in_djangos_own_database_the_job_is_written_in_the_transaction_itself(own: Jobsworth) -> None:
    """Nothing is left to be done after the commit, when the process may be gone."""
    table = "jobsworth_jobs" if connection.vendor == "sqlite" else "jobsworth.jobs"
    with transaction.atomic():
        handles = [echo.enqueue("a"), echo.enqueue("b")]
        assert connection.run_on_commit == []
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone() == (2,)
    assert all(handle.created for handle in handles)


def test_with_a_driver_that_cannot_share_its_transaction_the_job_follows_the_commit(
    own: Jobsworth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg2's connections are of no kind that transaction= takes."""
    monkeypatch.setattr(house, "checked_connection", transaction_of_no_kind_we_know)
    with transaction.atomic():
        Order.objects.create(what="tea")
        handle = echo.enqueue("a")
        assert len(connection.run_on_commit) == 1
    assert handle.state is State.QUEUED


def transaction_of_no_kind_we_know(_: object) -> object:
    return checked_connection(object())


def test_a_test_that_misses_what_waits_for_the_commit_is_told(anywhere: Jobsworth) -> None:
    with fake(anywhere) as kit:
        with django_house.rolled_back():
            echo.enqueue("a")
            with pytest.raises(AssertionError, match="jobs were enqueued that wait for Django's transaction to commit"):
                kit.assert_enqueued(echo, "a")
        with pytest.raises(AssertionError) as caught:
            kit.assert_enqueued(echo, "a")
        assert "wait for" not in str(caught.value)


def test_a_job_of_a_savepoint_goes_with_it(anywhere: Jobsworth) -> None:
    with transaction.atomic():
        echo.enqueue("outer")
        with django_house.rolled_back():
            echo.enqueue("rolled back")
        with transaction.atomic():
            echo.enqueue("inner")
        assert anywhere.find() == []
    assert stored(anywhere) == ['b\'{"what":"inner"}\'', 'b\'{"what":"outer"}\'']


def test_a_job_of_an_inner_block_goes_with_the_outer_one(anywhere: Jobsworth) -> None:
    with django_house.rolled_back(), transaction.atomic():
        echo.enqueue("inner")
    assert anywhere.find() == []


def test_many_jobs_go_with_the_transaction_too(anywhere: Jobsworth) -> None:
    with django_house.rolled_back():
        echo.enqueue_many([("a",), ("b",)])
        anywhere.enqueue_many([echo.new_job("c")])
    assert anywhere.find() == []
    with transaction.atomic():
        handles = echo.enqueue_many([("a",), ("b",)])
    assert {job.id for job in anywhere.find()} == {handle.id for handle in handles}


def test_a_handle_knows_after_the_commit_whose_key_it_was(anywhere: Jobsworth) -> None:
    first = echo.options(key="one").enqueue("a")
    with transaction.atomic():
        second = echo.options(key="one").enqueue("b")
    assert (second.id, second.created) == (first.id, False)


def test_a_transaction_of_ones_own_counts_before_djangos(own: Jobsworth) -> None:
    with django_house.rolled_back():
        Order.objects.create(what="tea")
        echo.options(transaction=connection.connection).enqueue("a")
    assert own.find() == []


def test_autocommit_that_is_turned_off_is_a_transaction_too(own: Jobsworth) -> None:
    transaction.set_autocommit(False)
    try:
        Order.objects.create(what="tea")
        echo.enqueue("a")
        transaction.rollback()
        assert own.find() == []
        Order.objects.create(what="tea")
        echo.enqueue("b")
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert stored(own) == ['b\'{"what":"b"}\'']


def test_an_asynchronous_view_goes_with_the_transaction_of_its_synchronous_part(anywhere: Jobsworth) -> None:
    def place(what: str) -> None:
        with transaction.atomic():
            send.enqueue(Order.objects.create(what=what).pk)
            if what == "nothing":
                raise IntegrityError

    async def view() -> str:
        await sync_to_async(place)("tea")
        with pytest.raises(IntegrityError):
            await sync_to_async(place)("nothing")
        return (await echo.aenqueue("at once")).id

    last = asyncio.run(view())
    assert len(anywhere.find()) == 2
    assert anywhere.handle(last).state is State.QUEUED


def test_with_on_commit_turned_off_a_job_elsewhere_does_not_wait(tmp_path: Path) -> None:
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db", URL="memory://", ON_COMMIT=False) as jobs:
        with transaction.atomic():
            handle = echo.enqueue("a")
            assert handle.state is State.QUEUED
        assert len(jobs.find()) == 1


def test_a_url_and_a_database_together_share_the_transaction(tmp_path: Path) -> None:
    """The URL says more than Django does: here, by which other way the file can be reached."""
    other = tmp_path / "link"
    other.symlink_to(tmp_path)
    with django_house.living_on(
        f"sqlite:///{tmp_path}/shop.db", URL=f"sqlite:///{other}/shop.db", DATABASE="default"
    ) as jobs:
        with django_house.rolled_back():
            Order.objects.create(what="tea")
            echo.enqueue("a")  # waits for no commit of its own, which this transaction would be in the way of
        assert jobs.find() == []


# Running.


def test_jobs_run_and_find_what_was_committed_with_them(anywhere: Jobsworth) -> None:
    with anywhere.worker():
        with transaction.atomic():
            order = Order.objects.create(what="tea")
            handles = [send.enqueue(order.pk), asend.enqueue(order.pk)]
        assert [handle.result(timeout=20) for handle in handles] == ["tea", "tea"]
    order.refresh_from_db()
    assert order.sent


@pytest.mark.parametrize("kind", OWN)
def test_a_child_process_sets_django_up_by_itself(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = a_url(request, kind, tmp_path)
    monkeypatch.setenv("SHOP_DATABASE", url)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "django_site.settings")
    with django_house.living_on(url) as jobs:
        order = Order.objects.create(what="tea")
        with jobs.worker("default"):
            what, pid = send_apart.enqueue(order.pk).result(timeout=40)
    assert what == "tea"
    assert pid != os.getpid()


def test_a_connection_that_broke_is_closed_before_the_next_job(own: Jobsworth) -> None:
    seen.clear()
    with own.worker("single:1"):
        for _ in range(2):
            look_at_the_connection.enqueue().wait(timeout=20)
    assert len(seen) == 2, "the second job met the first one's broken connection"
    assert seen[0] is not seen[1]


# Settings.


@pytest.mark.parametrize(
    ("jobsworth", "ids"),
    [
        ({}, []),
        ({"URL": "redis://localhost"}, []),
        ({"URI": "x"}, ["jobsworth.E001"]),
        (["x"], ["jobsworth.E001"]),
        ({"URL": "mysql://localhost"}, ["jobsworth.E002"]),
        ({"DATABASE": "other"}, ["jobsworth.E003"]),
        ({"QUEUES": {"mail": {"workers": 2}}}, ["jobsworth.E004"]),
        ({"QUEUES": {"mail": 2}}, ["jobsworth.E004"]),
        ({"QUEUES": {"e mail": {}}}, ["jobsworth.E004"]),
        ({"SECRET": "short"}, ["jobsworth.E005"]),
        ({"VISITOR": "no.such.function"}, ["jobsworth.E006"]),
        ({"WORKER": "yes"}, ["jobsworth.E007"]),
        ({"WORKER": {"slots": 3}}, ["jobsworth.E007"]),
        ({"WORKER": {"queues": "mail:2"}, "URL": "memory://"}, []),
        ({"URL": "memory://"}, ["jobsworth.W002"]),
        ({"URL": "redis://localhost", "ON_COMMIT": False}, ["jobsworth.W003"]),
    ],
)
def test_the_checks_tell_of_mistakes_by_their_ids(jobsworth: Any, ids: list[str]) -> None:
    with override_settings(JOBSWORTH=jobsworth):
        found = [each for each in checks.run_checks() if each.id and each.id.startswith("jobsworth.")]
    assert [each.id for each in found] == ids
    assert all(each.hint for each in found)


def test_a_transaction_that_begins_without_the_lock_is_warned_of(tmp_path: Path) -> None:
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db"):
        del connections.settings["default"]["OPTIONS"]["transaction_mode"]
        assert [each.id for each in checks.run_checks() if "jobsworth" in str(each.id)] == ["jobsworth.W001"]


def test_a_database_that_cannot_hold_jobs_is_refused_with_what_to_do() -> None:
    from jobsworth.integrations.django import settings

    class MySql:
        vendor = "mysql"

    connections["default"] = MySql()
    try:
        with pytest.raises(BadUrl, match="of the kind mysql") as caught:
            settings.url_of("default")
        assert "JOBSWORTH" in str(caught.value.hint)
    finally:
        del connections["default"]


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({"NAME": "shop"}, "postgresql:///shop"),
        ({"NAME": "shop", "USER": "ada", "HOST": "db", "PORT": 5433}, "postgresql://ada@db:5433/shop"),
        ({"NAME": "a b", "USER": "a@b", "PASSWORD": "p/:?#", "HOST": "::1"}, "postgresql://a%40b:p%2F%3A%3F%23@[::1]/a%20b"),
        ({"NAME": "shop", "HOST": "/run/pg", "PORT": "5433"}, "postgresql:///shop?host=%2Frun%2Fpg&port=5433"),
        ({"NAME": "shop", "OPTIONS": {"sslmode": "require", "pool": True, "isolation_level": 4}},
         "postgresql:///shop?sslmode=require"),
        ({"NAME": None, "OPTIONS": {"service": "shop"}}, "postgresql:///?service=shop"),
    ],
)  # fmt: skip
def test_the_url_says_all_that_djangos_settings_say(parts: dict[str, Any], url: str) -> None:
    from jobsworth.engines import from_url
    from jobsworth.integrations.django.settings import _postgres

    assert _postgres(parts) == url
    from_url(url)  # is one that the engine takes


def test_migrate_makes_our_tables_where_a_transaction_would_be_in_their_way(tmp_path: Path) -> None:
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db") as jobs, transaction.atomic():
        Order.objects.create(what="tea")
        assert echo.enqueue("a").created
    assert jobs is project


def test_there_is_nothing_to_migrate(tmp_path: Path) -> None:
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db"):
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)
        assert "jobsworth_job" not in connection.introspection.table_names()


def test_what_dumps_a_projects_data_finds_nothing_to_dump_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db"):
        Order.objects.create(what="tea")
        for how in ({}, {"use_base_manager": True}):
            call_command("dumpdata", "shop", "jobsworth", **how)
            assert [each["model"] for each in json.loads(capsys.readouterr().out)] == ["shop.order"]


def test_migrate_needs_no_engine_that_is_elsewhere(tmp_path: Path) -> None:
    with django_house.living_on(f"sqlite:///{tmp_path}/shop.db", URL="redis://127.0.0.1:1"):
        assert Order.objects.count() == 0


def test_nobody_owns_the_jobs_of_somebody_who_is_not_signed_in() -> None:
    from django.contrib.auth.models import AnonymousUser, User

    from jobsworth.integrations.django import owner_of

    assert owner_of(User(pk=7)) == "user:7"
    with pytest.raises(BadOption, match="not signed in"):
        owner_of(AnonymousUser())
