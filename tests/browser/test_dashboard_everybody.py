"""The dashboard for everybody: with a screen reader, by keyboard, in the dark, on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from floor import SCREENS, Floor, Operator, is_live, violations
from playwright.sync_api import Page, expect


def busy(floor: Floor) -> list[str]:
    """A floor with something on every screen; all places that there are to look at."""
    dead = floor.dead("nowhere", "elsewhere")
    running = floor.steps("progress 40 Reading row 4,000", label="rows.csv", tags=["eu", "import"], owner="user:7")
    floor.enqueue("wait", options={"delay": 3600})
    floor.enqueue("wait")
    jobs = [f"#/jobs/{job.id}" for job in (dead[0], running)]
    return [*SCREENS, *jobs, "#/queues/mail", "#/tasks/send", "#/jobs?q=nothing"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen_can_be_read_by_everybody(floor: Floor, operators: Callable[..., Operator], scheme: str) -> None:
    places = busy(floor)
    page = operators(color_scheme=scheme).visit()
    wrong = []
    for place in places:
        page.goto(f"/background/{place}")
        is_live(page)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        wrong += [f"{place} {each}" for each in violations(page, colours_only=scheme == "dark")]
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_questions_help_and_completions_can_be_read_too(
    floor: Floor, operators: Callable[..., Operator], scheme: str
) -> None:
    busy(floor)
    page = operators(color_scheme=scheme).visit("#/jobs")
    page.get_by_role("checkbox", name="Choose all on this page").check()
    assert violations(page, colours_only=scheme == "dark") == []
    page.get_by_role("button", name="Cancel", exact=True).click()
    assert violations(page, colours_only=scheme == "dark") == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Choose none").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert violations(page, colours_only=scheme == "dark") == []
    page.keyboard.press("Escape")
    page.get_by_role("combobox", name="Filter").press_sequentially("q")
    expect(page.locator("#offers").get_by_role("option")).to_have_count(1)
    assert violations(page, colours_only=scheme == "dark") == []


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_fits_a_narrow_screen_and_letters_of_twice_the_size(
    floor: Floor, operators: Callable[..., Operator]
) -> None:
    places = busy(floor)
    narrow = operators(viewport={"width": 320, "height": 640}).visit()
    large = operators(viewport={"width": 640, "height": 480}, device_scale_factor=2).visit()  # 1280 at 200 %
    for place in places:
        for page in (narrow, large):
            page.goto(f"/background/{place}")
            is_live(page)
            assert fits(page), place


def test_a_screen_reader_is_told_where_it_is(floor: Floor, operator: Operator) -> None:
    page = operator.visit()
    screens = {"j": "Jobs", "q": "Queues", "w": "Workers", "d": "Dead letters", "t": "Tasks", "o": "Overview"}
    for key, title in screens.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1, name=title)).to_be_focused()
        expect(page).to_have_title(f"{title} · Jobsworth")
        expect(page.get_by_role("link", name=title, exact=True)).to_have_attribute("aria-current", "page")


def test_the_first_tab_skips_to_what_is_shown(floor: Floor, operator: Operator) -> None:
    page = operator.visit("#/jobs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to what is shown")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_keys_can_be_switched_off_for_good(floor: Floor, operator: Operator) -> None:
    page = operator.visit()
    page.keyboard.press("?")
    page.get_by_role("checkbox", name="Keys are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.reload()
    is_live(page)
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert "#/jobs" not in page.url


def test_times_and_colours_are_as_people_like_them(floor: Floor, operator: Operator) -> None:
    floor.dead("nowhere")
    page = operator.visit("#/jobs")
    expect(page.locator("time").first).to_contain_text("ago")
    page.get_by_role("combobox", name="Times").select_option("utc")
    expect(page.locator("time").first).to_contain_text("UTC")
    back = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(back)
    page.get_by_role("combobox", name="Colours").select_option("dark")
    assert page.evaluate(back) != light
    page.reload()
    is_live(page)
    assert page.evaluate(back) != light
    expect(page.locator("time").first).to_contain_text("UTC")
