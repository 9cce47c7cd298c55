"""The whole life of jobs on the dashboard, by mouse and by keyboard, against a real server and a real worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from floor import Floor, Operator, is_live
from playwright.sync_api import Page, expect

from jobsworth.job import State
from waiting import until


def row(page: Page, text: str) -> Any:
    return page.locator("[data-row]", has_text=text)


def asked(page: Page, title: str) -> Any:
    """The question that is open."""
    question = page.get_by_role("dialog", name=title)
    expect(question).to_be_visible()
    return question


def test_a_job_from_the_form_to_its_end_by_mouse(floor: Floor, operator: Operator) -> None:
    page = operator.visit()
    expect(page.get_by_text("No job yet")).to_be_visible()
    page.get_by_role("link", name="Tasks", exact=True).click()
    page.get_by_role("link", name="send", exact=True).click()
    page.locator("#field-copies").fill("1x")
    page.get_by_role("button", name="Enqueue 1 job").click()
    expect(page.get_by_text("to: it is needed")).to_be_visible()
    expect(page.get_by_text("copies: it must be a number")).to_be_visible()
    page.locator("#field-to").fill("ada")
    page.locator("#field-copies").fill("12345678901234567")
    page.locator("#field-kind").select_option(label="card")
    page.locator("#field-extra").fill('{"rate": 1.50, "big": 9876543210987654321}')
    page.get_by_role("button", name="Enqueue 1 job").click()
    page.locator("form").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1, name="send")).to_be_visible()
    expect(page.locator("h1 + .badge")).to_contain_text("completed")
    expect(page.get_by_label("Arguments", exact=True).last).to_contain_text("12345678901234567,")
    expect(page.get_by_label("Result", exact=True).last).to_contain_text('"kind": "card"')
    expect(page.locator(".life")).to_contain_text("created")
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("[data-verdict=well]")).to_contain_text("Nothing is wrong")


def test_the_same_by_keyboard(floor: Floor, operator: Operator) -> None:
    page = operator.visit()
    keys = page.keyboard
    keys.press("g")
    keys.press("t")
    expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_focused()
    for _ in range(2):
        keys.press("j")
    expect(page.get_by_role("link", name="send", exact=True)).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1, name="send")).to_be_focused()
    for _ in range(3):  # its queue, its jobs, its first field
        keys.press("Tab")
    keys.type("grace")
    keys.press("Enter")
    until(lambda: floor.count(State.COMPLETED) == 1, what="it is done")
    keys.press("Escape")
    page.get_by_role("heading", level=1).focus()
    keys.press("g")
    keys.press("j")
    expect(row(page, "send")).to_contain_text("completed")
    keys.press("j")
    keys.press("Enter")
    expect(page.get_by_label("Result", exact=True).last).to_contain_text('"to": "grace"')


@pytest.mark.alone
def test_progress_comes_within_a_second_and_cancel_asks_for_a_reason(floor: Floor, operator: Operator) -> None:
    job = floor.steps("progress 25 Reading", label="rows.csv")
    page = operator.visit(f"#/jobs/{job.id}")
    expect(page.get_by_text("Reading", exact=True)).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "25")
    floor.tell(job, "progress 75 Writing")
    expect(page.get_by_text("Writing", exact=True)).to_be_visible(timeout=1_000)
    page.get_by_role("button", name="Cancel", exact=True).click()
    question = asked(page, "Cancel 1 job")
    question.get_by_label("Reason").fill("wrong file")
    question.get_by_role("button", name="Cancel 1 job").click()
    expect(page.locator("h1 + .badge")).to_contain_text("cancelled")
    expect(page.get_by_role("status").get_by_text("is asked to stop")).to_be_visible()
    assert floor.now(job).cancel_reason == "wrong file"
    expect(page.locator("dl")).to_contain_text("wrong file")


def test_a_failed_job_shows_the_users_own_line_and_is_retried_with_other_arguments(
    floor: Floor, operator: Operator
) -> None:
    (job,) = floor.dead("no number here")
    page = operator.visit(f"#/jobs/{job.id}")
    trouble = page.get_by_role("region", name="Why it was given up")
    expect(trouble.locator(".place")).to_contain_text("floor_app.py:")
    expect(trouble.locator(".place")).to_contain_text("in find_house")
    expect(trouble).to_contain_text("ValueError no number in 'no number here'")
    trouble.get_by_text("Traceback").click()
    expect(trouble.locator("pre")).not_to_contain_text("jobsworth/worker")
    page.keyboard.press("Shift+E")
    question = asked(page, "Edit and retry 1 job")
    question.get_by_label("Arguments").fill("{")
    expect(question.get_by_text("This is not JSON")).to_be_visible()
    expect(question.get_by_role("button", name="Retry with these")).to_be_disabled()
    question.get_by_label("Arguments").fill('{"address": "Mill Lane 12"}')
    question.get_by_role("button", name="Retry with these").click()
    expect(page.locator("h1 + .badge")).to_contain_text("completed")
    assert floor.now(job).args == b'{"address":"Mill Lane 12"}'


def test_no_digit_is_lost_on_the_way_there_and_back(floor: Floor, operator: Operator) -> None:
    floor.jobs.pause("mail")
    exact = {"big": 12345678901234567890, "float": 0.1, "whole": 1.0}
    job = floor.enqueue("send", "ada", extra=exact)
    floor.enqueue("send", "bob").cancel()
    page = operator.visit(f"#/jobs/{job.id}")
    shown = page.get_by_label("Arguments", exact=True).last
    expect(shown).to_contain_text("12345678901234567890")
    expect(shown).to_contain_text('"whole": 1.0')
    job.cancel()
    expect(page.locator("h1 + .badge")).to_contain_text("cancelled")
    page.get_by_role("button", name="Edit and retry").click()
    asked(page, "Edit and retry 1 job").get_by_role("button", name="Retry with these").click()
    expect(page.locator("h1 + .badge")).to_contain_text("queued")
    expect(page.locator("[data-why=paused]")).to_contain_text("is paused")
    assert json.loads(floor.now(job).args)["extra"] == exact
    assert b'"whole":1.0' in floor.now(job).args


def test_a_job_is_copied_as_curl_and_as_python(floor: Floor, operator: Operator) -> None:
    operator.context.grant_permissions(["clipboard-read", "clipboard-write"])
    floor.jobs.pause("mail")
    job = floor.enqueue("send", "it's ada", copies=2)
    page = operator.visit(f"#/jobs/{job.id}")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_text("Copied: as curl")).to_be_visible()
    curl = page.evaluate("navigator.clipboard.readText()")
    assert curl.startswith(f"curl -X POST '{floor.server.url}/background/api/jobs' -H 'Content-Type: application/json'")
    assert """"to": "it'\\''s ada\"""" in curl
    page.get_by_role("button", name="Copy as Python").click()
    expect(page.get_by_text("Copied: as python")).to_be_visible()
    python = page.evaluate("navigator.clipboard.readText()")
    assert python == """jobs.find_task("send").enqueue(to="it's ada", copies=2)"""


def test_many_are_found_chosen_and_retried_with_their_number_said(
    floor: Floor, operator: Operator, tmp_path: Path
) -> None:
    floor.jobs.pause("mail")
    for number in range(60):
        floor.enqueue("send", f"ada {number}", options={"tags": ["eu"], "owner": "user:7"}).cancel()
    floor.enqueue("deliver", "x").cancel()
    page = operator.visit("#/jobs")
    expect(page.get_by_text("61 jobs match")).to_be_visible()
    box = page.get_by_role("combobox", name="Filter")
    page.keyboard.press("/")
    expect(box).to_be_focused()
    box.press_sequentially("ta")
    expect(page.locator("#offers").get_by_role("option")).to_have_text(["task:", "tag:"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    box.press_sequentially("se")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value("task:send ")
    page.keyboard.press("Enter")
    expect(page.get_by_text("60 jobs match")).to_be_visible()
    assert "task=send" in page.url
    page.get_by_role("navigation", name="States").get_by_role("link", name="cancelled").click()
    page.get_by_role("checkbox", name="Choose all on this page").check()
    expect(page.get_by_text("50 jobs chosen")).to_be_visible()
    page.get_by_role("button", name="Choose all 60 matching").click()
    page.get_by_role("button", name="Retry", exact=True).click()
    asked(page, "Retry 60 jobs?").get_by_role("button", name="Retry 60 jobs").click()
    expect(page.get_by_text("60 jobs to be run again")).to_be_visible()
    assert floor.count(State.QUEUED) == 60
    page.get_by_role("navigation", name="States").get_by_role("link", name="queued").click()
    with page.expect_download() as file:
        page.get_by_role("button", name="Export JSON").click()
    file.value.save_as(tmp_path / "jobs.json")
    assert len(json.loads((tmp_path / "jobs.json").read_text())) == 60
    with page.expect_download() as file:
        page.get_by_role("button", name="Export CSV").click()
    file.value.save_as(tmp_path / "jobs.csv")
    assert (tmp_path / "jobs.csv").read_text().count("user:7") == 60


def test_rows_are_chosen_and_deleted_by_keyboard(floor: Floor, operator: Operator) -> None:
    floor.jobs.pause("mail")
    jobs = [floor.enqueue("send", f"ada {number}") for number in range(3)]
    page = operator.visit("#/jobs?queue=mail")
    expect(page.locator("[data-row]")).to_have_count(3)
    page.keyboard.press("j")  # the newest
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("2 jobs chosen")).to_be_visible()
    page.keyboard.press("d")  # without Shift nothing is deleted
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Shift+D")
    asked(page, "Delete 2 jobs?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert floor.count() == 3
    page.keyboard.press("Shift+D")
    asked(page, "Delete 2 jobs?").get_by_role("button", name="Delete 2 jobs").click()
    expect(page.locator("[data-row]")).to_have_count(1)
    assert [job.id for job in floor.jobs.find()] == [jobs[0].id]
    page.keyboard.press("j")
    page.keyboard.press("Shift+C")
    asked(page, "Cancel 1 job").get_by_role("button", name="Cancel 1 job").click()
    expect(page.get_by_text("1 job asked to stop")).to_be_visible()


def test_what_changed_meanwhile_is_told_and_nothing_is_done(floor: Floor, operator: Operator) -> None:
    floor.jobs.pause("mail")
    operator.expects("409")
    jobs = [floor.enqueue("send", f"ada {number}") for number in range(2)]
    page = operator.visit("#/jobs?queue=mail")
    page.get_by_role("checkbox", name="Choose all on this page").check()
    page.get_by_role("button", name="Cancel", exact=True).click()
    question = asked(page, "Cancel 2 jobs?")
    jobs[0].cancel()
    question.get_by_role("button", name="Cancel 2 jobs").click()
    expect(page.get_by_text("nothing was changed")).to_be_visible()
    assert jobs[1].state == State.QUEUED


def test_dead_letters_are_grouped_redriven_edited_and_discarded(floor: Floor, operator: Operator) -> None:
    floor.dead("nowhere", "nowhere", "somewhere")
    page = operator.visit("#/dead")
    expect(page.locator(".group")).to_have_count(1)
    group = row(page, "ValueError")
    expect(group).to_contain_text("3 ×")
    expect(group.locator(".place")).to_contain_text("in find_house")
    group.get_by_role("button", name="Edit and redrive the newest").click()
    question = asked(page, "Edit and retry 1 job")
    question.get_by_label("Arguments").fill('{"address": "Mill Lane 12"}')
    question.get_by_role("button", name="Retry with these").click()
    expect(row(page, "ValueError")).to_contain_text("2 ×")
    page.get_by_role("button", name="Redrive 2 jobs").click()
    asked(page, "Redrive 2 dead letters?").get_by_role("button", name="Redrive 2 dead letters").click()
    expect(page.get_by_text("2 jobs to be run again")).to_be_visible()
    until(lambda: floor.count(State.FAILED) == 2 and floor.count(State.QUEUED, State.RUNNING) == 0, what="failed again")
    expect(row(page, "ValueError")).to_contain_text("2 ×")
    page.get_by_role("heading", level=1).focus()
    page.keyboard.press("j")
    page.keyboard.press("Shift+D")
    asked(page, "Discard 2 dead letters?").get_by_role("button", name="Discard 2 dead letters").click()
    expect(page.get_by_text("No dead letters")).to_be_visible()
    assert floor.count(State.FAILED) == 0


def test_a_queue_is_paused_and_resumed(floor: Floor, operator: Operator) -> None:
    page = operator.visit("#/queues")
    page.get_by_role("button", name="Pause mail").click()
    asked(page, "Pause 1 queue, mail?").get_by_role("button", name="Pause 1 queue").click()
    expect(row(page, "mail")).to_contain_text("paused")
    assert floor.paused("mail")
    floor.enqueue("send", "ada")
    expect(row(page, "mail").locator("td").first).to_have_text("1")
    page.get_by_role("link", name="mail", exact=True).focus()
    page.keyboard.press("Shift+P")  # to resume needs no question
    expect(row(page, "mail")).not_to_contain_text("paused")
    assert not floor.paused("mail")
    page.get_by_role("link", name="mail", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Queue mail")).to_be_visible()


def test_workers_are_shown_with_what_they_run(floor: Floor, operator: Operator) -> None:
    assert floor.worker
    job = floor.steps()
    page = operator.visit("#/workers")
    here = row(page, str(floor.worker.pid))
    expect(here).to_contain_text("steps × 30")
    expect(here).to_contain_text("mail × 4")
    here.get_by_role("link", name="steps").click()
    expect(page.locator("p.id").first).to_have_text(job.id)


def test_the_address_is_the_state(floor: Floor, operator: Operator) -> None:
    floor.jobs.pause("mail")
    floor.enqueue("send", "ada", options={"owner": "user:7"}).cancel()
    page = operator.visit("#/jobs?owner=user%3A7&state=cancelled")
    expect(page.get_by_role("combobox", name="Filter")).to_have_value("owner:user:7")
    expect(page.locator("[data-row]")).to_have_count(1)
    page.reload()
    is_live(page)
    expect(page.locator("[data-row]")).to_have_count(1)
    page.get_by_role("link", name="queued").click()
    expect(page.get_by_text("No job matches")).to_be_visible()
    page.go_back()
    expect(page.locator("[data-row]")).to_have_count(1)
    page.get_by_role("link", name="queued").click()
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_text("1 job matches")).to_be_visible()
