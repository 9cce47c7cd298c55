"""The dashboard's charts of what was: true, for mouse and keyboard and for all eyes, there after a restart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from floor import Floor, Operator, is_live, violations
from past import Stood, Was, remember
from playwright.sync_api import Locator, Page, expect
from stage import Stage

from undertaker import Undertaker

GAP = range(20, 30)  # minutes ago in which nothing ran
RUNS = [
    *(Was(ago, completed=10, run=0.3, wait=0.03) for ago in range(5, 50) if ago not in GAP),
    *(Was(ago, task="deliver", failed=2, retried=1) for ago in range(10, 15)),
    *(Was(ago, "steps", "steps", completed=60, run=15.0, wait=3.0) for ago in range(120, 124)),
]
LEVELS = [Stood(ago, came=10 + ago % 5, waiting=ago % 7, oldest=2.0) for ago in range(5, 50) if ago not in GAP]


@pytest.fixture(scope="module")
def old_floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    undertaker = Undertaker()
    floor = Floor(undertaker, tmp_path_factory.mktemp("old"), works=False)
    remember(floor, RUNS, LEVELS)
    floor.enqueue("send", "ada")
    yield floor
    floor.close()
    undertaker.dismiss()


@pytest.fixture
def onlookers(stage: Stage, old_floor: Floor) -> Iterator[Callable[..., Operator]]:
    old_floor.start()
    made: list[Operator] = []

    def new(**options: object) -> Operator:
        made.append(Operator(stage.browser, old_floor.server.url, **options))
        return made[-1]

    yield new
    while made:
        made.pop().close()


@pytest.fixture
def onlooker(onlookers: Callable[..., Operator]) -> Operator:
    return onlookers()


def chart(page: Page, title: str) -> Locator:
    found = page.get_by_role("figure").filter(has_text=title)
    expect(found).to_be_visible()
    return found


def legend(figure: Locator, name: str) -> Locator:
    return figure.locator(".key", has_text=name).locator("b")


def cells_of(figure: Locator) -> list[list[str]]:
    """What its table says, all at once: with the next minute every row moves up."""
    rows = figure.locator("tbody tr")
    expect(rows).to_have_count(60)
    return rows.evaluate_all("rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.innerText))")


def test_a_chart_says_how_many_runs_ended_which_way(onlooker: Operator) -> None:
    ended = chart(onlooker.visit(), "Runs ended, a minute")
    for name, number in (("completed", "350"), ("to run again", "5"), ("failed", "10"), ("cancelled", "0")):
        expect(legend(ended, name)).to_have_text(number)
    ended.get_by_text("As a table").click()
    cells = cells_of(ended)
    assert sum(int(cell) for row in cells for cell in row) == 365
    assert ["10", "1", "2", "0"] in cells
    assert ["0", "0", "0", "0"] in cells


def test_times_are_lines_with_gaps_where_nothing_is_known(onlooker: Operator) -> None:
    wait = chart(onlooker.visit(), "Wait for a worker")
    drawn = wait.locator("path.line.calm").get_attribute("d") or ""
    assert drawn.count("M") == 2, "a piece before the gap and one after it"
    wait.get_by_text("As a table").click()
    rows = cells_of(wait)
    assert rows.count(["–", "–"]) == 60 - 35
    ((half, most),) = {tuple(row) for row in rows} - {("–", "–")}
    assert (half, most) in (("35 ms", "48 ms"), ("35 ms", "49 ms"))  # all took from 20 to 50 ms


def test_the_axis_begins_with_zero_and_its_end_holds_everything(onlooker: Operator) -> None:
    ended = chart(onlooker.visit(), "Runs ended, a minute")
    expect(ended.locator(".ticks").first.locator("span")).to_have_text(["20", "10", "0"])
    expect(ended.locator(".ticks").last.locator("span").last).to_have_text("now")
    heights = {float(y) for y in re.findall(r"V([\d.]+)", ended.locator("path.column.good").get_attribute("d") or "")}
    assert heights == {60.0, 120.0}  # ten of twenty is half of the height


def test_mouse_and_keys_read_a_moment(onlooker: Operator) -> None:
    page = onlooker.visit()
    ended = chart(page, "Runs ended, a minute")
    expect(ended.locator(".moment")).to_have_text("in all")
    area = ended.locator(".area")
    box = area.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.57, box["y"] + 20)  # some 25 minutes ago: amidst the gap
    expect(ended.locator(".moment")).to_have_text(re.compile(r"^\d\d:\d\d$"))
    expect(legend(ended, "completed")).to_have_text("0")
    page.mouse.move(0, 0)
    expect(ended.locator(".moment")).to_have_text("in all")
    slider = page.get_by_role("slider", name="Runs ended, a minute")
    slider.focus()
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d, not over: completed 0, to run again 0"))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    for _ in range(14):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute(
        "aria-valuetext", re.compile(r"^\d\d:\d\d: completed 10, .*failed 0, cancelled 0$")
    )
    expect(ended.locator(".cursor")).to_have_count(1)
    page.keyboard.press("g")  # the keys that work everywhere work here
    page.keyboard.press("q")
    expect(page.get_by_role("heading", level=1, name="Queues")).to_be_visible()


def test_the_time_looked_back_on_is_in_the_address(onlooker: Operator) -> None:
    page = onlooker.visit()
    page.get_by_role("combobox", name="Time", exact=True).select_option(label="6 hours")
    ended = chart(page, "Runs ended, per 5 minutes")
    expect(legend(ended, "completed")).to_have_text("590")
    assert "minutes=360" in page.url
    page.reload()
    expect(legend(chart(page, "Runs ended, per 5 minutes"), "completed")).to_have_text("590")
    expect(legend(chart(page, "Run time"), "95 % within")).to_be_visible()


def test_charts_are_there_after_a_restart(old_floor: Floor, onlooker: Operator) -> None:
    onlooker.expects("ERR_", "Failed to load")
    page = onlooker.visit()
    expect(legend(chart(page, "Runs ended, a minute"), "completed")).to_have_text("350")
    old_floor.server.kill()
    old_floor.server.start()
    page.reload()
    expect(legend(chart(page, "Runs ended, a minute"), "completed")).to_have_text("350")


def test_a_queue_shows_what_came_and_went_and_how_busy_it_was(onlooker: Operator) -> None:
    page = onlooker.visit("#/queues")
    spark = page.locator("[data-row=mail]").get_by_role("img", name="In and out in the last hour")
    expect(spark).to_have_attribute("aria-label", re.compile("at most 14 a minute came in, 13 ended"))
    expect(spark.locator("path")).to_have_count(2)
    page.get_by_role("link", name="mail", exact=True).click()
    expect(legend(chart(page, "Runs ended, a minute"), "completed")).to_have_text("350")
    came = chart(page, "In and out, a minute")
    expect(came.locator(".key")).to_have_count(2)
    expect(chart(page, "Waiting jobs")).to_be_visible()
    expect(page.get_by_text("no slots", exact=False)).to_be_visible()  # no worker: how busy it was cannot be told


def test_a_tasks_own_charts_stand_on_its_page(onlooker: Operator) -> None:
    page = onlooker.visit("#/tasks/deliver")
    ended = chart(page, "Runs ended, a minute")
    expect(legend(ended, "failed")).to_have_text("10")
    expect(legend(ended, "completed")).to_have_text("0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_can_be_read_by_everybody(onlookers: Callable[..., Operator], scheme: str) -> None:
    page = onlookers(color_scheme=scheme, viewport={"width": 390, "height": 844}).visit()
    wrong = []
    for place in ("#/", "#/queues", "#/queues/mail", "#/tasks/send"):
        page.goto(f"/background/{place}")
        is_live(page)
        if place != "#/queues":
            for title in ("Runs ended, a minute", "Run time"):
                chart(page, title).get_by_text("As a table").click()
            page.get_by_role("slider").first.focus()
        wrong += [f"{place} {each}" for each in violations(page, colours_only=scheme == "dark")]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
    assert wrong == []


def test_a_store_that_does_not_count_is_said(onlooker: Operator) -> None:
    page = onlooker.visit("#/workers")
    told = page.request.get("/background/api/overview").json()
    told["visitor"]["offers"] = [each for each in told["visitor"]["offers"] if not each.startswith("/api/history")]
    page.route("**/api/overview", lambda route: route.fulfill(json=told))
    page.goto("/background/#/")
    page.reload()
    expect(page.get_by_text("This installation does not count how runs end")).to_be_visible()
