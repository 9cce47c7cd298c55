"""What makes the dashboard kind: it undoes, keeps views, gives lists away, rests unseen, takes no key for another."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from floor import Floor, Operator, is_live, violations
from house import dead
from playwright.sync_api import Page, expect
from test_dashboard_trust import AWAY

from waiting import until

# The window can be seen, or no longer: what a browser says when another tab is chosen.
SEEN = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden })
  document.dispatchEvent(new Event("visibilitychange"))
}"""


def test_what_can_be_undone_offers_it(floor: Floor, operator: Operator) -> None:
    page = operator.visit("#/queues")
    page.get_by_role("button", name="Pause mail").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause 1 queue").click()
    told = page.get_by_role("status").filter(has_text="mail is paused")
    told.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("mail is resumed")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)  # to take back what one has just done needs no question
    until(lambda: not floor.paused("mail"), what="it is resumed")
    page.keyboard.press("z")
    until(lambda: floor.paused("mail"), what="that is undone, too")
    expect(page.locator("[data-row=mail]")).to_contain_text("paused")
    page.keyboard.press("z")
    until(lambda: not floor.paused("mail"), what="and undone again")


def test_what_cannot_be_undone_says_so_and_offers_no_undo(floor: Floor, operator: Operator) -> None:
    floor.dead("nowhere")
    page = operator.visit("#/dead")
    page.get_by_role("button", name="Discard 1 job").click()
    question = page.get_by_role("dialog", name="Discard 1 dead letter?")
    expect(question).to_contain_text("This cannot be undone")
    expect(question.get_by_role("button", name="Keep as it is")).to_be_focused()
    question.get_by_role("button", name="Discard 1 dead letter").click()
    expect(page.get_by_text("1 job discarded")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)


def save_view(page: Page, name: str | None) -> None:
    page.get_by_role("button", name="Save this view").click()
    question = page.get_by_role("dialog", name="Save this view")
    if name is not None:
        question.get_by_label("Name").fill(name)
    question.get_by_role("button", name="Save").click()
    expect(question).to_have_count(0)


def test_views_are_kept_under_a_name(floor: Floor, operators: Callable[..., Operator]) -> None:
    floor.jobs.pause("mail")
    floor.enqueue("send", "ada").cancel()
    page = operators().visit("#/jobs?state=cancelled&queue=mail")
    save_view(page, "Given up mail")
    page.goto("/background/#/jobs?task=deliver")
    save_view(page, None)
    page.goto("/background/#/jobs")
    page.reload()
    is_live(page)
    views = page.get_by_role("navigation", name="Saved views")
    expect(views.get_by_role("link")).to_have_text(["Given up mail", "task:deliver"])
    views.get_by_role("link", name="Given up mail").click()
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(views.get_by_role("link", name="Given up mail")).to_have_attribute("aria-current", "page")
    assert page.url.endswith("#/jobs?state=cancelled&queue=mail")
    views.get_by_role("button", name="Delete view Given up mail").click()
    expect(views.get_by_role("link")).to_have_text(["task:deliver"])
    page.get_by_role("button", name="Undo").click()
    expect(views.get_by_role("link")).to_have_text(["Given up mail", "task:deliver"])
    page.goto("/background/#/jobs?task=send")
    save_view(page, "task:deliver")  # the same name: the new one counts
    expect(views.get_by_role("link")).to_have_text(["Given up mail", "task:deliver"])
    expect(views.get_by_role("link", name="task:deliver")).to_have_attribute("href", "#/jobs?task=send")
    other = operators().visit("#/jobs")
    expect(other.get_by_role("navigation", name="Saved views").get_by_role("link")).to_have_count(0)


SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("kept", "names"),
    [("{", []), ("null", []), ("7", []), (json.dumps([["a"], 3, [SCRIPT, "jobs"], None, ["b", 1], {}]), [SCRIPT])],
)
def test_views_that_somebody_else_has_written_break_nothing(
    floor: Floor, operator: Operator, kept: str, names: list[str]
) -> None:
    page = operator.visit()
    page.evaluate("(kept) => localStorage.setItem('jobsworth.views', kept)", kept)
    page.goto("/background/#/jobs")
    page.reload()
    is_live(page)
    expect(page.get_by_text("No job yet")).to_be_visible()
    save_view(page, "mine")
    expect(page.get_by_role("navigation", name="Saved views").get_by_role("link")).to_have_text([*names, "mine"])


def test_those_chosen_are_exported_and_no_others(floor: Floor, operator: Operator, tmp_path: Path) -> None:
    floor.jobs.pause("mail")
    for number in range(3):
        floor.enqueue("send", "ada", options={"label": f'=letter "{number}"'})
    page = operator.visit("#/jobs?queue=mail")
    for number in (0, 2):
        row = page.locator("[data-row]", has_text=f'=letter "{number}"')
        row.get_by_role("checkbox").check()
    for kind in ("CSV", "JSON", "lines of JSON"):
        with page.expect_download() as file:
            page.get_by_role("button", name=f"Export {kind}", exact=True).click()
        file.value.save_as(tmp_path / file.value.suggested_filename)
        expect(page.get_by_text("2 jobs exported").last).to_be_visible()
    labels = ['=letter "2"', '=letter "0"']
    whole = json.loads((tmp_path / "jobs.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "jobs.jsonl").read_text().splitlines()]
    assert [job["label"] for job in whole] == [job["label"] for job in lines] == labels
    with (tmp_path / "jobs.csv").open(newline="") as table:
        assert [row["label"] for row in csv.DictReader(table)] == [f"'{label}" for label in labels]  # no formula


def test_nobody_is_told_news_who_cannot_see_them(floor: Floor, operator: Operator) -> None:
    floor.jobs.pause("mail")
    page = operator.visit("#/jobs")
    page.evaluate(SEEN, True)
    expect(page.locator("[data-trust=paused]")).to_be_visible()
    # What was asked before is still answered, and shown.
    until(lambda: page.wait_for_timeout(20) or not operator.unanswered, what="all that was asked is answered")
    asked = len(operator.requests)
    floor.enqueue("send", "ada")
    page.evaluate("new Promise((done) => setTimeout(done, 2_000))")  # that nothing happens can only be waited for
    assert operator.requests[asked:] == []
    expect(page.get_by_text("No job yet")).to_be_visible()
    page.evaluate(SEEN, False)
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.locator("[data-trust=live]")).to_be_visible()


def test_there_are_three_kinds_of_nothing(floor: Floor, operator: Operator) -> None:
    operator.expects(*AWAY)
    page = operator.visit("#/jobs")
    expect(page.locator("[data-empty=none]")).to_contain_text("No job yet")
    page.goto("/background/#/jobs?queue=mail")
    expect(page.locator("[data-empty=unmatched]")).to_contain_text("No job matches")
    with dead(floor.server):
        page.goto("/background/#/dead")
        expect(page.locator("[data-empty=unknown]")).to_contain_text("Cannot tell which jobs were given up")
    expect(page.locator("[data-empty=none]")).to_contain_text("No dead letters")


def test_keys_that_act_need_shift(floor: Floor, operator: Operator) -> None:
    (job,) = floor.dead("nowhere")
    page = operator.visit()
    places = {
        f"#/jobs/{job.id}": "rced", "#/jobs": "rcd", "#/dead": "rd", "#/queues": "p",
    }  # fmt: skip
    for place, keys in places.items():
        page.goto(f"/background/{place}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        is_live(page)
        for key in keys:
            page.keyboard.press("j")
            page.keyboard.press(key)
            if key == "p":
                page.keyboard.press(key)  # it pauses the news, and goes on
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("Shift+P")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    assert floor.now(job).state == "failed"
    assert not floor.paused("mail")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_words_and_logs_can_be_read_by_everybody(
    floor: Floor, operators: Callable[..., Operator], scheme: str
) -> None:
    job = floor.steps("log INFO Reading", "log WARNING a warning", "log ERROR an error", "progress 40 Reading")
    page = operators(color_scheme=scheme, viewport={"width": 390, "height": 844}).visit(f"#/jobs/{job.id}")
    expect(page.get_by_role("log", name="Log").locator("[data-level=ERROR]")).to_be_visible()
    wrong = violations(page, colours_only=scheme == "dark")
    page.goto("/background/#/jobs?state=running")
    is_live(page)
    save_view(page, "What runs now, under a name that is longer than usual")
    page.get_by_role("checkbox", name="Choose all on this page").check()
    wrong += violations(page, colours_only=scheme == "dark")
    page.get_by_role("button", name="Delete view").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    wrong += violations(page, colours_only=scheme == "dark")
    assert wrong == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
