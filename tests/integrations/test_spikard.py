"""The example for Spikard, over HTTP, against the real servers of both spellings; and what `register` refuses."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from spikard_server import EXAMPLE, NEW, OLD, ROOT, SPELLINGS, Server, served

from jobsworth import Jobsworth
from undertaker import dies_with_us, kill_family
from waiting import until
from web_client import SECRET, a_url

PROGRAMS = {OLD: EXAMPLE / "app_08.py", NEW: EXAMPLE / "app.py"}
MONITOR = httpx.BasicAuth("monitor", "a long password")
SURROUNDINGS = {"MONITOR": "monitor:a long password", "JOBSWORTH_SECRET": SECRET, "PACE": "0"}
LETTER = {"to": "ada@example.org", "subject": "Engines", "text": "Dear Ada, ä"}


def the_example(stack: Any, spelling: str, folder: Path, **more: str) -> Server:
    url = f"sqlite:///{folder / 'jobs.db'}"
    surroundings = {**SURROUNDINGS, "JOBSWORTH_URL": url, "OUTBOX": str(folder / "outbox"), **more}
    server: Server = stack.enter_context(served(spelling, PROGRAMS[spelling], folder, **surroundings))
    return server


@pytest.fixture
def stack() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module", params=SPELLINGS)
def spelling(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(spelling: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"spikard-{spelling}")


@pytest.fixture(scope="module")
def example(spelling: str, folder: Path) -> Iterator[Server]:
    """The example, with a worker in it."""
    with contextlib.ExitStack() as stack:
        yield the_example(stack, spelling, folder)


@pytest.fixture
def store(example: Server, folder: Path) -> Iterator[Jobsworth]:
    """Its jobs, as another program of the same house sees them."""
    jobs = Jobsworth(f"sqlite:///{folder / 'jobs.db'}", secret=SECRET)
    yield jobs
    jobs.close()


def sent(server: Server, path: str, data: Any) -> dict[str, Any]:
    answer = server.post(path, data)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def status(server: Server, task: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = server.get(task["status"], params=query, headers={"Authorization": f"Bearer {task['token']}"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["job"]
    return found


def end(server: Server, task: dict[str, Any]) -> dict[str, Any]:
    """How it ended, asked as a page asks that cannot be streamed to: one long question after the other."""
    found = status(server, task)
    while found["finished_at"] is None:
        found = status(server, task, since=found["version"], wait=20)
    return found


def test_a_text_goes_all_the_way(example: Server) -> None:
    found = end(example, sent(example, "/upload", {"file_name": "fox.txt", "text": "the quick brown fox"}))
    assert found["status"] == "completed", found
    assert found["result"] == {"file_name": "fox.txt", "words": 4, "longest": "quick"}
    assert found["progress"]["percent"] == 100
    assert found["label"] == "fox.txt"


@pytest.mark.parametrize("name", ["", "x" * 5_000, "../../etc/passwd", "a\0b\x1b[31m.txt", "<script>ä\u202e.txt"])
def test_any_name_of_a_file_will_do(example: Server, name: str) -> None:
    found = end(example, sent(example, "/upload", {"file_name": name, "text": ""}))
    assert (found["status"], found["result"]["file_name"], found["result"]["words"]) == ("completed", name, 0)


def test_who_signs_up_twice_is_sent_one_letter(example: Server, folder: Path) -> None:
    one, two = (sent(example, "/signup", {"name": "Ada", "email": "ada@example.org"}) for _ in range(2))
    letter = folder / "outbox" / end(example, one)["result"]
    assert letter.read_text(encoding="utf-8").startswith("To: ada@example.org\nSubject: Welcome!\n")
    # The second came while the first was waiting or running, or else after it, and then it is another job.
    assert two["created"] is (two["task_id"] != one["task_id"])


def test_numbers_are_added_up(example: Server) -> None:
    assert end(example, sent(example, "/process", {"numbers": [1, 2.5, 3]}))["result"] == 6.5


def test_a_letter_is_sent(example: Server, folder: Path) -> None:
    found = end(example, sent(example, "/send-email", LETTER))
    letter = (folder / "outbox" / found["result"]).read_text(encoding="utf-8")
    assert letter == "To: ada@example.org\nSubject: Engines\n\nDear Ada, ä\n"


@pytest.mark.parametrize(
    ("path", "data", "code"),
    [
        ("/upload", {"file_name": "a.txt"}, 422),
        ("/upload", {"file_name": "a.txt", "text": "x" * 500_001}, 413),
        ("/signup", {"name": "Ada", "email": "nowhere"}, 422),
        ("/process", {"numbers": ["one"]}, 422),
        ("/send-email", {**LETTER, "to": "a b@example.org"}, 422),
        ("/send-email", {**LETTER, "subject": "Engines\nBcc: everybody@example.org"}, 422),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_stored(
    example: Server, store: Jobsworth, path: str, data: Any, code: int
) -> None:
    before = len(store.find(limit=None))
    answer = example.post(path, data)
    assert answer.status_code == code, answer.text
    assert len(store.find(limit=None)) == before


def test_a_job_that_is_not_there_is_404(example: Server) -> None:
    task = sent(example, "/process", {"numbers": [1]})
    for allowed in ({"auth": MONITOR}, {"headers": {"Authorization": f"Bearer {task['token']}"}}):
        answer = example.get("/jobs/no-such-job/status", **allowed)
        assert (answer.status_code, answer.json()["code"]) == (404, "E301")
    assert example.get(task["status"]).status_code == 401


def test_a_token_shows_one_job_and_no_other(example: Server) -> None:
    one, two = (sent(example, "/process", {"numbers": [1]}) for _ in range(2))
    answer = example.get(one["status"], headers={"Authorization": f"Bearer {two['token']}"})
    assert (answer.status_code, answer.json()["code"]) == (404, "E301")


def test_monitors_are_told_numbers_and_nobody_else_is(example: Server) -> None:
    before = example.get("/task-stats", auth=MONITOR).json()["completed"]
    end(example, sent(example, "/process", {"numbers": [1]}))
    health = example.get("/health/jobs", auth=MONITOR).json()
    assert health["workers"] == 1
    assert health["queues"]["numbers"]["processed"] >= 1
    assert example.get("/task-stats", auth=MONITOR).json()["completed"] > before
    assert "jobs_workers 1.0" in example.get("/metrics", auth=MONITOR).text
    for path in ("/health/jobs", "/task-stats", "/metrics"):
        assert example.get(path).status_code == 401
        assert example.get(path, auth=httpx.BasicAuth("monitor", "guessed")).status_code == 401
    assert example.get("/readyz").json() == {"ready": True}


def test_monitors_have_a_dashboard(example: Server) -> None:
    assert "<title>" in example.get("/background/", auth=MONITOR).text
    refused = example.get("/background/")
    assert (refused.status_code, refused.headers["www-authenticate"][:6]) == (401, "Basic ")


def test_many_who_wait_for_news_hold_nobody_up(example: Server, store: Jobsworth) -> None:
    def later() -> None: ...

    job = store.task(name="send_email", queue="mailers")(later).options(delay=3600).enqueue()
    ask = {"path": f"/jobs/{job.id}/status", "headers": {"Authorization": f"Bearer {job.token()}"}}
    version = example.get(**ask).json()["job"]["version"]
    with ThreadPoolExecutor(40) as crowd:
        waiting = [crowd.submit(example.get, **ask, params={"since": version, "wait": 30}) for _ in range(40)]
        until(lambda: example.get("/livez", timeout=5).status_code == 200)
        assert not any(each.done() for each in waiting)
        assert store.handle(job.id).cancel("no longer needed")
        found = [each.result(25).json()["job"]["status"] for each in waiting]
    assert set(found) == {"cancelled"}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_and_goes_on_after_the_next_start(
    stack: Any, spelling: str, stop: signal.Signals, tmp_path: Path
) -> None:
    server = the_example(stack, spelling, tmp_path, PACE="0.2")
    task = sent(server, "/upload", {"file_name": "fox.txt", "text": "the quick brown fox"})
    until(lambda: status(server, task)["status"] == "running")
    waits = sent(server, "/process", {"numbers": [1, 1]})
    server.process.send_signal(stop)
    assert server.process.wait(40) == 0, server.said
    assert "Traceback" not in server.said
    again = the_example(stack, spelling, tmp_path)
    assert [end(again, each)["status"] for each in (task, waits)] == ["completed", "completed"]


def test_what_was_accepted_survives_kill_9(stack: Any, spelling: str, tmp_path: Path) -> None:
    server = the_example(stack, spelling, tmp_path, WORKER="elsewhere")
    task = sent(server, "/process", {"numbers": [1, 2]})
    kill_family(server.process.pid)
    server.process.wait()
    assert end(the_example(stack, spelling, tmp_path), task)["result"] == 3


# A network of its own has no way to the servers in ours, so the new spelling is asked with a file only.
@pytest.mark.parametrize(("spelling", "kind"), [(NEW, "sqlite"), (OLD, "postgres"), (OLD, "redis")])
def test_the_worker_may_be_another_process(
    stack: Any, spelling: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = a_url(request, kind, tmp_path)
    server = the_example(stack, spelling, tmp_path, JOBSWORTH_URL=url, WORKER="elsewhere")
    task = sent(server, "/upload", {"file_name": "fox.txt", "text": "the quick brown fox"})
    assert status(server, task)["status"] == "queued"
    assert the_worker_did(url, tmp_path, lambda: end(server, task))["status"] == "completed"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_the_page_shows_runs_as_it_stands(stack: Any, spelling: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "spikard.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == len(SPELLINGS)
    program = tmp_path / "app.py"
    program.write_text(blocks[spelling == OLD])
    server = stack.enter_context(served(spelling, program, tmp_path, MONITOR="monitor:a long password"))
    answer = server.post("/process", {"numbers": [1, 2]})
    assert answer.status_code == 200, answer.text
    path = f"/jobs/{answer.json()['task_id']}/status?since=0&wait=20"
    until(lambda: server.get(path, auth=MONITOR).json()["job"]["result"] == 3, 30)
    server.process.terminate()
    assert server.process.wait(40) == 0, server.said


def the_worker_did(url: str, folder: Path, work: Any) -> Any:
    """What `work` returns while `jobsworth worker work:jobs` runs."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "jobsworth", "worker", "work:jobs"], cwd=EXAMPLE, stdout=subprocess.DEVNULL,
        env={**os.environ, **SURROUNDINGS, "JOBSWORTH_URL": url, "OUTBOX": str(folder / "outbox")},
    )  # fmt: skip
    dies_with_us(worker.pid)
    try:
        return work()
    finally:
        worker.terminate()
        assert worker.wait(40) == 0
