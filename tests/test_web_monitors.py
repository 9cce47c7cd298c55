"""What monitors are told, and when they are told that something is wrong."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from jobsworth import Jobsworth, Retry
from jobsworth.engine import QueueStatus, WorkerCard
from jobsworth.errors import ExtraMissing
from jobsworth.job import State
from jobsworth.statistics import ENDS
from jobsworth.web import Level, Visitor, metrics
from waiting import until
from web_client import HOSTS, Client, a_dead_letter, a_site, an_app


class AWorker:
    """As much of a worker as /livez looks at."""

    def __init__(self, age: float) -> None:
        self.last_turn_age = age

    def healthy(self) -> bool:
        return self.last_turn_age <= 60


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("age", "status", "shown"), [(0.5, 200, 0.5), (59.0, 200, 59.0), (61.0, 503, 61.0), (float("inf"), 503, None)]
)
def test_a_process_lives_while_its_worker_takes_turns(age: float, status: int, shown: float | None, host: str) -> None:
    site = a_site(authorize=lambda _: None, worker=AWorker(age))
    answer = Client(site, host).get("/livez")
    assert (answer.status_code, answer.json()) == (status, {"alive": status == 200, "last_turn_age": shown})


def test_a_process_without_a_worker_lives_while_it_answers() -> None:
    assert Client(a_site(authorize=lambda _: None)).get("/livez").json()["alive"] is True


def test_a_real_worker_is_alive() -> None:
    jobs = an_app()
    with jobs.worker() as worker:
        client = Client(a_site(jobs, worker=worker))
        until(lambda: client.get("/livez").status_code == 200)
        assert client.get("/readyz").json() == {"ready": True}
    assert client.get("/livez").status_code == 503
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("host", HOSTS)
def test_jobs_in_numbers(host: str) -> None:
    jobs = an_app()
    send, film = jobs.find_task("send"), jobs.find_task("cut")
    send.enqueue("a")
    send.options(delay=3600).enqueue("b")
    a_dead_letter(jobs)
    film.enqueue("c")
    shown = Client(a_site(jobs), host).get("/health/jobs").json()
    assert {name: shown[name] for name in ("active", "scheduled", "retrying", "queued", "dead", "workers")} == {
        "active": 0, "scheduled": 1, "retrying": 0, "queued": 2, "dead": 1, "workers": 0
    }  # fmt: skip
    mail = shown["queues"]["mail"]
    assert (mail["size"], mail["failed"], mail["processed"]) == (2, 1, 0)
    assert mail["latency"] >= 0


def test_jobs_that_wait_for_another_attempt_are_counted_apart() -> None:
    jobs = Jobsworth("memory://")
    began = threading.Event()

    @jobs.task(retry=Retry(max_attempts=5, base=3600))
    def fails() -> None:
        began.set()
        raise OSError("no such host")

    fails.options(delay=3600).enqueue()
    fails.enqueue()
    client = Client(a_site(jobs))
    with jobs.worker():
        assert began.wait(20)
        until(lambda: client.get("/health/jobs").json()["retrying"] == 1)
    assert client.get("/health/jobs").json()["scheduled"] == 2


def test_what_ended_since_the_start_is_told() -> None:
    jobs = an_app()
    client = Client(a_site(jobs))
    assert client.get("/task-stats").json()["completed"] == 0
    with jobs.worker():
        jobs.find_task("send").enqueue("a").result(timeout=20)
    shown = client.get("/task-stats").json()
    assert (shown["active"], shown["completed"], shown["failed"]) == (0, 1, 0)
    assert shown["uptime"] > 0
    kept = Client(a_site(jobs, Visitor(Level.READ, queues={"film"}))).get("/task-stats").json()
    assert kept["completed"] == 0


def test_the_numbers_are_in_the_form_prometheus_reads() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    jobs = an_app()
    jobs.find_task("send").enqueue("a")
    with jobs.worker({"film": 3}):
        answer = Client(a_site(jobs)).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["jobs_queue_depth", "mail", "queued"] == 1
    assert found["jobs_slots", "film"] == 3
    assert found["jobs_slots_busy", "mail"] == 0
    assert found["jobs_workers",] == 1
    assert found["jobs_queue_oldest_seconds", "mail"] >= 0
    assert ("jobs_worker_last_poll_timestamp_seconds",) in found
    known = {"mail", "film", "pictures", "send", "cut", *State, *ENDS}
    assert {label for name, *labels in found for label in labels} <= known


def test_no_label_grows_without_bound() -> None:
    many = [
        QueueStatus(queue=f"q{number:05}", counts={State.QUEUED: 1}, oldest=float(number)) for number in range(2_000)
    ]
    card = WorkerCard(id="w", queues={}, beat=1.0)
    text = metrics.exposition(many, [card])[1].decode()
    assert text.count("jobs_slots{") == metrics.MOST + 1
    assert 'jobs_queue_depth{queue="_others",state="queued"} 1500.0' in text
    assert 'jobs_queue_oldest_seconds{queue="_others"} 1999.0' in text
    odd = QueueStatus(queue='a"b\nc', unroutable={f"t{number}": 1 for number in range(1_000)})
    text = metrics.exposition([odd], [])[1].decode()
    assert text.count("jobs_unroutable{") == metrics.MOST_TASKS
    assert 'queue="a\\"b\\nc"' in text


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ExtraMissing) as caught:
        metrics.exposition([], [])
    assert "jobsworth[web]" in str(caught.value)
    answer: Any = Client(a_site()).get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (501, "E115")
    assert Client(a_site()).get("/health/jobs").status_code == 200
