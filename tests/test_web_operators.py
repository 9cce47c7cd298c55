"""What operators can do, verb by verb, on every engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobsworth import Jobsworth, State
from jobsworth.engine import Where
from jobsworth.web import Level, Visitor
from web_client import Client, a_dead_letter, a_site, a_url, an_app, everything, pause, paused


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobsworth]:
    made = an_app(a_url(request, request.param, tmp_path))
    yield made
    made.close()


@pytest.fixture
def client(jobs: Jobsworth) -> Client:
    return Client(a_site(jobs))


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def test_a_job_is_enqueued_with_its_types_and_options(jobs: Jobsworth, client: Client) -> None:
    options = {"priority": 5, "owner": "user:7", "tags": ["a", "b"], "key": "order-7", "run_at": "2100-01-01T00:00:00Z"}
    answer = client.post("/api/jobs", {"task": "send", "arguments": {"to": "ada", "copies": 2}, "options": options})
    assert answer.status_code == 201
    job = jobs.handle(answer.json()["id"]).job
    assert (job.state, job.priority, job.owner, job.tags, job.key) == (
        State.SCHEDULED,
        5,
        "user:7",
        ("a", "b"),
        "order-7",
    )
    assert job.args == b'{"to":"ada","copies":2}'
    again = client.post("/api/jobs", {"task": "send", "arguments": ["bob"], "options": {"key": "order-7"}})
    assert (again.status_code, again.json()) == (200, {"id": job.id, "created": False})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"task": "sent", "arguments": ["a"]}, "E106"),
        ({"task": "send"}, "E404"),
        ({"task": "send", "arguments": {"to": "a", "nonsense": 1}}, "E404"),
        ({"task": "send", "arguments": {"to": 7}}, "E404"),
        ({"task": "send", "arguments": "ada"}, "E404"),
        ({"task": "send", "arguments": ["a"], "options": {"delay": -1}}, "E105"),
        ({"task": "send", "arguments": ["a"], "options": {"delay": 1, "run_at": 4e9}}, "E105"),
        ({"task": "send", "arguments": ["a"], "options": {"run_at": "2100-01-01T00:00:00"}}, "E105"),
        ({"task": "send", "arguments": ["a"], "options": {"transaction": "x"}}, "E609"),
        ({"arguments": ["a"]}, "E609"),
        ({"task": "os.system", "arguments": ["id"]}, "E106"),
        ({"task": "__class__", "arguments": []}, "E106"),
    ],
)
def test_what_cannot_be_enqueued_is_refused_with_its_reason(
    jobs: Jobsworth, client: Client, body: Any, code: str
) -> None:
    answer = client.post("/api/jobs", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert jobs.find() == []


def test_arguments_that_are_too_large_are_told_so(client: Client) -> None:
    answer = client.post("/api/jobs", {"task": "send", "arguments": ["x" * 1_100_000]})
    assert (answer.status_code, answer.json()["code"]) == (413, "E402")


def test_a_queues_own_task_takes_its_item(jobs: Jobsworth, client: Client) -> None:
    for item in ({"file": "a.png"}, [1, 2], "a.png"):
        made = client.post("/api/jobs", {"task": "pictures", "arguments": item}).json()["id"]
        assert client.get(f"/api/jobs/{made}").json()["arguments"] == {"item": item}


def test_jobs_are_listed_newest_first_page_by_page(jobs: Jobsworth, client: Client) -> None:
    made = [jobs.find_task("send").enqueue(str(number)).id for number in range(7)][::-1]
    first = client.get("/api/jobs?limit=3&count=true")
    assert (ids(first), first.json()["next"], first.json()["count"]) == (made[:3], 3, 7)
    assert ids(client.get("/api/jobs?limit=3&beyond=3")) == made[3:6]
    last = client.get("/api/jobs?limit=3&beyond=6")
    assert (ids(last), last.json()["next"]) == (made[6:], None)
    assert "arguments" not in first.json()["jobs"][0]


def test_a_visitor_kept_to_some_queues_pages_through_just_those(jobs: Jobsworth) -> None:
    made = []
    for number in range(4):
        made.append(jobs.find_task("send").enqueue(str(number)).id)
        made.append(jobs.find_task("pictures").enqueue({"n": number}).id)
        jobs.find_task("cut").enqueue("x")
    client = Client(a_site(jobs, Visitor(Level.READ, queues=["mail", "pictures"])))
    seen = [each for beyond in range(0, 8, 3) for each in ids(client.get(f"/api/jobs?limit=3&beyond={beyond}"))]
    assert sorted(seen) == sorted(made)
    assert len(set(seen)) == 8
    assert client.get("/api/jobs?count=true&limit=1").json()["count"] == 8


def test_the_filter_is_the_intersection_of_its_parts(jobs: Jobsworth, client: Client) -> None:
    send = jobs.find_task("send")
    one = send.options(owner="user:7", tags=["eu"], label="to Ada").enqueue("ada").id
    two = send.options(owner="user:7", tags=["us"]).enqueue("bob").id
    jobs.handle(two).cancel()
    dead = a_dead_letter(jobs)
    assert ids(client.get("/api/jobs?owner=user:7")) == [two, one]
    assert ids(client.get("/api/jobs?owner=user:7&tag=eu")) == [one]
    assert ids(client.get("/api/jobs?state=cancelled&state=failed")) == [dead, two]
    assert ids(client.get("/api/jobs?q=to+ada")) == [one]
    assert ids(client.get(f"/api/jobs?q={one[:20]}&state=queued")) == [one]
    assert ids(client.get("/api/jobs?reason=exhausted")) == [dead]
    assert ids(client.get("/api/jobs?queue=film")) == []


def test_a_job_is_shown_whole_with_every_digit(jobs: Jobsworth, client: Client) -> None:
    job = jobs.find_task("pictures").enqueue({"big": 9_007_199_254_740_993}).id
    answer = client.get(f"/api/jobs/{job}")
    assert "9007199254740993" in answer.text
    shown = answer.json()
    assert shown["job"]["status"] == "queued"
    assert shown["job"]["priority"] == 0
    assert shown["signature"] == "handle_item(item: Any)" or "item" in shown["signature"]


def test_cancel_retry_and_delete_one_by_one(jobs: Jobsworth, client: Client) -> None:
    job = jobs.find_task("send").enqueue("ada").id
    assert client.post(f"/api/jobs/{job}/retry").status_code == 409
    assert client.post(f"/api/jobs/{job}/cancel", {"reason": "wrong address"}).json() == {"count": 1, "jobs": [job]}
    assert jobs.handle(job).job.failure.message == "wrong address"  # type: ignore[union-attr]
    assert client.post(f"/api/jobs/{job}/cancel").json()["code"] == "E307"
    assert client.post(f"/api/jobs/{job}/retry").status_code == 200
    assert jobs.handle(job).state is State.QUEUED
    assert client.delete(f"/api/jobs/{job}").status_code == 200
    assert client.delete(f"/api/jobs/{job}").status_code == 404
    assert jobs.find() == []


def test_a_job_is_tried_again_with_edited_arguments(jobs: Jobsworth, client: Client) -> None:
    dead = a_dead_letter(jobs)
    refused = client.post(f"/api/jobs/{dead}/retry", {"arguments": {"too": "bob"}})
    assert (refused.status_code, jobs.handle(dead).state) == (400, State.FAILED)
    assert client.post(f"/api/jobs/{dead}/retry", {"arguments": {"to": "bob"}}).status_code == 200
    assert jobs.handle(dead).job.args == b'{"to":"bob"}'


def test_bulk_acts_on_exactly_as_many_as_the_person_saw(jobs: Jobsworth, client: Client) -> None:
    made = [jobs.find_task("send").enqueue("a").id for _ in range(3)]
    other = jobs.find_task("cut").enqueue("b").id
    refused = client.post("/api/jobs/bulk", {"action": "cancel", "where": {"queue": "mail"}, "expect": 2})
    assert (refused.status_code, refused.json()["code"]) == (409, "E606")
    assert {job.state for job in jobs.find()} == {State.QUEUED}
    done = client.post(
        "/api/jobs/bulk", {"action": "cancel", "where": {"queue": "mail"}, "expect": 3, "reason": "spam"}
    )
    assert sorted(done.json()["jobs"]) == sorted(made)
    assert jobs.handle(other).state is State.QUEUED
    again = client.post("/api/jobs/bulk", {"action": "retry", "ids": made[:2], "expect": 2})
    assert again.json()["count"] == 2
    assert client.post("/api/jobs/bulk", {"action": "retry", "where": {}, "expect": 1}).json()["jobs"] == made[2:]
    gone = client.post("/api/jobs/bulk", {"action": "delete", "ids": [*made, "not-there"], "expect": 3})
    assert gone.json()["count"] == 3
    assert ids(client.get("/api/jobs")) == [other]


def test_bulk_retry_of_a_filter_leaves_alone_what_is_merely_done_or_waits(jobs: Jobsworth, client: Client) -> None:
    waits = jobs.find_task("send").options(delay=3600).enqueue("a").id
    dead = a_dead_letter(jobs)
    assert client.post("/api/jobs/bulk", {"action": "retry", "where": {}, "expect": 1}).json()["jobs"] == [dead]
    assert jobs.handle(waits).state is State.SCHEDULED
    named = client.post("/api/jobs/bulk", {"action": "retry", "where": {"state": ["scheduled"]}, "expect": 1})
    assert named.json()["jobs"] == [waits]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel", "expect": 0},
        {"action": "cancel", "ids": ["a"], "where": {}, "expect": 0},
        {"action": "cancel", "ids": [], "expect": 0},
        {"action": "cancel", "where": {}},
        {"action": "explode", "where": {}, "expect": 0},
        {"action": "cancel", "where": {"nonsense": 1}, "expect": 0},
        {"action": "cancel", "ids": ["a"] * 1001, "expect": 0},
    ],
)
def test_bulk_wants_to_know_exactly_what(client: Client, body: Any) -> None:
    assert client.post("/api/jobs/bulk", body).json()["code"] == "E609"


def after_counting(jobs: Jobsworth, happens: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking and changing, this happens."""
    jobs.bridge.open()
    engine, count = jobs.engine, jobs.engine.count

    async def counted(where: Where) -> int:
        number = await count(where)
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(happens).result()
        return number

    monkeypatch.setattr(engine, "count", counted)


@pytest.mark.parametrize("verb", ["cancel", "delete", "retry", "redrive", "discard", "redrive slowly"])
def test_what_comes_between_looking_and_changing_is_not_changed(
    jobs: Jobsworth, client: Client, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def more() -> list[str]:
        if verb in ("cancel", "delete"):
            return [jobs.find_task("send").enqueue("a").id for _ in range(3)]
        return [a_dead_letter(jobs) for _ in range(3)]

    meant, late = more(), []
    versions = {job.id: job.version for job in everything(jobs)}
    after_counting(jobs, lambda: late.extend(more()), monkeypatch)
    body: dict[str, Any] = {"where": {"queue": "mail"}, "expect": 3}
    match verb:
        case "cancel" | "delete" | "retry":
            answer = client.post("/api/jobs/bulk", {"action": verb, **body})
        case "redrive slowly":
            answer = client.post("/api/dead/redrive", {**body, "rate": 1_000})
        case _:
            answer = client.post(f"/api/dead/{verb}", body)
    assert answer.json()["count"] == 3
    now = {job.id: job.version for job in everything(jobs)}
    assert {each for each in meant if now.get(each) != versions[each]} == set(meant)
    assert len(late) == 3
    assert {now.get(each) for each in late} == {versions[meant[0]]}


def test_what_goes_between_looking_and_changing_is_not_made_up_for(
    jobs: Jobsworth, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (jobs.find_task("send").enqueue("a") for _ in range(2))
    after_counting(jobs, first.cancel, monkeypatch)
    answer = client.post("/api/jobs/bulk", {"action": "cancel", "where": {"queue": "mail"}, "expect": 2})
    assert answer.json() == {"count": 1, "jobs": [second.id]}


@pytest.mark.parametrize("queues", [None, {"mail", "film"}])
def test_never_more_are_changed_than_expected_however_many_come_meanwhile(jobs: Jobsworth, queues: Any) -> None:
    client, stop = Client(a_site(jobs, Visitor(Level.ADMIN, queues=queues))), threading.Event()

    def come() -> int:
        number = 0
        while not stop.is_set():
            jobs.find_task(("send", "cut")[number % 2]).enqueue("a")
            number += 1
        return number

    done = 0
    with ThreadPoolExecutor(1) as elsewhere:
        coming = elsewhere.submit(come)
        try:
            for _ in range(40):
                where = {"state": ["queued"]}
                number = client.get("/api/jobs?state=queued&count=true").json()["count"]
                answer = client.post("/api/jobs/bulk", {"action": "cancel", "where": where, "expect": number})
                if answer.status_code == 200:
                    assert answer.json()["count"] <= number
                    done += answer.json()["count"]
                else:
                    assert answer.json()["code"] == "E606"
        finally:
            stop.set()
        came = coming.result()
    states = [job.state for job in everything(jobs)]
    assert (len(states), states.count(State.CANCELLED)) == (came, done)


def test_bulk_never_reaches_beyond_a_visitors_queues(jobs: Jobsworth) -> None:
    mail, film = jobs.find_task("send").enqueue("a").id, jobs.find_task("cut").enqueue("b").id
    client = Client(a_site(jobs, Visitor(Level.ADMIN, queues={"mail"})))
    both = {"action": "delete", "ids": [mail, film], "expect": 1}
    assert client.post("/api/jobs/bulk", both).json()["count"] == 1
    assert (
        client.post("/api/jobs/bulk", {"action": "delete", "where": {"queue": "film"}, "expect": 0}).json()["count"]
        == 0
    )
    assert [job.id for job in jobs.find()] == [film]


def test_a_queue_is_paused_and_resumed_and_a_mistyped_one_is_not_made(jobs: Jobsworth, client: Client) -> None:
    assert client.post("/api/queues/mail/pause").json()["paused"] is True
    assert paused(jobs, "mail")
    assert client.post("/api/queues/mail/resume").json()["paused"] is False
    assert client.post("/api/queues/mial/pause").json()["code"] == "E107"
    assert "mial" not in client.get("/api/queues").text


def test_a_queue_that_only_the_store_knows_can_be_paused(jobs: Jobsworth) -> None:
    jobs.find_task("send").enqueue("a")
    stranger = Jobsworth(engine=jobs.engine)
    assert Client(a_site(stranger)).post("/api/queues/mail/pause").status_code == 200


def test_dead_letters_are_grouped_by_what_went_wrong(jobs: Jobsworth, client: Client) -> None:
    same = [a_dead_letter(jobs, message=f"no host {number}") for number in range(3)]
    other = a_dead_letter(jobs, kind="KeyError")
    found = client.get("/api/dead").json()
    assert (found["looked_at"], found["count"]) == (4, 4)
    assert [(each["type"], each["count"]) for each in found["groups"]] == [("OSError", 3), ("KeyError", 1)]
    first = found["groups"][0]
    assert sorted(first["ids"]) == sorted(same)
    assert (first["message"], first["task"], first["queue"], first["reason"]) == (
        "no host 2",
        "send",
        "mail",
        "exhausted",
    )
    assert first["place"].endswith("letters.py:12 in post")
    assert client.post("/api/dead/redrive", {"ids": first["ids"], "expect": 3}).json()["count"] == 3
    assert client.post("/api/dead/discard", {"where": {"task": "send"}, "expect": 1}).json()["count"] == 1
    assert client.get("/api/dead").json()["groups"] == []
    assert sorted(job.id for job in jobs.find()) == sorted(same)
    assert other not in client.get("/api/jobs").text


def test_dead_letters_can_be_redriven_slowly(jobs: Jobsworth, client: Client) -> None:
    dead = [a_dead_letter(jobs) for _ in range(3)]
    answer = client.post("/api/dead/redrive", {"where": {}, "expect": 3, "rate": 0.01})
    assert answer.json()["jobs"] == dead
    assert [jobs.handle(each).state for each in dead] == [State.QUEUED, State.SCHEDULED, State.SCHEDULED]


def test_redriving_touches_nothing_but_dead_letters(jobs: Jobsworth, client: Client) -> None:
    job = jobs.find_task("send").enqueue("a")
    job.cancel()
    assert client.post("/api/dead/redrive", {"ids": [job.id], "expect": 1}).status_code == 409
    assert client.post("/api/dead/discard", {"ids": [job.id], "expect": 0}).json()["count"] == 0
    assert job.state is State.CANCELLED


def test_the_catalogue_says_what_each_task_takes(client: Client) -> None:
    tasks = {each["task"]: each for each in client.get("/api/tasks").json()}
    assert set(tasks) == {"send", "cut", "pictures"}
    send = tasks["send"]
    assert send["signature"] == "send(to: str, copies: int = 1)"
    assert send["about"] == "Send a letter."
    assert send["arguments"]["properties"]["to"] == {"type": "string"}
    assert send["arguments"]["properties"]["copies"]["type"] == "integer"
    assert send["arguments"]["required"] == ["to"]


def test_the_catalogue_copes_with_types_that_are_not_msgspecs() -> None:
    import datetime as dt
    import pathlib

    import msgspec
    import pydantic

    jobs = Jobsworth("memory://")

    class Address(pydantic.BaseModel):
        street: str

    class Size(msgspec.Struct):
        width: int

    def odd(a: Address, s: Size, p: pathlib.Path, d: dt.timedelta, *rest: int, u: Any = None, **more: str) -> None:
        pass

    odd.__annotations__ = {
        "a": Address, "s": Size, "p": pathlib.Path, "d": dt.timedelta, "rest": int, "u": Any, "more": str
    }  # fmt: skip
    jobs.task(odd)
    (task,) = Client(a_site(jobs)).get("/api/tasks").json()
    schema = task["arguments"]
    assert schema["required"] == ["a", "s", "p", "d"]
    assert set(schema["properties"]) == {"a", "s", "p", "d", "*rest", "u", "**more"}
    assert "Size" in schema["$defs"]


def test_the_overview_says_what_is_wrong(jobs: Jobsworth, client: Client) -> None:
    assert client.get("/api/overview").json()["well"] is True
    jobs.find_task("send").enqueue("a")
    jobs.find_task("cut").enqueue("b")
    pause(jobs, "film")
    shown = client.get("/api/overview").json()
    assert shown["well"] is False
    kinds = {(alert["kind"], alert["queue"]) for alert in shown["alerts"]}
    assert {("unserved", "mail"), ("paused", "film")} <= kinds
    assert (shown["waiting"], shown["workers"], shown["counts"]["queued"]) == (2, 0, 2)


def test_workers_are_shown_with_what_they_run(jobs: Jobsworth, client: Client) -> None:
    with jobs.worker({"mail": 2, "film": 1}, name="bench-1"):
        (shown,) = client.get("/api/workers").json()
        assert (shown["queues"], shown["silent"]) == ({"mail": 2, "film": 1}, False)
        assert shown["id"].startswith("bench-1.")
        (kept,) = Client(a_site(jobs, Visitor(Level.READ, queues={"mail"}))).get("/api/workers").json()
        assert (kept["queues"], kept["tasks"]) == ({"mail": 2}, [])
        assert Client(a_site(jobs, Visitor(Level.READ, queues={"pictures"}))).get("/api/workers").json() == []
