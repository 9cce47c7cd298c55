"""SPRAG applications in Chromium, served by SPRAG: the pages know nothing of where their jobs live."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from sprag_site import ASK, Site, example, labs, program
from stage import Stage, Visitor

from undertaker import Undertaker, dies_with_us

PICTURES = Path(__file__).parent.parent.parent / "examples" / "photos" / "pictures"
SOON, LATER = 30_000, 60_000  # ms until a page has what it waits for; until a killed server's lease has run out
EXPECTED = ("favicon",)  # SPRAG has none
Serve = Callable[..., Site]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Make a project, and serve it until the module's tests are over."""
    undertaker, sites = Undertaker(), {}

    def served(make: Callable[[Path], Path], *options: str, **environment: str) -> Site:
        key = (make.__name__, *options, *environment)
        if key not in sites:
            folder = tmp_path_factory.mktemp(make.__name__)
            sites[key] = Site(undertaker, make(folder), *options, **environment)
        sites[key].start()
        return sites[key]

    yield served
    for site in sites.values():
        site.close()
    undertaker.dismiss()


@pytest.fixture
def visitors(stage: Stage) -> Iterator[Callable[[Site], Visitor]]:
    """People who visit a site, each with a session of their own."""
    made: list[Visitor] = []

    def new(site: Site) -> Visitor:
        made.append(Visitor(stage.browser, site.url))
        made[-1].expects(*EXPECTED)
        return made[-1]

    yield new
    for visitor in made:
        visitor.close()


def connected(visitor: Visitor, path: str) -> tuple[Page, list[str]]:
    """A tab whose socket is ready, and what comes through it."""
    came: list[str] = []
    visitor.context.on(
        "page",
        lambda page: page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: came.append(str(frame)))),
    )
    page = visitor.open(path)
    while not any('"ready"' in each for each in came):
        page.wait_for_timeout(20)
    return page, came


def shows(page: Page, text: str, within: int = SOON) -> None:
    """Wait until the labs' page says so of its job, if only for a moment."""
    there = "(text) => document.querySelectorAll('.status-line')[1].innerText.includes(text)"
    page.wait_for_function(there, arg=text, timeout=within)


def line(page: Page, number: int) -> Locator:
    return page.locator(".status-line").nth(number)


def test_the_labs_queue_page_shows_its_job_move_and_lets_it_be_cancelled(
    serve: Serve, visitors: Callable[[Site], Visitor]
) -> None:
    site = serve(labs)
    bystander, heard = connected(visitors(site), "/queue-demo")
    page, came = connected(visitors(site), "/queue-demo")
    page.get_by_text("Enqueue job").click()
    shows(page, "Job 1 · running · 50%")
    shows(page, "Job 1 · completed · 100%")
    expect(line(page, 0)).to_have_text("Completed Job 1.", use_inner_text=True)
    page.get_by_text("Enqueue job").click()
    shows(page, "running · 25%")
    page.get_by_text("Cancel job").click()
    shows(page, "cancelled")
    expect(line(page, 0)).to_have_text("Cancelled Job 1.", use_inner_text=True)
    page.reload()
    expect(line(page, 1)).to_contain_text("cancelled", use_inner_text=True)
    assert sum("sprag:queue.job.changed" in each for each in came) >= 8
    assert not any("queue.job" in each for each in heard)
    assert line(bystander, 1).inner_text() == "No queued job yet."


def test_the_labs_cross_wired_page_hears_what_a_handler_emits(
    serve: Serve, visitors: Callable[[Site], Visitor]
) -> None:
    page = visitors(serve(labs)).open("/cross-wired-demo")
    page.wait_for_function("window.performance.getEntriesByType('resource').length > 3")
    page.get_by_text("Enqueue chained job").click()
    expect(page.locator("main")).to_contain_text("Completed Chain 1.", timeout=SOON)
    expect(page.locator("main")).to_contain_text("(completed)")


def test_a_deferred_action_is_sprags_own(serve: Serve, visitors: Callable[[Site], Visitor]) -> None:
    page, came = connected(visitors(serve(labs)), "/defer-demo")
    asked = page.evaluate(ASK, ["start_job", {"seconds": 1}])
    assert asked["value"]["deferred"] is True
    while not any("sprag:action.resolved" in each for each in came):
        page.wait_for_timeout(20)
    assert any("Finished after 1s of work." in each for each in came)


def test_a_job_outlives_kill_9_and_the_page_shows_its_end(serve: Serve, visitors: Callable[[Site], Visitor]) -> None:
    site = serve(labs)
    ada, bob = visitors(site), visitors(site)
    stays, _ = connected(ada, "/queue-demo")
    comes_back, _ = connected(bob, "/queue-demo")
    for page in (stays, comes_back):
        page.get_by_text("Enqueue job").click()
    shows(stays, "running · 25%")
    for visitor in (ada, bob):
        visitor.expects("WebSocket connection", "net::ERR_")
    site.kill()
    site.start()
    comes_back.reload()
    for page in (stays, comes_back):
        shows(page, "completed · 100%", LATER)


def test_the_program_runs_word_for_word(serve: Serve, visitors: Callable[[Site], Visitor]) -> None:
    site = serve(program)
    visitor = visitors(site)
    page, _ = connected(visitor, "/")
    asked = page.evaluate(ASK, ["upload_image", {"file_path": "a.png"}])
    assert asked["value"]["accepted"] is True
    page.reload()  # now the module has its job's id
    expect(page.locator("main")).to_contain_text("running: Loading image...", timeout=SOON)
    (site.project / "go").touch()
    expect(page.locator("main")).to_contain_text("completed: ", timeout=SOON)
    expect(page.locator("main")).to_contain_text("a picture at [1200, 800]")
    (site.project / "go").unlink()
    asked = page.evaluate(ASK, ["upload_image", {"file_path": "a.png"}])
    page.reload()
    cancelled = page.evaluate(ASK, ["cancel_job", {"job_id": asked["value"]["job"]["id"]}])
    assert cancelled["value"]["job"]["status"] in ("cancelling", "cancelled")
    (site.project / "go").touch()
    expect(page.locator("main")).to_contain_text("cancelled: ", timeout=SOON)
    visitor.expects("404.*/__sprag__/actions")
    missing = page.evaluate(ASK, ["job_status", {"job_id": "none"}])
    assert "Unknown job 'none'" in missing["error"]


def test_the_program_is_told_of_jobs_that_a_worker_beside_it_runs(
    serve: Serve, visitors: Callable[[Site], Visitor]
) -> None:
    site = serve(program, JOBSWORTH_INNER_WORKER="off")
    page, _ = connected(visitors(site), "/")
    page.evaluate(ASK, ["upload_image", {"file_path": "a.png"}])
    page.reload()
    expect(page.locator("main")).to_contain_text("queued: Queued Job", timeout=SOON)
    command = [sys.executable, "-m", "jobsworth", "worker", "app", "--quiet"]
    worker = subprocess.Popen(command, cwd=site.project, env=site.surroundings())
    dies_with_us(worker.pid)
    expect(page.locator("main")).to_contain_text("running: Loading image...", timeout=SOON)
    (site.project / "go").touch()
    expect(page.locator("main")).to_contain_text("completed: ", timeout=SOON)
    worker.terminate()
    assert worker.wait(30) == 0


def test_the_example_makes_a_picture_smaller(serve: Serve, visitors: Callable[[Site], Visitor]) -> None:
    site = serve(example, PICTURES_PACE="0.8", PICTURES_FOLDER="pictures")
    page, _ = connected(visitors(site), "/")
    message = page.get_by_role("status")
    page.set_input_files("[name=picture]", PICTURES / "rocket.jpg")
    page.get_by_text("Make it smaller").click()
    # It passes: expect() looks once a second by then, this looks with every frame.
    page.wait_for_function("document.querySelector('[role=status]').innerText === 'Resizing...'", timeout=SOON)
    expect(message).to_have_text("Completed rocket.jpg.", timeout=SOON)
    expect(page.get_by_alt_text("rocket.jpg")).to_be_visible()
    assert page.evaluate("document.images[0].naturalWidth") == 320
    page.set_input_files("[name=picture]", site.project / "requirements.txt")
    page.get_by_text("Make it smaller").click()
    expect(message).to_have_text("This is not a picture that we can read.", timeout=SOON)
    page.set_input_files("[name=picture]", PICTURES / "rocket.jpg")
    page.get_by_text("Make it smaller").click()
    page.get_by_text("Cancel").click()
    expect(message).to_contain_text("ancelled", timeout=SOON)
    assert [path.suffix for path in (site.project / "pictures").iterdir()].count(".jpg") == 1
