"""What the dashboard needs of the site besides what others need."""

from __future__ import annotations

import msgspec
import pytest

from jobsworth import Jobsworth
from jobsworth.job import Attempt, Failure, State
from jobsworth.web import Level, Visitor
from web_client import Client, a_site, an_app

TRACE = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/jobsworth/runners/calls.py", line 40, in run
    return fn(*args)
  File "/srv/app/letters.py", line 12, in post
    go()
  File "/usr/lib/python3.11/socket.py", line 9, in go
    raise OSError("x")
OSError: x
"""


QUEUES = Visitor(Level.READ, queues={"mail"})


@pytest.fixture
def jobs() -> Jobsworth:
    return an_app()


@pytest.mark.parametrize("level", [Level.READ, Level.OPERATE, Level.ADMIN])
def test_the_overview_says_who_looks_and_what_there_is_to_read(jobs: Jobsworth, level: Level) -> None:
    visitor = Client(a_site(jobs, Visitor(level, name="ada"))).get("/api/overview").json()["visitor"]
    assert (visitor["name"], visitor["level"]) == ("ada", level.name.lower())
    assert {"/api/jobs", "/api/jobs/{id}", "/api/tasks"} <= set(visitor["offers"])
    assert not {"/jobs/{id}/status", "/api/jobs/bulk"} & set(visitor["offers"])


def test_an_attempt_names_the_place_in_the_users_own_code(jobs: Jobsworth) -> None:
    job = jobs.handle(jobs.find_task("send").enqueue("ada").id)
    job.cancel()
    failure = Failure("OSError", "x", "exhausted", TRACE)
    tries = (Attempt(1, "w", 1.0, 2.0, "failed", failure),)
    failed = msgspec.structs.replace(job.job, id="copied", state=State.FAILED, failure=failure, attempts=tries)
    jobs.bridge.call(lambda engine: engine.adopt([failed]))
    client = Client(a_site(jobs))
    (attempt,) = client.get("/api/jobs/copied").json()["job"]["attempts"]
    assert attempt["place"] == "/srv/app/letters.py:12 in post"
    assert attempt["traceback"].startswith('Traceback (most recent call last):\n  File "/srv/app/letters.py"')
    assert "runners" not in attempt["traceback"]
    assert attempt["traceback"].endswith("OSError: x")
    (whole,) = client.get("/jobs/copied/status").json()["job"]["attempts"]
    assert whole["traceback"] == TRACE


def test_the_reasons_why_a_job_waits_can_be_read(jobs: Jobsworth) -> None:
    job = jobs.find_task("send").enqueue("ada")
    told = Client(a_site(jobs)).get(f"/api/jobs/{job.id}/why").json()
    assert (told["job_id"], told["state"]) == (job.id, "queued")
    assert "no-worker" in [each["word"] for each in told["findings"]]
    assert all(each["text"] and each["do"] for each in told["findings"])


@pytest.mark.parametrize("visitor", [QUEUES, Visitor(Level.READ)])
def test_reasons_name_no_job_of_a_queue_that_is_not_theirs(jobs: Jobsworth, visitor: Visitor) -> None:
    task = jobs.find_task("send")
    job = task.options(key="one").enqueue("ada")
    job.cancel()
    other = task.options(key="one").enqueue("bob")  # in the same queue; but a task may be moved to another
    told = Client(a_site(jobs, visitor)).get(f"/api/jobs/{job.id}/why").json()
    assert "cancelled" in [each["word"] for each in told["findings"]]
    assert (other.id in str(told)) is (visitor.queues is None)
