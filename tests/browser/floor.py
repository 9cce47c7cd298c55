"""The shop floor that operators look at: its server, its worker, its jobs, and those who visit the dashboard."""

from __future__ import annotations

from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import floor_app
from house import AsgiServer, Program
from playwright.sync_api import Page, expect
from stage import Visitor

from jobsworth import JobHandle
from jobsworth.engine import QueueSettings, Where
from jobsworth.job import FINAL, Job, State
from undertaker import Undertaker
from waiting import until

PROGRAM = Path(floor_app.__file__)
SCREENS = ("#/", "#/jobs", "#/queues", "#/workers", "#/dead", "#/tasks")
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# A table's rows are made alike: its first ten speak for sixty. Of what is right nothing is asked but that it is.
LOOK = """(rules) => axe.run(
    { include: [":root"], exclude: ["tbody tr:nth-child(n + 11)"] },
    { runOnly: rules, resultTypes: ["violations"] },
)"""
# Whatever the policy forbids is said on the console, where the visitor hears it.
TELLTALE = (
    "addEventListener('securitypolicyviolation',"
    " (it) => console.error(`CSP: ${it.violatedDirective} ${it.blockedURI} ${it.sample}`))"
)


class FloorServer(AsgiServer):
    def _command(self) -> list[str]:
        return [str(self.program), str(PROGRAM), "asgi", str(self.port)]


class FloorWorker(Program):
    does = "worker"

    def _command(self) -> list[str]:
        return [str(self.program), str(PROGRAM), "worker"]

    def _answers(self) -> bool:
        with closing(floor_app.make_jobs(self.place)) as jobs:
            return any(card.pid == self.pid for card in jobs.workers())


class Floor:
    """The app's jobs, server and worker. `works` is false for one without a worker."""

    def __init__(self, undertaker: Undertaker, folder: Path, *, works: bool = True) -> None:
        self.folder = folder
        self.jobs = floor_app.make_jobs(folder)
        self.jobs.open()
        self.server = FloorServer(undertaker, folder)
        self.worker = FloorWorker(undertaker, folder) if works else None

    def start(self) -> None:
        self.server.start()
        if self.worker:
            self.worker.start()

    def close(self) -> None:
        if self.worker:
            self.worker.close()
        self.server.close()
        self.jobs.close()

    def enqueue(self, task: str, *args: Any, options: dict[str, Any] | None = None, **kwargs: Any) -> JobHandle[Any]:
        return self.jobs.find_task(task).options(**(options or {})).enqueue(*args, **kwargs)

    def steps(self, *lines: str, **options: Any) -> JobHandle[Any]:
        """A job that does what it is told, as in house.py."""
        handle = self.enqueue("steps", options=options)
        self.tell(handle, *lines)
        return handle

    def tell(self, handle: JobHandle[Any], *lines: str) -> None:
        with (self.folder / handle.id).open("a") as steps:
            steps.write("".join(f"{line}\n" for line in lines))

    def dead(self, *addresses: str) -> list[JobHandle[Any]]:
        """Jobs that the worker has given up."""
        made = [self.enqueue("deliver", address) for address in addresses]
        for handle in made:
            until(lambda handle=handle: handle.state == State.FAILED, what="it is given up")
        return made

    def now(self, handle: JobHandle[Any]) -> Job:
        """The job as it stands now."""
        return self.jobs.handle(handle.id).job

    def count(self, *states: State, **more: Any) -> int:
        where = Where(states=states or None, limit=None, **more)
        return self.jobs.bridge.call(lambda engine: engine.count(where))

    def paused(self, queue: str) -> bool:
        (status,) = self.jobs.bridge.call(lambda engine: engine.queues([queue], brief=True))
        return status.paused

    def clear(self) -> None:
        """End what runs, and delete everything."""
        for job in self.jobs.find(states=tuple(state for state in State if state not in FINAL), limit=None):
            with (self.folder / job.id).open("a") as steps:
                steps.write("end\n")
            self.jobs.handle(job.id).cancel()
        until(lambda: self.count(State.RUNNING, State.CANCELLING, State.QUEUED) == 0, what="nothing runs")
        self.jobs.bridge.call(lambda engine: engine.delete(Where(limit=None)))
        for queue in floor_app.QUEUES:
            self.jobs.bridge.call(lambda engine, queue=queue: engine.configure(queue, QueueSettings(paused=False)))


class Operator(Visitor):
    """Somebody with the dashboard open."""

    def __init__(self, browser: Any, base_url: str, level: str = "ADMIN", **options: Any) -> None:
        super().__init__(browser, base_url, **options)
        self.context.add_cookies([{"name": "level", "value": level, "url": base_url}])
        self.context.add_init_script(TELLTALE)

    def visit(self, place: str = "#/") -> Page:
        """The dashboard at this place; it is live when this returns."""
        page = self.open(f"/background/{place}")
        is_live(page)
        return page


def is_live(page: Page) -> None:
    expect(page.locator("[data-trust=live]")).to_be_visible()
    expect(page.locator("main .loading")).to_have_count(0)


def violations(page: Page, *, colours_only: bool = False) -> list[str]:
    """What axe-core finds wrong. Dark and light differ in colours only."""
    page.evaluate(AXE)
    rules = ["color-contrast"] if colours_only else RULES
    found = page.evaluate(LOOK, rules)["violations"]
    return [f"{each['id']}: {node['html']} {node['failureSummary']}" for each in found for node in each["nodes"]]
