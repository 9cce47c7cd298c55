"""How <job-progress> looks and reads: for people who see it, hear it, or want it to stand still."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from house import House, element, reaches
from playwright.sync_api import Page, expect
from stage import NewVisitor

STATES = [
    "scheduled", "queued", "running", "running", "cancelling", "completed", "failed", "cancelled", "not available",
]  # fmt: skip
STYLE = """:root { color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif }
main { max-width: 30em; margin: 1em auto } job-progress { margin: 1.2em 0 }"""


def every_state(house: House) -> str:
    """The path of a page that shows a job in every state."""
    done, failed, stopped = house.enqueue("end"), house.enqueue("fail not a picture"), house.enqueue(task="wait")
    stopped.cancel()
    stubborn = house.enqueue("stubborn", "progress 70 Writing the last rows")
    reaches(stubborn, "running")
    stubborn.cancel()
    jobs = {
        "later.csv": house.enqueue(task="wait", delay=3600), "waiting.csv": house.enqueue(task="wait"),
        "rows.csv": house.enqueue("progress 40 Reading row 4,000 of 10,000"), "unknown.csv": house.enqueue(),
        "stubborn.csv": stubborn, "done.csv": done, "broken.csv": failed, "stopped.csv": stopped,
    }  # fmt: skip
    for job, status in ((done, "completed"), (failed, "failed"), (stubborn, "cancelling")):
        reaches(job, status)
    shown = [element(job.id, job.token(), label) for label, job in jobs.items()]
    return house.page("\n".join([*shown, element("nobody", done.token(), "lost.csv")]), style=STYLE)


def shows_every_state(page: Page) -> None:
    states = page.get_by_role("status")
    expect(states).to_have_count(len(STATES))
    for number, status in enumerate(STATES):
        expect(states.nth(number)).to_contain_text(status)


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong."""
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found: dict[str, Any] = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    wrong = found["violations"]
    return [f"{each['id']}: {node['html']} {node['failureSummary']}" for each in wrong for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_can_be_read_by_everybody(house: House, visitors: NewVisitor, tmp_path: Path, scheme: str) -> None:
    page = visitors(color_scheme=scheme, viewport={"width": 600, "height": 900}).open(every_state(house))
    shows_every_state(page)
    page.screenshot(path=tmp_path / f"job-progress-{scheme}.png")
    assert violations(page) == []


def test_a_screen_reader_is_told_the_state_and_not_every_step(house: House, visitors: NewVisitor) -> None:
    job = house.enqueue("progress 40 Reading")
    page = visitors().open(house.page(element(job.id, job.token(), "rows.csv")))
    expect(page.get_by_text("40 % · Reading")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("running · rows.csv")
    expect(page.get_by_role("progressbar", name="rows.csv")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel · rows.csv")).to_be_visible()


def test_nothing_moves_for_those_who_want_it_to_stand_still(house: House, visitors: NewVisitor) -> None:
    path = house.page_of(house.enqueue())
    for motion, appearance in (("reduce", "none"), ("no-preference", "auto")):
        page = visitors(reduced_motion=motion).open(path)
        expect(page.get_by_role("status")).to_have_text("running")
        assert page.get_by_role("progressbar").evaluate("(bar) => getComputedStyle(bar).appearance") == appearance


def test_its_parts_can_be_styled(house: House, visitors: NewVisitor) -> None:
    parts = ("bar", "state", "message", "cancel")
    style = "".join(f"job-progress::part({part}) {{ outline: 3px solid red }}" for part in parts)
    page = visitors().open(house.page_of(house.enqueue(), style=style))
    expect(page.get_by_role("status")).to_have_text("running")
    shown = page.locator("job-progress")
    widths = "({ shadowRoot: { children } }) => [...children].map((it) => getComputedStyle(it).outlineWidth)"
    outlines = shown.evaluate(widths)
    assert outlines == ["3px"] * 4


def test_a_hidden_one_is_hidden(house: House, visitors: NewVisitor) -> None:
    page = visitors().open(house.page_of(house.enqueue()))
    expect(page.get_by_role("status")).to_be_visible()
    page.evaluate("document.querySelector('job-progress').hidden = true")
    expect(page.locator("job-progress")).to_be_hidden()


def test_what_a_job_says_is_text_and_nothing_else(house: House, visitors: NewVisitor) -> None:
    bad = "<img/src=x/onerror=alert(1)>"
    job = house.enqueue(f"progress 40 {bad}")
    page = visitors().open(house.page(element(job.id, job.token(), bad)))
    expect(page.get_by_text(f"40 % · {bad}")).to_be_visible()
    house.tell(job, f"fail {bad}")
    expect(page.get_by_role("status")).to_have_text(f"failed · {bad} · {bad}")
