"""What a job's handler logs and how long it may take, beside its progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from corpus import PAYLOADS
from floor import Floor, Operator, is_live
from past import Was, remember
from playwright.sync_api import expect
from stage import Stage

from undertaker import Undertaker
from waiting import until


@pytest.fixture
def slow_floor(stage: Stage, tmp_path: Path) -> Iterator[Floor]:
    """One of whose tasks nobody knows anything yet but what a test remembers."""
    undertaker = Undertaker()
    floor = Floor(undertaker, tmp_path)
    yield floor
    floor.clear()
    floor.close()
    undertaker.dismiss()


@pytest.mark.alone  # how soon a line comes is a promise
def test_lines_come_while_it_runs_and_stay_when_it_has_ended(floor: Floor, operator: Operator) -> None:
    job = floor.steps("log INFO Reading rows.csv", "progress 10 Reading")
    page = operator.visit(f"#/jobs/{job.id}")
    box = page.get_by_role("log", name="Log")
    expect(box).to_contain_text("Reading rows.csv")
    floor.tell(job, "log WARNING row 12 is empty")
    expect(box).to_contain_text("row 12 is empty", timeout=4_000)
    expect(box.locator("[data-level=WARNING]")).to_contain_text("row 12 is empty")
    floor.tell(job, "log ERROR the end", "end")
    expect(page.locator("h1 + .badge")).to_contain_text("completed")
    expect(box).to_contain_text("the end")
    expect(box.locator("[data-level]")).to_have_count(3)


def test_a_level_can_be_chosen_and_is_in_the_address(floor: Floor, operator: Operator) -> None:
    job = floor.steps("log INFO small talk", "log WARNING a warning", "log ERROR an error", "end")
    page = operator.visit(f"#/jobs/{job.id}")
    lines = page.get_by_role("log", name="Log").locator("[data-level]")
    expect(lines).to_have_count(3)
    page.get_by_role("combobox", name="Level").select_option(label="warning and up")
    expect(lines).to_have_count(2)
    assert "level=WARNING" in page.url
    page.reload()
    is_live(page)
    expect(lines).to_have_count(2)
    page.get_by_role("combobox", name="Level").select_option(label="critical and up")
    expect(page.get_by_text("Nothing of that level")).to_be_visible()


def test_each_attempt_has_its_own_lines(floor: Floor, operator: Operator) -> None:
    job = floor.steps("log INFO once", "fail on purpose")
    page = operator.visit(f"#/jobs/{job.id}")
    expect(page.locator("h1 + .badge")).to_contain_text("failed")
    page.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Retry 1 job").click()
    expect(page.get_by_role("log", name="Log").locator("[data-level]", has_text="once")).to_have_count(2)
    attempt = page.get_by_role("combobox", name="Attempt")
    expect(attempt.locator("option")).to_have_text(["all", "1", "2"])
    attempt.select_option("2")
    expect(page.get_by_role("log", name="Log").locator("[data-level]")).to_have_count(1)


def test_lines_that_would_like_to_be_scripts_are_text(floor: Floor, operator: Operator) -> None:
    payloads = [text for text in PAYLOADS if text.isprintable()][:60]
    job = floor.steps(*(f"log ERROR {text}" for text in payloads), "end")
    page = operator.visit(f"#/jobs/{job.id}")
    lines = page.get_by_role("log", name="Log").locator("[data-level]")
    expect(lines).to_have_count(len(payloads))
    expect(lines.last).to_contain_text(payloads[-1].strip())


def test_what_was_too_much_is_said(floor: Floor, operator: Operator) -> None:
    job = floor.steps(*(f"log INFO line {number}" for number in range(230)), "end")
    page = operator.visit(f"#/jobs/{job.id}")
    box = page.get_by_role("log", name="Log")
    expect(box).to_contain_text("line 229")
    expect(box).to_contain_text("30 older ones are not here")
    expect(box.locator("[data-level]")).to_have_count(200)


@pytest.mark.parametrize("known", [0, 40])
def test_when_it_may_be_done_is_said_with_what_that_is_known_from(
    slow_floor: Floor, operators: Callable[..., Operator], known: int
) -> None:
    remember(slow_floor, [Was(30, "steps", "steps", completed=known, run=300.0)])
    slow_floor.start()
    job = slow_floor.steps("log INFO begun")
    page = operators(slow_floor.server.url).visit(f"#/jobs/{job.id}")
    expect(page.get_by_role("log", name="Log")).to_contain_text("begun")
    if known:  # 200 to 500 seconds
        told = page.locator("[data-eta=history]")
        expect(told).to_contain_text("half of such runs are done in 5 min")
        expect(told).to_contain_text("9 of 10 in 7 min")
        expect(told).to_contain_text("going by 40 earlier ones")
    else:
        expect(page.locator("[data-eta=none]")).to_contain_text("cannot be told: too few earlier runs")
    until(lambda: time.time() - (slow_floor.now(job).started_at or 0) > 2, what="it has run for a while")
    slow_floor.tell(job, "progress 50 Half of it")
    expect(page.locator("[data-eta=progress]")).to_contain_text("if it goes on as it went so far")
    slow_floor.tell(job, "end")
    expect(page.locator("h1 + .badge")).to_contain_text("completed")
    expect(page.locator("[data-eta]")).to_have_count(0)
