"""The Django example in a real Chromium: sign in, send a text, see its job move, cancel one; the link for staff."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from stage import Stage, Visitor
from test_showing import violations

pytest.importorskip("django", reason="Django is not installed: pip install 'jobsworth[django]'")
from django_page import PASSWORD, Place

LOOK = """() => {  // what the bar has shown so far, kept beyond the page's reload
    const look = () => {
        const shown = document.querySelector("job-progress")?.shadowRoot?.querySelector("progress")?.value;
        const seen = JSON.parse(sessionStorage.seen ?? "[]");
        if (shown !== undefined && seen.at(-1) !== shown) sessionStorage.seen = JSON.stringify([...seen, shown]);
        requestAnimationFrame(look);
    };
    look();
}"""
Opener = Callable[[str], Page]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example on an ASGI server with a worker inside, lingering so that there is something to see."""
    with Place(tmp_path_factory.mktemp("reports"), pace=0.5).served("asgi", "inside") as (_, url):
        yield url


@pytest.fixture
def signed_in(stage: Stage, url: str) -> Iterator[Opener]:
    """Open the page as somebody. Nothing may go wrong in it unnoticed."""
    made: list[Visitor] = []

    def sign_in(name: str) -> Page:
        made.append(Visitor(stage.browser, url))
        made[-1].expects("favicon.ico")  # Django's admin has none
        page = made[-1].open("/")
        assert violations(page) == []
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Reports", exact=True)).to_be_visible()
        return page

    yield sign_in
    while made:
        made.pop().close()


def send(page: Page, title: str, text: str) -> None:
    page.get_by_label("Title").fill(title)
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Count its words").click()


def test_a_report_is_made_before_ones_eyes_and_another_is_cancelled(signed_in: Opener) -> None:
    page = signed_in("ada")
    page.add_init_script(f"({LOOK})()")
    send(page, "Tea", "tea with milk, and tea without")
    expect(page.locator("li", has_text="Tea")).to_contain_text("6 words, most often tea (2)", use_inner_text=True)
    seen = page.evaluate("JSON.parse(sessionStorage.seen)")
    assert any(0 < value < 100 for value in seen), seen
    assert seen == sorted(seen)
    send(page, "Never mind", "one two three")
    item = page.locator("li", has_text="Never mind")
    item.get_by_role("button", name="Cancel").click()
    expect(item.locator("job-progress")).to_have_attribute("status", re.compile("cancelled"))
    assert violations(page) == []


def test_the_link_to_the_dashboard_is_for_staff(signed_in: Opener) -> None:
    expect(signed_in("bob").get_by_role("link", name="Background jobs")).to_have_count(0)
    page = signed_in("root")
    page.get_by_role("link", name="Background jobs").click()
    expect(page).to_have_url(re.compile("/background/"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.goto("/admin/")
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page).to_have_url(re.compile("/background/"))
