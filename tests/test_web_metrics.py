"""Counters and histograms for Prometheus: exact, and never lower than before, whatever becomes of the minutes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from jobsworth.clock import ManualClock
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.job import Failure
from jobsworth.outcome import Failed, Lost, Released
from jobsworth.statistics import BOUNDS, ENDS, Statistics, Tally
from jobsworth.web import Level, Visitor, meter
from jobsworth.web.meter import LATE, LONGEST, Count, Meter
from web_client import ADMIN, Client, House, a_site

BROKEN = Failed(Failure("OSError", "no such host", "error"))
GIVEN_UP = Failed(Failure("OSError", "no such host", "error"), final=True)
DAY = 86_400.0


def scraped(client: Client) -> dict[tuple[str, ...], float]:
    """The samples, by their name and their labels' values in the order of the labels' names."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


# as they are shown


def test_what_ended_before_the_first_scrape_is_not_counted_and_what_ends_after_it_is() -> None:
    house = House()
    house.run()
    client = Client(a_site(house.jobs))
    ended = ("jobs_finished_total", "mail", "completed", "send")
    assert scraped(client)[ended] == 0
    house.run()
    house.clock.advance(60)
    house.run()
    assert scraped(client)[ended] == 2
    assert scraped(client)[ended] == 2


def test_each_way_to_end_is_counted_under_its_name() -> None:
    house = House()
    client = Client(a_site(house.jobs))
    scraped(client)
    for outcome in (BROKEN, GIVEN_UP, GIVEN_UP, Lost("killed"), Released()):
        house.run(outcome=outcome, took=0.5)
    house.run(took=1.0)
    found = scraped(client)
    assert {name[2]: value for name, value in found.items() if name[0] == "jobs_finished_total" and "send" in name} == {
        "completed": 1, "failed": 2, "cancelled": 0
    }  # fmt: skip
    assert {name[1]: value for name, value in found.items() if name[0] == "jobs_returned_total" and "send" in name} == {
        "retried": 1, "crashed": 1, "put_back": 1
    }  # fmt: skip
    assert found["jobs_busy_seconds_total", "mail", "send"] == 3.5


def test_run_and_wait_times_are_histograms() -> None:
    house = House()
    client = Client(a_site(house.jobs))
    assert not any(name[0].startswith("jobs_duration_seconds") for name in scraped(client))
    for took in (0.3, 0.3, 3.0):
        house.run(took=took)
    house.run(took=7.0, outcome=BROKEN)
    found = scraped(client)
    buckets = {
        float(le): value for name, le, queue, task in (n for n in found if n[0] == "jobs_duration_seconds_bucket")
        if (value := found[name, le, queue, task]) is not None
    }  # fmt: skip
    assert list(buckets) == [*BOUNDS, float("inf")]
    assert (buckets[0.2], buckets[0.5], buckets[2.0], buckets[5.0], buckets[float("inf")]) == (0, 2, 2, 3, 3)
    assert found["jobs_duration_seconds_count", "mail", "send"] == 3
    assert found["jobs_wait_seconds_count", "mail", "send"] == 4
    assert found["jobs_wait_seconds_bucket", "0.001", "mail", "send"] == 4
    assert not any(name[0].endswith("seconds_sum") for name in found)


def test_tasks_that_nothing_has_ended_of_begin_at_nothing() -> None:
    found = scraped(Client(a_site()))
    assert found["jobs_finished_total", "film", "failed", "cut"] == 0
    assert found["jobs_returned_total", "crashed", "film", "cut"] == 0


def test_a_visitor_is_shown_numbers_of_their_queues_only() -> None:
    house = House()
    site = a_site(house.jobs)
    scraped(Client(site))
    house.run("send")
    house.run("cut")
    kept = scraped(Client(a_site(house.jobs, Visitor(Level.READ, queues={"mail"}))))
    assert not any("film" in name or "cut" in name for name in kept)
    assert ("jobs_finished_total", "mail", "completed", "send") in kept


def test_a_process_that_begins_anew_begins_at_nothing() -> None:
    house = House()
    for _ in range(2):
        client = Client(a_site(house.jobs))
        scraped(client)
        house.run()
        assert scraped(client)["jobs_finished_total", "mail", "completed", "send"] == 1


# what they are made of


@pytest.fixture(params=["memory", "sqlite"])
def house(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house whose clock everybody reads."""
    clock = ManualClock(1_800_000_000.0)
    engine = MemoryEngine(clock) if request.param == "memory" else SqliteEngine(tmp_path / "jobs.db", clock=clock)
    made = House(engine, clock)
    made.run()  # opens the engine while time still goes by
    monkeypatch.setattr(time, "monotonic", clock)
    yield made
    monkeypatch.undo()
    made.jobs.close()


def statistics(house: House, reach: float) -> Statistics:
    found = house.call(lambda engine: engine.statistics(reach, meter.MINUTE))
    assert isinstance(found, Statistics)
    return found


def look(house: House, counted: Meter) -> Count:
    counted.add(statistics(house, counted.reach()))
    return next(each for each in counted.counts(lambda _: True) if each.task == "send")


def not_lower(before: Count, after: Count) -> bool:
    pairs = ((before.ends, after.ends), (before.run, after.run), (before.wait, after.wait))
    return after.busy >= before.busy and all(a >= b for olds, news in pairs for b, a in zip(olds, news, strict=True))


def test_nothing_goes_down_when_minutes_are_added_up_and_dropped(house: House) -> None:
    counted = Meter()
    before = look(house, counted)
    for step in range(1, 71):  # five weeks: minutes are kept for two days, hours for thirty
        house.clock.advance(DAY / 2)
        house.run(took=0.5)
        house.call(lambda engine: engine.upkeep())
        after = look(house, counted)
        assert not_lower(before, after)
        assert (after.ends[0], after.busy) == (step, step / 2)
        before = after
    kept = house.call(lambda engine: engine.statistics(1e9, 60.0))
    assert sum(tally.completed for tally in kept.tallies) < 70  # the first weeks are gone


@pytest.mark.parametrize("seed", range(5))
def test_however_looks_and_endings_alternate_each_ending_counts_once(house: House, seed: int) -> None:
    chance, counted, ended = random.Random(seed), Meter(), 0
    look(house, counted)
    for _ in range(60):
        match chance.choice(("run", "run", "wait", "wait longer", "look", "upkeep")):
            case "run":
                house.run()
                ended += 1
            case "wait":
                house.clock.advance(chance.uniform(0, 90))
            case "wait longer":
                house.clock.advance(chance.uniform(0, 3 * 3_600))
            case "look":
                assert look(house, counted).ends[0] == ended
            case "upkeep":
                house.call(lambda engine: engine.upkeep())
    assert look(house, counted).ends[0] == ended


def test_who_scrapes_less_than_once_a_day_misses_some_but_counts_none_twice(house: House) -> None:
    counted = Meter()
    look(house, counted)
    house.run()
    house.clock.advance(2 * LONGEST)
    house.run()
    assert look(house, counted).ends[0] == 1
    assert look(house, counted).ends[0] == 1


# what may go wrong


def tally(at: float, completed: int, task: str = "send") -> Tally:
    return Tally(queue="mail", task=task, at=at, seconds=60.0, completed=completed)


def counts_of(counted: Meter) -> dict[str, int]:
    return {each.task: each.ends[0] for each in counted.counts(lambda _: True)}


def test_a_look_that_is_overtaken_by_a_newer_one_counts_nothing_twice() -> None:
    counted = Meter()
    now = 6_000.0
    counted.add(Statistics(now=now, tallies=[]))
    counted.add(Statistics(now=now, tallies=[tally(now, 5)]))
    counted.add(Statistics(now=now, tallies=[tally(now, 3)]))  # was asked for before
    assert counts_of(counted) == {"send": 5}
    counted.add(Statistics(now=now, tallies=[tally(now, 6)]))
    assert counts_of(counted) == {"send": 6}


def test_a_store_that_was_emptied_takes_nothing_back() -> None:
    counted = Meter()
    now = 6_000.0
    counted.add(Statistics(now=now, tallies=[tally(now, 0)]))
    counted.add(Statistics(now=now, tallies=[tally(now, 5)]))
    counted.add(Statistics(now=now + 60, tallies=[]))
    assert counts_of(counted) == {"send": 5}
    counted.add(Statistics(now=now + 60, tallies=[tally(now + 60, 2)]))
    assert counts_of(counted) == {"send": 7}


def test_a_clock_that_is_set_back_takes_nothing_back_and_counting_goes_on() -> None:
    counted = Meter()
    counted.add(Statistics(now=60_000.0, tallies=[]))
    counted.add(Statistics(now=60_000.0, tallies=[tally(60_000.0, 5)]))
    counted.add(Statistics(now=6_000.0, tallies=[tally(6_000.0, 1)]))
    assert counts_of(counted) == {"send": 5}
    counted.add(Statistics(now=6_060.0, tallies=[tally(6_000.0, 3), tally(6_060.0, 1)]))
    assert counts_of(counted) == {"send": 8}


def test_minutes_are_remembered_only_while_they_are_looked_at_again() -> None:
    counted = Meter()
    for minute in range(1_000):
        counted.add(Statistics(now=minute * 60.0, tallies=[tally(minute * 60.0, 1)]))
    assert len(counted._seen) <= LATE / meter.MINUTE + 1
    assert counts_of(counted) == {"send": 999}


def test_a_look_that_goes_further_back_than_the_one_before_counts_nothing_again() -> None:
    counted = Meter()
    counted.add(Statistics(now=6_000.0))
    for now in (6_000.0, 6_060.0 + LATE, 6_061.0 + LATE):
        counted.add(Statistics(now=now, tallies=[tally(6_000.0, 1)]))
        assert counts_of(counted) == {"send": 1}


def test_an_ending_that_was_late_to_be_stored_counts() -> None:
    counted = Meter()
    counted.add(Statistics(now=6_000.0, tallies=[tally(6_000.0, 1)]))
    counted.add(Statistics(now=6_000.0 + LATE, tallies=[tally(6_000.0, 2)]))
    assert counts_of(counted) == {"send": 1}


def test_no_label_grows_without_bound() -> None:
    counted = Meter()
    counted.know([("mail", "send")])
    counted.add(Statistics(now=6_000.0))
    counted.add(Statistics(now=6_000.0, tallies=[tally(6_000.0, 1, f"t{number}") for number in range(500)]))
    found = counts_of(counted)
    assert (len(found), sum(found.values()), found["send"]) == (meter.MOST + 1, 500, 0)
    assert found[meter.OTHERS] == 500 - (meter.MOST - 1)


def test_hours_are_not_counted_beside_their_minutes() -> None:
    counted = Meter()
    counted.add(Statistics(now=7_200.0))
    hour = replace(tally(7_200.0, 9), seconds=3_600.0)
    counted.add(Statistics(now=7_200.0, tallies=[tally(7_200.0, 1), hour]))
    assert counts_of(counted) == {"send": 1}
    assert ENDS[0] == "completed"


def test_only_admitted_visitors_are_asked_for_numbers() -> None:
    assert Client(a_site(authorize=lambda _: None)).get("/metrics").status_code == 401
    assert Client(a_site(authorize=ADMIN)).get("/metrics").status_code == 200
