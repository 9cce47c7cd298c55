"""In a browser, from both Spikards: a job and the dashboard are live, although no stream can be had there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect
from stage import Stage, Visitor

from jobsworth import CurrentJob, Jobsworth
from web_client import an_app

sys.path.append(str(Path(__file__).parent.parent / "integrations"))
from spikard_server import SPELLINGS, Server, served

SITE = Path(__file__).parent.parent / "integrations" / "spikard_site.py"
NO_STREAMS = "501"


class House(NamedTuple):
    server: Server
    jobs: Jobsworth


@pytest.fixture(scope="module", params=SPELLINGS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp(f"pages-{request.param}")
    url = f"sqlite:///{folder / 'jobs.db'}"
    with served(request.param, SITE, folder, JOBSWORTH_URL=url) as server:
        jobs = an_app(url)
        yield House(server, jobs)
        jobs.close()


@pytest.fixture
def opened(stage: Stage, house: House) -> Iterator[Callable[[str, str], Page]]:
    """Open a page as somebody."""
    base = str(house.server.client.base_url)
    visitor = Visitor(stage.browser, base)
    visitor.expects(NO_STREAMS)
    visitor.context.clock.install()

    def opened(path: str, who: str) -> Page:
        visitor.context.add_cookies([{"name": "who", "value": who, "url": base}])
        return visitor.open(path)

    yield opened
    visitor.close()


def test_a_job_moves_in_a_page_and_is_cancelled_there(house: House, opened: Callable[[str, str], Page]) -> None:
    on = threading.Event()

    @house.jobs.task(queue="film")
    def develop(job: CurrentJob) -> None:
        job.report_progress(percent=40, message="in the first bath")
        on.wait(30)
        job.report_progress(percent=60, message="in the second bath")
        while True:
            job.check_cancelled()
            on.wait(0.01)
            on.clear()

    job = develop.options(owner="ada").enqueue()
    page = opened(f"/page/{job.id}", "ada:USER")
    expect(page.get_by_role("status")).to_have_text("queued · film")
    with house.jobs.worker("film"):
        expect(page.get_by_text("40 % · in the first bath")).to_be_visible()
        on.set()
        expect(page.get_by_text("60 % · in the second bath")).to_be_visible()
        page.get_by_role("button", name="Cancel · film").click()
        expect(page.get_by_role("status")).to_have_text("cancelled · film")


def test_the_dashboard_follows(house: House, opened: Callable[[str, str], Page]) -> None:
    page = opened("/background/", "root:ADMIN")
    expect(page.get_by_text("live, every 5 s")).to_be_visible()
    house.jobs.find_task("send").enqueue_many([("ada",)] * 123)
    page.clock.fast_forward(6_000)
    expect(page.get_by_text("123", exact=True).first).to_be_visible()
