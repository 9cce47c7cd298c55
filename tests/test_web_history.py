"""What ended when, over HTTP: counted by the engines, added up over what the visitor may see, there after a restart."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from jobsworth.clock import ManualClock
from jobsworth.engine import QueueStatus
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.job import Failure, State
from jobsworth.outcome import Failed, Lost, Released
from jobsworth.statistics import DAY, Statistics
from jobsworth.web import Level, Visitor, past
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


class Counting(MemoryEngine):
    """Counts how often it is asked for statistics."""

    asked = 0

    async def statistics(self, *args: Any, **more: Any) -> Statistics:
        self.asked += 1
        return await super().statistics(*args, **more)


def test_a_long_time_is_not_read_anew_for_each_page_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Counting(clock := ManualClock(1_800_000_000.0))
    house = House(engine, clock)
    house.run("send")
    house.run("cut")
    site = a_site(house.jobs)
    everything, mail = Client(site), Client(a_site(house.jobs, Visitor(Level.READ, queues={"mail"})))
    mail.site.recent = site.recent  # as if the visitors of one site

    def ended(client: Client, query: str) -> int:
        return sum(span["ended"] for span in client.get(f"/api/history?minutes=43200{query}").json()["spans"])

    assert [ended(everything, ""), ended(everything, ""), ended(mail, ""), ended(everything, "")] == [2, 2, 1, 2]
    assert engine.asked == 1
    assert (ended(everything, "&queue=mail"), ended(everything, "&task=cut"), engine.asked) == (1, 1, 3)
    house.run("send")
    later = time.monotonic() + 21_600 / 60
    monkeypatch.setattr(past.time, "monotonic", lambda: later)
    found = house.call(lambda engine: site.recent.of(engine, past.Past(minutes=43_200), 21_600))
    assert sum(tally.completed for tally in found.tallies) == 3


def test_the_last_hour_is_always_as_it_is_now() -> None:
    house = House()
    client = Client(a_site(house.jobs))
    for number in range(1, 4):
        house.run()
        [span] = client.get("/api/history").json()["spans"]
        assert span["ended"] == number


def test_few_answers_are_kept() -> None:
    house = House()
    kept = past.Recent()
    for minutes in range(61, 161):
        house.call(lambda engine, minutes=minutes: kept.of(engine, past.Past(minutes=minutes), 300))
    assert len(kept._known) == past.MOST
