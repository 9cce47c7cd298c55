"""The example's one page in a real Chromium, served by each of the frameworks: click, watch, cancel, see the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from stage import Stage, Visitor
from test_showing import violations

from framework_page import COMMANDS, FrameworkPage
from undertaker import Undertaker

PACE = 0.25  # seconds a letter takes; there are 20 of them: time enough to cancel one on a slow machine
LOOK = """() => {  // what the first bar has shown so far, again and again
    globalThis.seen = new Set();
    const look = () => {
        const value = document.querySelector("li:last-child job-progress")?.shadowRoot.querySelector("progress")?.value;
        if (value !== undefined) seen.add(value);
        requestAnimationFrame(look);
    };
    look();
}"""


@pytest.fixture(params=COMMANDS)
def page(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Iterator[Page]:
    """The page, opened by somebody new. Nothing may go wrong in it unnoticed."""
    undertaker = Undertaker()
    server = FrameworkPage(undertaker, request.param, tmp_path, pace=PACE)
    server.start()
    visitor = Visitor(stage.browser, server.url)
    if request.param == "flask":
        visitor.expects("status of 501")  # it cannot stream; the module then asks with long questions
    try:
        yield visitor.open("/")
        visitor.close()
    finally:
        server.close()
        undertaker.dismiss()


def says(item: Locator, text: str) -> None:
    expect(item.get_by_role("status")).to_contain_text(text)


def test_click_watch_the_bar_move_cancel_another_and_see_the_end(page: Page) -> None:
    page.evaluate(LOOK)
    button = page.get_by_role("button", name="Send a newsletter")
    items = page.get_by_role("listitem")
    button.click()
    expect(items).to_have_count(1)
    button.click()
    expect(items).to_have_count(2)
    other, first = items.nth(0), items.nth(1)  # newest on top

    says(other, "running")
    other.get_by_role("button", name="Cancel").click()
    says(other, "cancelled")
    says(first, "completed")
    seen = page.evaluate("[...seen]")
    assert len(seen) > 2, f"the bar moves: {seen}"
    assert seen == sorted(seen)

    page.reload()  # who comes back finds them again
    expect(items).to_have_count(2)
    says(items.nth(0), "cancelled")
    says(items.nth(1), "completed")
    assert violations(page) == []
