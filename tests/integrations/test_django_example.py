"""The Django example: a report and its job in one transaction, seen and cancelled by whose it is."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("django", reason="Django is not installed: pip install 'jobsworth[django]'")
from django_page import Person, Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    return Place(tmp_path_factory.mktemp("reports"))


@pytest.fixture
def person() -> Iterator[Callable[[str, str], Person]]:
    """Make people, who have signed in."""
    with contextlib.ExitStack() as stack:
        yield lambda url, name: stack.enter_context(contextlib.closing(Person(url, name)))


def job_of(page: str) -> str:
    found = re.search(r'<job-progress job="(\w+)"', page)
    assert found is not None, page
    return found[1]


def test_runserver_with_a_worker_inside_counts_words(place: Place, person: Callable[[str, str], Person]) -> None:
    with place.served("wsgi", "inside") as (server, url):
        ada = person(url, "ada")
        ada.send_form("/", title="Tea", text="tea tea milk <b>sugar</b>")
        job = ada.get("/reports/1/status").json()["job"]
        known, status = -1, ""
        while status != "completed":  # each answer comes when there is news
            newer = {"since": known, "wait": 20}
            shown = ada.get(f"/background/jobs/{job}/status", params=newer).json()["job"]
            known, status = shown["version"], shown["status"]
        assert ada.get("/reports/1/status").json()["progress"]["percent"] == 100
        assert ada.get(f"/background/jobs/{job}/events").json()["code"] == "E611"  # this server cannot stream
        page = ada.get("/").text
        assert "<q>tea</q> (2)" in page
        assert "6 words" in page
        assert server.ends(signal.SIGINT) == 0
    assert "Traceback" not in server.said, server.said


def test_an_asgi_server_and_a_worker_outside(place: Place, person: Callable[[str, str], Person]) -> None:
    with place.served("asgi", "outside") as (server, url):
        ada, bob, root = (person(url, name) for name in ("ada", "bob", "root"))
        job = job_of(ada.send_form("/", title="Cancelled", text="one two").text)
        kept = ada.get("/").text.count("<job-progress")
        refused = ada.send_form("/", title="", text="a report without a title makes no job")
        assert refused.text.count("<job-progress") == kept
        assert bob.post(f"/background/jobs/{job}/cancel").status_code == 404
        assert ada.post(f"/background/jobs/{job}/cancel", headers={"Origin": "https://evil.example"}).status_code == 403
        assert ada.post(f"/background/jobs/{job}/cancel").json()["accepted"]
        other = job_of(ada.send_form("/", title="Counted", text="one two three").text)
        events = f"/background/jobs/{other}/events"
        with place.running("manage.py", "runjobs") as worker, ada.stream("GET", events) as stream:
            assert '"status":"completed"' in "".join(stream.iter_text())
            assert worker.ends(signal.SIGTERM) == 0
        assert "3 words" in ada.get("/").text
        assert ada.get("/background/api/jobs").status_code == 404
        assert "Background jobs" not in ada.get("/").text
        assert root.get("/admin/jobsworth/job/").url.path == "/background/"
        assert {each["id"] for each in root.get("/background/api/jobs").json()["jobs"]} >= {job, other}
    assert "Traceback" not in server.said, server.said
