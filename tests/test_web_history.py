"""What ended when, over HTTP: counted by the engines, added up over what the visitor may see, there after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobsworth.clock import ManualClock
from jobsworth.engine import QueueStatus
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.job import Failure, State
from jobsworth.outcome import Failed, Lost, Released
from jobsworth.statistics import DAY
from jobsworth.web import Level, Visitor
from web_client import ADMIN, HOSTS, Client, House, a_site

BROKEN = Failed(Failure("OSError", "no such host", "error"))
GIVEN_UP = Failed(Failure("OSError", "no such host", "error"), final=True)


def asked(house: House, query: str = "", visitor: Visitor = ADMIN, host: str = "asgi") -> Any:
    answer = Client(a_site(house.jobs, visitor), host).get(f"/api/history{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_nothing_has_ended_yet() -> None:
    house = House()
    assert asked(house) == {"now": house.clock.now, "step": 60, "spans": [], "depths": []}


@pytest.mark.parametrize("host", HOSTS)
def test_each_way_to_end_is_counted_in_its_minute(host: str) -> None:
    house = House()
    began = house.clock.now
    for outcome in (BROKEN, GIVEN_UP, Lost("killed"), Released()):
        house.run(outcome=outcome)
    house.clock.advance(60)
    for _ in range(3):
        house.run(took=1.5)
    first, second = asked(house, host=host)["spans"]
    assert {name: first[name] for name in ("ended", "completed", "retried", "failed", "crashed", "put_back")} == {
        "ended": 4, "completed": 0, "retried": 1, "failed": 1, "crashed": 1, "put_back": 1
    }  # fmt: skip
    assert (first["at"], first["run"]) == (began, None)
    assert (second["at"], second["completed"], second["busy"]) == (began + 60, 3, 4.5)
    assert 1 <= second["run"]["p50"] <= second["run"]["p95"] <= 2
    assert second["wait"]["p95"] < 0.01


def test_a_visitor_is_told_of_their_queues_only() -> None:
    house = House()
    house.run("send")
    house.run("cut")
    house.run("cut")
    for queue, ended in (("mail", 1), ("film", 2)):
        kept = Visitor(Level.READ, queues={queue})
        [span] = asked(house, visitor=kept)["spans"]
        assert span["ended"] == ended
    [both] = asked(house)["spans"]
    assert both["ended"] == 3
    kept = Visitor(Level.READ, queues={"mail"})
    assert asked(house, "?queue=film", kept)["spans"] == asked(house, "?task=cut", kept)["spans"] == []
    assert asked(house, "", Visitor(Level.READ, queues=()))["spans"] == []


def test_a_queue_or_a_task_can_be_asked_for_alone() -> None:
    house = House()
    house.run("send")
    house.run("cut")
    house.run("cut")
    found = {query: asked(house, query)["spans"] for query in ("?queue=mail", "?task=cut", "?queue=mail&task=cut")}
    assert [[span["ended"] for span in spans] for spans in found.values()] == [[1], [2], []]


def test_how_full_queues_stood_is_told_of_those_that_may_be_seen() -> None:
    house = House()
    seen = [
        QueueStatus(queue="mail", counts={State.QUEUED: 5}, in_rate=3, oldest=7.0),
        QueueStatus(queue="film", counts={State.QUEUED: 50}, in_rate=30, oldest=70.0),
    ]
    house.call(lambda engine: engine.upkeep(seen))
    at = house.clock.now
    assert asked(house)["depths"] == [{"at": at, "in_rate": 33.0, "waiting": 55.0, "oldest": 70.0}]
    assert asked(house, visitor=Visitor(Level.READ, queues={"mail"}))["depths"] == [
        {"at": at, "in_rate": 3.0, "waiting": 5.0, "oldest": 7.0}
    ]
    assert asked(house, "?task=send")["depths"] == []


@pytest.mark.parametrize(
    ("minutes", "step"),
    [(1, 60), (60, 60), (61, 300), (360, 300), (1440, 900), (7 * DAY, 7_200), (30 * DAY, 21_600)],
)
def test_the_further_back_the_longer_a_span(minutes: int, step: int) -> None:
    house = House()
    for _ in range(3):
        house.run()
        house.clock.advance(step)
    found = asked(house, f"?minutes={minutes}")
    assert found["step"] == step
    assert sum(span["ended"] for span in found["spans"]) == (1 if minutes == 1 else 3)
    assert all(span["at"] % step == 0 for span in found["spans"])


def test_what_is_too_far_back_is_left_out() -> None:
    house = House()
    house.run()
    house.clock.advance(2 * 3600)
    assert asked(house)["spans"] == []
    assert len(asked(house, "?minutes=360")["spans"]) == 1


@pytest.mark.parametrize("query", ["?minutes=0", "?minutes=43201", "?minutes=x", "?queue=a%20b", "?step=60"])
def test_what_makes_no_sense_is_refused(query: str) -> None:
    answer = Client(a_site(House().jobs)).get(f"/api/history{query}")
    assert answer.status_code == 400


def test_charts_survive_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(1_800_000_000.0)
    house = House(SqliteEngine(tmp_path / "jobs.db", clock=clock), clock)
    for _ in range(2):
        house.run(took=0.3)
    before = asked(house)
    house.jobs.close()
    clock.advance(120)
    again = House(SqliteEngine(tmp_path / "jobs.db", clock=clock), clock)
    again.run()
    again.call(lambda engine: engine.upkeep())
    after = asked(again)
    assert after["spans"][0] == before["spans"][0]
    assert [span["completed"] for span in after["spans"]] == [2, 1]
    again.jobs.close()


def test_the_overview_offers_them() -> None:
    shown = Client(a_site(House().jobs)).get("/api/overview").json()
    assert "/api/history" in shown["visitor"]["offers"]
