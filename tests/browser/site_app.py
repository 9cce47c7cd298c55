"""The program that the browser tests look at: an app with pages of its own and the site under /background.

Run as a script it is a server or a worker, in a process of its own, in the folder that holds its jobs and its pages:
`python site_app.py asgi PORT`, `python site_app.py wsgi PORT`, `python site_app.py worker`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from jobsworth import CurrentJob, GiveUp, Jobsworth, Queue, Retry
from jobsworth.web import Level, Request, Site, Visitor

SECRET = "a secret of the browser tests"
# As strict as a page can be: no inline script or style, nothing from elsewhere, no HTML made from text.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; report-uri /reports"
)
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}


def make_jobs(folder: Path) -> Jobsworth:
    """The app's Jobsworth, with a task that does what a test writes down for it."""
    jobs = Jobsworth(f"sqlite:///{folder / 'jobs.db'}", secret=SECRET)
    jobs.add(Queue("steps", worker_count=30, retry=Retry(max_attempts=1)))
    jobs.add(Queue("nobody"))  # no worker serves it

    @jobs.task(queue="steps")
    def steps(job: CurrentJob) -> str:
        """Each line of the file that is named for the job is one thing to do."""
        path, done, stubborn = folder / job.id, 0, False
        while True:
            if not stubborn:
                job.check_cancelled()
            lines = path.read_text().split("\n")[:-1] if path.exists() else []
            for line in lines[done:]:
                match line.split(" ", 2):
                    case ["progress" | "log", _, _] as words:
                        tell(job, words)
                    case ["stubborn"]:
                        stubborn = True
                    case ["fail", *words]:
                        raise GiveUp(" ".join(words))
                    case ["end"]:
                        return job.id
            done = len(lines)
            time.sleep(0.02)

    @jobs.task(queue="nobody")
    def wait() -> None:
        """Is never run."""

    return jobs


def tell(job: CurrentJob, words: list[str]) -> None:
    """What a job says of itself."""
    match words:
        case ["progress", percent, message]:
            job.report_progress(percent=float(percent), message=message)
        case ["log", level, message]:
            logging.getLogger("rows").log(logging.getLevelNamesMapping()[level], "%s", message)


def who(request: Request) -> Visitor | None:
    """The app's users sign in with a cookie that names them. Nobody would do that."""
    name = request.headers.get("cookie", "").partition("user=")[2]
    return Visitor(Level.USER, owner=name) if name else None


class Pages:
    """What both hosts serve beside the site: pages out of the folder, and an ear for the browser's reports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path == "/reports":
            with (self._folder / "reports").open("ab") as reports:
                reports.write(body + b"\n")
            return 204, {}, b""
        if path == "/favicon.ico":
            return 204, {}, b""
        page = self._folder / "pages" / Path(path).name
        if not page.is_file():
            return 404, {}, b""
        return 200, {"content-type": _TYPES[page.suffix], "content-security-policy": POLICY}, page.read_bytes()


class Counter:
    """Counts the requests for streams: those open now, the most at once, and all there ever were."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.open = self.most = self.all = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope.get("path", "").endswith("/events"):
            await self._app(scope, receive, send)
            return
        self.open += 1
        self.all += 1
        self.most = max(self.most, self.open)
        try:
            await self._app(scope, receive, send)
        finally:
            self.open -= 1


class AsgiApp:
    """The app under ASGI: the site under /background, numbers under /streams, pages elsewhere."""

    def __init__(self, folder: Path, port: int) -> None:
        site = Site(make_jobs(folder), authorize=who, origins=[f"http://127.0.0.1:{port}"])
        self._streams = Counter(site.asgi)
        self._pages = Pages(folder)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/background/"):
            await self._streams({**scope, "root_path": "/background"}, receive, send)
            return
        if scope["path"] == "/streams":
            counted = {name: getattr(self._streams, name) for name in ("open", "most", "all")}
            status, headers, body = 200, {"content-type": "application/json"}, json.dumps(counted).encode()
        else:
            status, headers, body = self._pages.answer(scope["path"], await _read(receive))
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


async def _read(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def serve_asgi(folder: Path, port: int) -> None:
    import uvicorn

    uvicorn.run(AsgiApp(folder, port), host="127.0.0.1", port=port, log_level="info", timeout_graceful_shutdown=1)


def serve_wsgi(folder: Path, port: int) -> None:
    """The same for a host that cannot stream."""
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.serving import make_server
    from werkzeug.wrappers import Request as Asked
    from werkzeug.wrappers import Response

    pages = Pages(folder)

    @Asked.application
    def app(request: Asked) -> Response:
        status, headers, body = pages.answer(request.path, request.get_data())
        return Response(body, status, headers)

    whole = DispatcherMiddleware(app, {"/background": Site(make_jobs(folder), authorize=who).wsgi})
    make_server("127.0.0.1", port, whole, threaded=True).serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    match sys.argv[1:]:
        case ["asgi", port]:
            serve_asgi(Path.cwd(), int(port))
        case ["wsgi", port]:
            serve_wsgi(Path.cwd(), int(port))
        case ["worker"]:
            asyncio.run(make_jobs(Path.cwd()).worker("steps").run(signals=True))
