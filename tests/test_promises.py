"""What SECURITY.md promises, where no other test shows it."""

from __future__ import annotations

import gzip
import hashlib
import logging
import pickle  # noqa: TID251 (the bombs have to come from somewhere)
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobsworth import Jobsworth, State
from jobsworth.errors import JobFailed
from jobsworth.job import Failure, NewJob
from jobsworth.web import Level, Site, Visitor
from jobsworth.web.message import MAX_BODY
from jobsworth.web.routes import TABLE
from waiting import until
from web_client import HOSTS, SECRET, Client, a_dead_letter, a_site, a_url, an_app, bearer, state_of_the_house

ROOT = Path(__file__).parents[1]
MONITORS = ("/health/jobs", "/task-stats", "/metrics", "/livez", "/readyz", "/openapi.json")
LISTS = ("/api/overview", "/api/jobs", "/api/queues", "/api/workers", "/api/tasks", "/api/dead")


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    made = an_app(a_url(request, request.param, tmp_path))
    yield made
    made.close()


def smuggle(jobs: Jobsworth, *wishes: NewJob) -> None:
    """Store jobs past everything that would refuse them."""
    jobs.bridge.call(lambda engine: engine.enqueue([list(wishes)]))


class Bomb:
    """Touches a file when it is read as a pickle."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> object:
        return Path.touch, (self._path,)


# ── stored bytes never run, and nothing is imported by a name found in data ──────────────────────────────────────────


def test_a_pickle_is_never_read_whichever_engine_holds_it(jobs: Jobsworth, tmp_path: Path) -> None:
    bombs = [pickle.dumps(Bomb(tmp_path / "exploded"), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    smuggle(jobs, *(NewJob(id=f"bomb-{n}", queue="mail", task="send", args=bomb, max_attempts=3)
                    for n, bomb in enumerate(bombs)))  # fmt: skip
    good = jobs.find_task("send").enqueue("ada")
    with jobs.worker("mail"):
        assert good.result(20) == "ada 1"
        ended = [jobs.handle(f"bomb-{n}").wait(20) for n in range(len(bombs))]
    assert not (tmp_path / "exploded").exists()
    assert [job.args for job in ended] == bombs
    assert {(job.state, job.attempt, job.failure and job.failure.reason) for job in ended} == {
        (State.FAILED, 0, "incompatible")
    }


def test_a_tasks_name_is_only_ever_compared_with_declared_ones(jobs: Jobsworth) -> None:
    names = [
        "antigravity.webbrowser",
        "this",
        "os.system",
        "builtins.eval",
        "send.__globals__",
        "__class__",
        "web_client:an_app",
    ]
    before = set(sys.modules)
    smuggle(jobs, *(NewJob(id=f"forged-{n}", queue="mail", task=name, args=b'{"to":"x"}', max_attempts=1)
                    for n, name in enumerate(names)))  # fmt: skip
    good = jobs.find_task("send").enqueue("ada")
    with jobs.worker("mail"):
        assert good.result(20) == "ada 1"
    assert {jobs.handle(f"forged-{n}").state for n in range(len(names))} == {State.QUEUED}
    assert not {"antigravity", "this"} & (set(sys.modules) - before)


def test_a_stored_error_is_text_and_no_exception_of_that_name(jobs: Jobsworth) -> None:
    forged = NewJob(
        id="forged", queue="mail", task="send", args=b'{"to":"x"}', max_attempts=1,
        failure=Failure("builtins.SystemExit", "antigravity", "exhausted", "os.system('true')"),
    )  # fmt: skip
    smuggle(jobs, forged)
    with pytest.raises(JobFailed, match="SystemExit: antigravity"):
        jobs.handle("forged").result(1)
    assert "antigravity" not in sys.modules


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", HOSTS)
def test_asking_changes_nothing_and_no_cookie_is_ever_set(host: str) -> None:
    """A link, an image or a prefetch of another site's page can make a browser do no more than that."""
    jobs = an_app()
    job, dead = jobs.find_task("send").enqueue("ada").id, a_dead_letter(jobs)
    before = state_of_the_house(jobs)
    client = Client(a_site(jobs), host, **{"sec-fetch-site": "cross-site"})
    for route in TABLE.routes:
        for each in (job, dead):
            path = route.path.replace("{id}", each).replace("{queue}", "mail").replace("{file}", "x")
            for method in ("GET", "HEAD", "OPTIONS"):
                stream = route.kind == "text/event-stream"
                answer = client.ask(method, path, begin=stream and method == "GET")
                assert "set-cookie" not in answer.headers
                assert not any(name.startswith("access-control-") for name in answer.headers), (path, answer.headers)
                assert state_of_the_house(jobs) == before, (method, path)
    jobs.close()


@pytest.mark.parametrize("host", HOSTS)
def test_a_token_in_an_address_counts_for_nothing(host: str) -> None:
    """Addresses end up in logs, histories and referrers."""
    jobs = an_app()
    job = jobs.find_task("send").enqueue("ada")
    client = Client(Site(jobs, authorize=Level.NONE, origins=["https://app.example"]), host)
    for name in ("token", "tokens", "access_token", "authorization", "bearer"):
        for path in (f"/jobs/{job.id}/status", f"/jobs/{job.id}/events", f"/events?jobs={job.id}", "/ws"):
            answer = client.get(f"{path}{'&' if '?' in path else '?'}{name}={job.token()}")
            assert answer.status_code == 401
            assert job.token() not in answer.text
    assert client.get(f"/jobs/{job.id}/status", headers=bearer(job.token())).status_code == 200


@pytest.mark.parametrize("host", HOSTS)
def test_a_body_that_would_grow_when_unpacked_is_not_unpacked(host: str) -> None:
    packed = gzip.compress(b" " * (20 * MAX_BODY))
    assert len(packed) < MAX_BODY
    began = time.monotonic()
    client = Client(a_site(), host, **{"content-type": "application/json", "content-encoding": "gzip"})
    assert client.ask("POST", "/api/jobs", content=packed).status_code == 400
    assert time.monotonic() - began < 5


# ── secrets and arguments ────────────────────────────────────────────────────────────────────────────────────────────


def test_arguments_results_and_secrets_are_neither_logged_nor_told_to_monitors_and_onlookers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    jobs = Jobsworth("memory://", secret=f"CANARY-{SECRET}")

    @jobs.task(queue="mail", max_attempts=1)
    def send(to: str) -> str:
        if to == "CANARY-bad":
            raise ValueError("it did not work")
        return to

    good, bad = send.options(owner="user:7").enqueue("CANARY-good"), send.options(owner="user:7").enqueue("CANARY-bad")
    with jobs.worker():
        good.wait(20)
        bad.wait(20)
    token = good.token()
    site = Site(jobs, authorize=Visitor(Level.ADMIN))
    client = Client(site, **bearer(token))
    for path in (*MONITORS, *LISTS, f"/api/jobs/{bad.id}/why"):
        assert "CANARY" not in (said := client.get(path).text), said
    for job in (good, bad):
        assert "CANARY" not in client.get(f"/jobs/{job.id}/events", begin=True).text
    refused = client.post("/api/jobs", {"task": "send", "arguments": {"to": ["CANARY"], "CANARY": 1}})
    assert refused.status_code == 400
    client.post(f"/api/jobs/{bad.id}/retry", {"arguments": ["CANARY-again"]})
    client.post(f"/jobs/{good.id}/cancel")
    assert "CANARY" in client.get(f"/api/jobs/{good.id}").text  # where operators look at one job, there they are
    assert "CANARY" not in repr(jobs) + repr(site) + repr(jobs.tokens) + repr(good)
    site.close()
    jobs.close()
    until(lambda: caplog.records, what="something is logged")
    for record in caplog.records:
        for hidden in ("CANARY", token):
            assert hidden not in f"{record.getMessage()} {record.__dict__}"


# ── the package ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_of_ours_can_call_another_host_over_http() -> None:
    """There are no webhooks, no telemetry and no CDN, so there is nothing to be led astray to inner addresses."""
    ours = ("", ".web", ".web.server", ".worker", ".child", ".engines.sqlite")
    program = f"import sys, {', '.join(f'jobsworth{each}' for each in ours)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not {"urllib.request", "http.client", "requests", "httpx", "urllib3", "aiohttp"} & set(done.stdout.split())


def test_the_same_sources_make_the_same_wheel(tmp_path: Path) -> None:
    wheels = []
    for number in (1, 2):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / str(number))]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
        (wheel,) = (tmp_path / str(number)).glob("*.whl")
        wheels.append((wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest()))
        travels = set(zipfile.ZipFile(wheel).namelist())
    assert wheels[0] == wheels[1]
    ours = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    assert ours - travels == set()
    assert "jobsworth/integrations/celery/utils/log.py" in travels
