"""When a run may be done, as browsers and operators are told: honestly, and without a question for each event."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from jobsworth.clock import ManualClock
from jobsworth.engines.memory import MemoryEngine
from jobsworth.job import Claim, Progress
from jobsworth.statistics import Statistics
from jobsworth.web import Level, Visitor, forecast, hub
from jobsworth.web.forecast import Forecast
from jobsworth.web.mailbox import Event, Mailbox
from waiting import until
from web_client import ADMIN, HOSTS, Client, House, a_site


class Counting(MemoryEngine):
    """Counts how often it is asked for statistics."""

    asked = 0

    async def statistics(self, *args: Any, **more: Any) -> Statistics:
        self.asked += 1
        return await super().statistics(*args, **more)


@pytest.fixture
def house() -> Iterator[House]:
    clock = ManualClock(1_800_000_000.0)
    made = House(Counting(clock), clock)
    yield made
    made.jobs.close()


def asked(house: House) -> int:
    engine: Any = house.jobs.bridge.engine
    return int(engine.asked)


def experienced(house: House, took: float = 30.0, runs: int = 6) -> None:
    for _ in range(runs):
        house.run(took=took)


def status(house: House, claim: Claim, query: str = "", visitor: Visitor = ADMIN, host: str = "asgi") -> Any:
    answer = Client(a_site(house.jobs, visitor), host).get(f"/jobs/{claim.lease.job_id}/status{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["job"]["eta"]


@pytest.mark.parametrize("host", HOSTS)
def test_the_status_of_a_run_says_when_it_may_be_done_by_earlier_runs(house: House, host: str) -> None:
    experienced(house)
    claim = house.claim()
    house.clock.advance(5)
    eta = status(house, claim, host=host)
    assert (eta["basis"], eta["runs"], sorted(eta)) == ("history", 6, ["basis", "high", "low", "runs", "seconds"])
    assert 15 <= eta["low"] <= eta["seconds"] <= eta["high"] <= 45


def test_its_own_progress_says_more(house: House) -> None:
    experienced(house)
    claim = house.claim()
    house.clock.advance(10)
    house.pulse(claim, Progress(1, 4))
    eta = status(house, claim)
    assert (eta["basis"], eta["low"], eta["seconds"], eta["high"]) == ("progress", 7.5, 30.0, 120.0)


def test_nobody_can_tell_of_a_new_task_or_of_a_job_that_does_not_run(house: House) -> None:
    claim = house.claim()
    house.clock.advance(10)
    assert status(house, claim) is None
    house.end(claim)
    assert status(house, claim) is None
    experienced(house)
    waits = house.jobs.find_task("send").enqueue("ada")
    shown = Client(a_site(house.jobs)).get(f"/jobs/{waits.id}/status").json()
    assert shown["job"]["eta"] is None


def test_a_job_that_is_asked_to_stop_has_none(house: House) -> None:
    experienced(house)
    claim = house.claim()
    answer = Client(a_site(house.jobs)).post(f"/jobs/{claim.lease.job_id}/cancel", {}).json()
    assert (answer["job"]["status"], answer["job"]["eta"]) == ("cancelling", None)


def test_operators_are_told_too(house: House) -> None:
    experienced(house)
    claim = house.claim()
    reader = Client(a_site(house.jobs, Visitor(Level.READ)))
    whole = reader.get(f"/api/jobs/{claim.lease.job_id}").json()
    assert (whole["eta"]["basis"], whole["eta"]["runs"]) == ("history", 6)
    house.end(claim)
    assert reader.get(f"/api/jobs/{claim.lease.job_id}").json()["eta"] is None


def test_who_waits_for_news_of_a_job_that_reports_nothing_is_left_with_no_forecast(house: House) -> None:
    experienced(house)
    claim = house.claim()
    assert status(house, claim, "?since=0&wait=0") is None
    house.clock.advance(10)
    house.pulse(claim, Progress(1, 4))
    assert status(house, claim, "?since=0&wait=0")["seconds"] == 30.0


# pushed


class Onlooker:
    """Reads what a hub tells of some jobs."""

    def __init__(self, watched: hub.Hub, *ids: str) -> None:
        self.box = Mailbox(ids)
        self.events: list[Event] = []
        watched.open(self.box)

    def sees(self, enough: Any) -> dict[str, Any]:
        """The first event that is enough."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            self.events += self.box.take()
            found[:] = [told for event in self.events if enough(told := msgspec.json.decode(event.data))]
            return bool(found)

        until(look)
        return found[0]


def test_an_event_of_a_run_that_reports_says_when_it_may_be_done(house: House) -> None:
    site = a_site(house.jobs)
    claim = house.claim()
    onlooker = Onlooker(site.hub, claim.lease.job_id)
    assert "eta" not in onlooker.sees(lambda told: told["status"] == "running")
    house.clock.advance(10)
    house.pulse(claim, Progress(1, 4))
    told = onlooker.sees(lambda told: told["progress"]["current"] == 1)
    assert told["eta"] == {"seconds": 30.0, "low": 7.5, "high": 120.0, "basis": "progress", "runs": 0}
    house.end(claim)
    assert "eta" not in onlooker.sees(lambda told: told["status"] == "completed")
    site.close()


def test_before_it_is_far_enough_earlier_runs_say_it(house: House) -> None:
    experienced(house)
    site = a_site(house.jobs)
    claim = house.claim()
    house.clock.advance(5)
    house.pulse(claim, Progress(1, 100))
    told = Onlooker(site.hub, claim.lease.job_id).sees(lambda told: told["status"] == "running")
    assert (told["eta"]["basis"], told["eta"]["runs"]) == ("history", 6)
    site.close()


def test_the_engine_is_not_asked_for_each_event(house: House) -> None:
    experienced(house)
    claims = [house.claim() for _ in range(40)]
    site = a_site(house.jobs)
    onlooker = Onlooker(site.hub, *(claim.lease.job_id for claim in claims))
    for step in (10, 20, 30):
        for claim in claims:
            house.pulse(claim, Progress(step, 100))
        for claim in claims:
            onlooker.sees(
                lambda told, claim=claim, step=step: (
                    told["job_id"] == claim.lease.job_id and told["progress"]["current"] == step
                )
            )
    assert asked(house) == 1
    site.close()


def test_of_many_tasks_few_are_asked_for_at_each_look(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ASKED", 0)
    experienced(house)
    claim = house.claim()
    house.clock.advance(5)
    house.pulse(claim, Progress(1, 100))
    site = a_site(house.jobs)
    told = Onlooker(site.hub, claim.lease.job_id).sees(lambda told: told["status"] == "running")
    assert (asked(house), "eta" in told) == (0, False)
    house.pulse(claim, Progress(50, 100))  # its own progress needs no question
    told = Onlooker(site.hub, claim.lease.job_id).sees(lambda told: told["progress"]["current"] == 50)
    assert (asked(house), told["eta"]["basis"]) == (0, "progress")
    site.close()


def test_who_comes_later_is_not_told_an_old_forecast(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ETA_AGE", 0.0)
    monkeypatch.setattr(forecast, "GOOD_FOR", 0.0)
    site = a_site(house.jobs)
    claim = house.claim()
    house.clock.advance(10)
    house.pulse(claim, Progress(1, 2))
    first = Onlooker(site.hub, claim.lease.job_id)
    assert first.sees(lambda told: "eta" in told)["eta"]["seconds"] == 10.0
    house.clock.advance(30)
    assert Onlooker(site.hub, claim.lease.job_id).sees(lambda told: "eta" in told)["eta"]["seconds"] == 40.0
    assert len(first.events) == 1
    site.close()


# what is known


def test_a_forecast_grows_shorter_without_a_question(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    experienced(house)
    known, job = Forecast(), house.jobs.handle(house.claim().lease.job_id).job
    before = house.call(lambda engine: known.of(engine, job))
    later = time.monotonic() + 10
    monkeypatch.setattr(time, "monotonic", lambda: later)
    after = known.told(job)
    assert after is not None
    assert after.seconds == pytest.approx(before.seconds - 10, abs=3)
    assert not known.lacks(job)


def test_what_is_known_is_asked_for_again_when_it_is_old(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    experienced(house)
    known, job = Forecast(), house.jobs.handle(house.claim().lease.job_id).job
    house.call(lambda engine: known.of(engine, job))
    later = time.monotonic() + forecast.GOOD_FOR
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert known.lacks(job)


def test_no_more_is_kept_than_may_be(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "MOST", 3)
    known, job = Forecast(), house.jobs.handle(house.claim().lease.job_id).job
    for number in range(10):
        other = msgspec.structs.replace(job, task=f"t{number}")
        house.call(lambda engine, other=other: known.learn(engine, other))
    assert [task for _, task in known._known] == ["t7", "t8", "t9"]


def test_a_task_that_ran_often_today_is_not_looked_for_in_the_whole_week(house: House) -> None:
    experienced(house)
    known, job = Forecast(), house.jobs.handle(house.claim().lease.job_id).job
    house.call(lambda engine: known.learn(engine, job))
    assert asked(house) == 1
    house.clock.advance(2 * 86_400)
    house.call(lambda engine: known.learn(engine, job))
    assert asked(house) == 3
    assert sum(known._known["mail", "send"].history) == 6
