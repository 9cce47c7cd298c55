"""Whether what the dashboard shows can be trusted: news at once, and a badge that says when they stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from floor import Floor, Operator, is_live
from house import dead
from playwright.sync_api import expect

from jobsworth.job import State
from waiting import until

AWAY = (
    "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "ERR_CONTENT_LENGTH_MISMATCH",
)  # fmt: skip


@pytest.mark.alone
def test_lists_follow_within_a_second_or_so(floor: Floor, operator: Operator) -> None:
    floor.jobs.pause("mail")
    page = operator.visit("#/jobs")
    expect(page.get_by_text("No job yet")).to_be_visible()
    job = floor.enqueue("send", "ada")
    expect(page.locator("[data-row]")).to_have_count(1, timeout=2_000)
    expect(page.get_by_role("link", name="queued")).to_contain_text("1")
    job.cancel()
    expect(page.locator("[data-row]")).to_contain_text("cancelled", timeout=2_000)


def test_the_badge_says_stale_while_the_server_is_away_and_all_is_true_when_it_is_back(
    floor: Floor, operator: Operator
) -> None:
    operator.expects(*AWAY)
    job = floor.steps("progress 10 Reading")
    page = operator.visit(f"#/jobs/{job.id}")
    overview = operator.visit()
    for tab in (page, overview):
        tab.bring_to_front()
        is_live(tab)
    with dead(floor.server):
        expect(overview.locator("[data-trust=stale]")).to_contain_text("stale: server away for")
        expect(overview.locator("[data-verdict=unknown]")).to_be_visible()
        floor.tell(job, "end")
        until(lambda: job.state == State.COMPLETED, what="it ends while nobody looks")
    expect(overview.locator("[data-trust=live]")).to_be_visible()
    expect(overview.locator("[data-verdict=well]")).to_be_visible()
    expect(page.locator("[data-trust=live]")).to_be_visible()
    expect(page.locator("h1 + .badge")).to_contain_text("completed")


def test_news_can_be_paused_and_go_on(floor: Floor, operator: Operator) -> None:
    floor.jobs.pause("mail")
    page = operator.visit("#/jobs")
    page.keyboard.press("p")
    expect(page.locator("[data-trust=paused]")).to_be_visible()
    floor.enqueue("send", "ada")
    floor.enqueue("send", "bob")
    expect(page.get_by_text("No job yet")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("[data-row]")).to_have_count(2)


def test_a_list_stands_still_while_jobs_are_chosen(floor: Floor, operator: Operator) -> None:
    floor.jobs.pause("mail")
    floor.enqueue("send", "ada")
    page = operator.visit("#/jobs")
    page.get_by_role("checkbox", name="Choose job").check()
    floor.enqueue("send", "bob")
    expect(page.get_by_role("navigation", name="States").get_by_role("link", name="queued")).to_contain_text("2")
    expect(page.locator("[data-row]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("[data-row]")).to_have_count(2)


@pytest.mark.parametrize("level", ["READ", "OPERATE"])
def test_nobody_is_offered_what_they_may_not_do(floor: Floor, operators: Callable[..., Operator], level: str) -> None:
    (job,) = floor.dead("nowhere")
    operator = operators(level=level)
    page = operator.visit(f"#/jobs/{job.id}")
    expect(page.get_by_role("button", name="Retry", exact=True)).to_have_count(int(level == "OPERATE"))
    expect(page.get_by_role("button", name="Delete", exact=True)).to_have_count(0)
    page.keyboard.press("Shift+D")
    page.goto("/background/#/dead")
    expect(page.locator(".group")).to_have_count(1)
    expect(page.get_by_role("button", name="Discard")).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("Shift+D")
    page.goto("/background/#/queues")
    expect(page.get_by_role("button", name="Pause mail")).to_have_count(int(level == "OPERATE"))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_not_there_is_said(floor: Floor, operator: Operator) -> None:
    operator.expects("404")
    page = operator.visit("#/jobs/0123456789ab")
    expect(page.get_by_text("There is no such thing")).to_be_visible()
    for place, said in (
        ("#/nowhere", "There is no such screen"),
        ("#/queues/nowhere", "There is no such queue"),
        ("#/tasks/nowhere", "There is no task nowhere here"),
        ("#/jobs?q=nothing+like+it", "No job matches"),
        ("#/dead", "No dead letters"),
        ("#/dead?queue=mail", "No dead letter matches"),
    ):
        page.goto(f"/background/{place}")
        expect(page.get_by_text(said)).to_be_visible()
