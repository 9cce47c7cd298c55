"""The site among a Django project's pages: who may see what, by Django's users and permissions; the admin's link."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("django", reason="Django is not installed: pip install 'jobsworth[django]'")
import django_house
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import Permission, User
from django.core.handlers.asgi import ASGIHandler
from django.db import connection
from django.test import AsyncClient, Client, override_settings
from django.urls import clear_url_caches, set_urlconf
from django_site.shop.jobs import echo

from jobsworth import Jobsworth, State
from jobsworth.integrations.django import owner_of
from jobsworth.integrations.django.views import the_site
from jobsworth.web import Level, Visitor


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobsworth]:
    """One database for the module: users take their time to be made."""
    folder = tmp_path_factory.mktemp("shop")
    with django_house.living_on(f"sqlite:///{folder}/shop.db", whole=True) as jobs:
        User.objects.create_superuser("root")
        for name, permissions in (
            ("ada", None), ("bob", None), ("clerk", ()), ("reader", ("view",)), ("foreman", ("view", "change")),
            ("boss", ("view", "change", "delete")),
        ):  # fmt: skip
            user = User.objects.create_user(name, is_staff=permissions is not None)
            wanted = [f"{each}_job" for each in permissions or ()]
            user.user_permissions.set(
                Permission.objects.filter(codename__in=wanted, content_type__app_label="jobsworth")
            )
        yield jobs


@pytest.fixture
def jobs(place: Jobsworth) -> Jobsworth:
    for queue in ("default", "mail"):
        place.purge(queue)
        place.resume(queue)
    return place


class Asking:
    """Somebody's browser, before a WSGI or an ASGI host."""

    def __init__(self, host: str, name: str | None = None) -> None:
        self._client: Any = Client() if host == "wsgi" else AsyncClient()
        if name is not None:
            user = User.objects.get(username=name)
            self._client.force_login(user) if host == "wsgi" else async_to_sync(self._client.aforce_login)(user)
        self._wsgi = host == "wsgi"

    def get(self, path: str, **more: Any) -> Any:
        return self._ask("get", path, **more)

    def post(self, path: str, data: object = None, **more: Any) -> Any:
        return self._ask("post", path, data=json.dumps(data or {}), content_type="application/json", **more)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        call = getattr(self._client, method)
        return call(path, **more) if self._wsgi else async_to_sync(call)(path, **more)


@pytest.fixture(params=["wsgi", "asgi"])
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def statuses(asking: Asking, job: str) -> list[int]:
    """What somebody may: see this job, see all, pause, delete."""
    return [
        asking.get(f"/background/jobs/{job}/status").status_code,
        asking.get("/background/api/jobs").status_code,
        asking.post("/background/api/queues/mail/pause").status_code,
        asking.post("/background/api/jobs/bulk", {"action": "delete", "ids": ["x"], "expect": 0}).status_code,
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, [401, 401, 401, 401]),
        ("ada", [200, 404, 404, 404]),
        ("bob", [404, 404, 404, 404]),
        ("clerk", [404, 404, 404, 404]),  # of the staff, and no more
        ("reader", [200, 200, 403, 403]),
        ("foreman", [200, 200, 200, 403]),
        ("boss", [200, 200, 200, 200]),
        ("root", [200, 200, 200, 200]),
    ],
)
def test_everybody_may_what_django_says(jobs: Jobsworth, host: str, name: str | None, expected: list[int]) -> None:
    job = echo.options(owner=owner_of(User.objects.get(username="ada"))).enqueue("a")
    assert statuses(Asking(host, name), job.id) == expected


def test_who_watches_keeps_no_connection_to_djangos_database(jobs: Jobsworth) -> None:
    """An hour long, as long as a stream lasts; a few hundred onlookers would be all connections that there are."""

    async def watch() -> Any:
        client, user = AsyncClient(), await User.objects.aget(username="ada")
        await client.aforce_login(user)
        job = await echo.options(owner=owner_of(user)).aenqueue("a")
        answer = await client.get(f"/background/jobs/{job.id}/events")
        kept = await sync_to_async(lambda: connection.connection)()
        assert len(the_site().hub) == 1
        answer.close()  # its reader has gone before it has begun
        assert len(the_site().hub) == 0
        assert (await client.head(f"/background/jobs/{job.id}/events")).status_code == 200
        return answer.status_code, kept

    assert asyncio.run(watch()) == (200, None)
    assert len(the_site().hub) == 0


def test_nobody_watches_for_a_reader_who_has_gone(jobs: Jobsworth) -> None:
    job = echo.enqueue("a")
    bearer = (b"authorization", f"Bearer {job.token()}".encode())
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": f"/background/jobs/{job.id}/events",
        "query_string": b"", "headers": [(b"host", b"testserver"), bearer],
    }  # fmt: skip

    async def watch() -> list[Any]:
        host = ApplicationCommunicator(ASGIHandler(), scope)
        await host.send_input({"type": "http.request", "body": b""})
        told = [await host.receive_output(20), await host.receive_output(20)]
        assert len(the_site().hub) == 1
        await host.send_input({"type": "http.disconnect"})
        await host.wait(20)
        return told

    begun, first = asyncio.run(watch())
    assert (begun["status"], first["body"]) == (200, b"retry: 2000\n\n")
    assert len(the_site().hub) == 0


def test_who_is_no_longer_active_is_nobody(jobs: Jobsworth, host: str) -> None:
    from jobsworth.integrations.django.access import visitor_of

    asking = Asking(host, "root")
    assert asking.get("/background/api/jobs").status_code == 200
    User.objects.filter(username="root").update(is_active=False)
    try:
        assert asking.get("/background/api/jobs").status_code == 401
        assert visitor_of(User.objects.get(username="root")) is None
    finally:
        User.objects.filter(username="root").update(is_active=True)


def test_a_token_signed_with_djangos_secret_shows_one_job(jobs: Jobsworth, host: str) -> None:
    job, other = echo.enqueue("a"), echo.enqueue("b")
    asking = Asking(host)
    token = {"Authorization": f"Bearer {job.token()}"}
    assert asking.get(f"/background/jobs/{job.id}/status", headers=token).status_code == 200
    assert asking.get(f"/background/jobs/{other.id}/status", headers=token).status_code == 404
    assert asking.post(f"/background/jobs/{job.id}/cancel", headers=token).json()["accepted"]
    assert job.state is State.CANCELLED


def test_pages_of_other_sites_change_nothing_and_ours_need_no_field(jobs: Jobsworth, host: str) -> None:
    """Django's own guard would want a field of a form; the site has another one."""
    strict = Client(enforce_csrf_checks=True) if host == "wsgi" else AsyncClient(enforce_csrf_checks=True)
    asking = Asking(host, "boss")
    strict.cookies = asking._client.cookies
    asking._client = strict
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert asking.post("/background/api/queues/mail/pause", headers=elsewhere).status_code == 403
    assert (
        asking.post("/background/api/queues/mail/pause", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    )


def test_the_dashboard_its_files_and_what_is_not_there(jobs: Jobsworth, host: str) -> None:
    asking = Asking(host, "reader")
    page = asking.get("/background/")
    assert (page.status_code, page["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page["content-security-policy"]
    assert page["x-frame-options"] == "DENY"
    module = asking.get("/background/static/jobsworth.js")
    assert (module.status_code, b"job-progress" in module.content) == (200, True)
    assert asking.get("/background/nothing").status_code == 404
    assert asking._ask("head", "/background/livez").content == b""


def test_a_body_that_is_too_large_is_refused(jobs: Jobsworth, host: str) -> None:
    answer = Asking(host, "boss").post("/background/api/jobs", {"task": "x" * 3_000_000})
    assert answer.status_code == 413


def everybody_reads(request: Any) -> Visitor:
    """For JOBSWORTH["VISITOR"]."""
    return Visitor(Level.READ, name=request.headers["x-name"])


def test_a_project_may_have_rules_of_its_own(jobs: Jobsworth, host: str) -> None:
    rule = "test_django_site.everybody_reads"
    with override_settings(JOBSWORTH={"VISITOR": rule}):
        answer = Asking(host).get("/background/api/overview", headers={"X-Name": "ada"})
    assert answer.json()["visitor"]["name"] == "ada"


@pytest.mark.parametrize(("name", "seen"), [("clerk", False), ("reader", True), ("boss", True), ("root", True)])
def test_the_admin_leads_to_the_dashboard_who_may_look_at_jobs(jobs: Jobsworth, name: str, seen: bool) -> None:
    client = Client()
    client.force_login(User.objects.get(username=name))
    index = client.get("/admin/").content.decode()
    assert ("/admin/jobsworth/job/" in index) is seen
    assert "/admin/jobsworth/job/add/" not in index
    answer = client.get("/admin/jobsworth/job/")
    assert (answer.status_code, answer.get("location")) == ((302, "/background/") if seen else (403, None))
    assert client.get("/admin/jobsworth/job/add/").status_code == 403
    one = client.get("/admin/jobsworth/job/1/change/")  # there is no such page, and no table to ask for it
    assert (one.status_code, one.get("location")) == ((302, "/admin/") if seen else (403, None))


def test_nobody_of_the_public_gets_into_the_admin(jobs: Jobsworth) -> None:
    client = Client()
    client.force_login(User.objects.get(username="ada"))
    answer = client.get("/admin/jobsworth/job/")
    assert (answer.status_code, "/admin/login/" in answer["location"]) == (302, True)


def test_where_the_site_is_not_mounted_there_is_no_link(jobs: Jobsworth) -> None:
    client = Client()
    client.force_login(User.objects.get(username="root"))
    with override_settings(ROOT_URLCONF="django_site.only_admin"):
        clear_url_caches()
        set_urlconf(None)
        assert "/admin/jobsworth/" not in client.get("/admin/").content.decode()
    clear_url_caches()


def test_a_request_that_fails_leaves_neither_data_nor_a_job(jobs: Jobsworth, host: str) -> None:
    asking = Asking(host, "ada")
    with pytest.raises(ValueError, match="nothing to order"):
        asking.get("/order/nothing")
    assert jobs.find(states=["queued"]) == []
    job = asking.get("/order/tea").json()
    assert asking.get(f"/background/jobs/{job['job']}/status").json()["job"]["status"] == "queued"
    assert len(jobs.find(states=["queued"])) == 1
    assert asking.get("/aorder/tea").status_code == 200
    assert len(jobs.find(states=["queued"])) == 2
