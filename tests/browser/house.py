"""The app that the browser tests look at, as they use it: its server, its worker, its pages and its jobs."""

from __future__ import annotations

import html
import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from site_app import make_jobs

from jobsworth import JobHandle
from jobsworth.job import FINAL, State
from private_server import Server
from undertaker import Undertaker
from waiting import until

PROGRAM = Path(__file__).with_name("site_app.py")
STATIC = "/background/static/jobsworth.js"


class Program(Server):
    """A process of site_app.py."""

    name = "site"
    programs = (sys.executable,)
    package = formula = "python3"
    does: ClassVar[str]

    def __init__(self, undertaker: Undertaker, place: Path) -> None:
        self.place = place
        super().__init__(undertaker)

    def _surroundings(self) -> dict[str, Any]:
        path = os.pathsep.join(filter(None, sys.path))
        return {**super()._surroundings(), "cwd": self.place, "env": {**os.environ, "PYTHONPATH": path}}


class AsgiServer(Program):
    """uvicorn. Chromium and the tests reach it at `url`."""

    does = "asgi"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _command(self) -> list[str]:
        return [str(self.program), str(PROGRAM), self.does, str(self.port)]

    def _answers(self) -> bool:
        return self.get("/background/livez")[0] == 200


class WsgiServer(AsgiServer):
    """A server that cannot stream."""

    does = "wsgi"


class WorkerProcess(Program):
    does = "worker"

    def _command(self) -> list[str]:
        return [str(self.program), str(PROGRAM), self.does]

    def _answers(self) -> bool:
        with closing(make_jobs(self.place)) as jobs:
            return any(card.pid == self.pid for card in jobs.workers())


class House:
    """The app. `server` and `wsgi` may be killed; they are back before the next test begins."""

    def __init__(self, undertaker: Undertaker, folder: Path) -> None:
        self.folder = folder
        (folder / "pages").mkdir()
        self.jobs = make_jobs(folder)
        self.jobs.open()
        self.server = AsgiServer(undertaker, folder)
        self.wsgi = WsgiServer(undertaker, folder)
        self.worker = WorkerProcess(undertaker, folder)
        self._pages = 0

    def start(self) -> None:
        """Start whatever does not run. The WSGI server only once somebody has asked for it."""
        self.server.start()
        self.worker.start()
        if self.wsgi.port:
            self.wsgi.start()

    def close(self) -> None:
        for program in (self.worker, self.server, self.wsgi):
            program.close()
        self.jobs.close()

    def enqueue(self, *first: str, task: str = "steps", **options: Any) -> JobHandle[Any]:
        """A job that waits for what it is told; `first` is told at once."""
        handle = self.jobs.find_task(task).options(**options).enqueue()
        self.tell(handle, *first)
        return handle

    def tell(self, handle: JobHandle[Any], *lines: str) -> None:
        """What a job does next: "progress 40 Loading", "stubborn" (it hears no cancel), "fail REASON" or "end"."""
        with (self.folder / handle.id).open("a") as steps:
            steps.write("".join(f"{line}\n" for line in lines))

    def clear(self) -> None:
        """End what still runs, and forget what browsers have reported."""
        for job in self.jobs.find(states=tuple(state for state in State if state not in FINAL), limit=None):
            with (self.folder / job.id).open("a") as steps:
                steps.write("end\n")
            self.jobs.handle(job.id).cancel()
        (self.folder / "reports").unlink(missing_ok=True)

    def page(self, body: str = "", script: str = STATIC, style: str = "") -> str:
        """The path of a page that loads the module."""
        self._pages += 1
        name = f"{self._pages}.html"
        link = '<link rel="stylesheet" href="/style.css">' if style else ""
        (self.folder / "pages" / "style.css").write_text(style)
        (self.folder / "pages" / name).write_text(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Jobs</title>{link}'
            f'<script type="module" src="{script}"></script></head>\n'
            f"<body><main><h1>Jobs</h1>\n{body}\n</main></body></html>\n"
        )
        return f"/{name}"

    def page_of(self, *handles: JobHandle[Any], **more: Any) -> str:
        """The path of a page that shows these jobs, each under its token."""
        return self.page("\n".join(element(handle.id, handle.token()) for handle in handles), **more)

    def streams(self) -> dict[str, int]:
        """Streams that are `open` now, the `most` at once and `all` there ever were, since the server was started."""
        return json.loads(self.server.get("/streams")[1])

    def reports(self) -> list[str]:
        """What browsers have reported of the policy being broken."""
        path = self.folder / "reports"
        return path.read_text().splitlines() if path.exists() else []


def element(job_id: str, token: str = "", label: str = "") -> str:
    attributes = {"job": job_id, "token": token, "label": label}
    given = "".join(f' {name}="{html.escape(value)}"' for name, value in attributes.items() if value)
    return f"<job-progress{given}></job-progress>"


@contextmanager
def dead(server: Server) -> Iterator[None]:
    """kill -9 it; it is back afterwards, at the same address."""
    server.kill()
    try:
        yield
    finally:
        server.start()


def reaches(handle: JobHandle[Any], status: str) -> None:
    """Wait until the job is there, whatever browsers know."""
    until(lambda: handle.state == status, what=f"the job is {status}")
