"""The program behind the dashboard's tests: the browser tests' app with more tasks, for operators, under /background.

`python floor_app.py asgi PORT` or `python floor_app.py worker`, in the folder that holds its jobs.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any, Literal

import site_app

from jobsworth import Jobsworth, Queue, Retry
from jobsworth.web import Level, Request, Site, Visitor

QUEUES = ("steps", "mail")  # that a worker serves


def make_jobs(folder: Path) -> Jobsworth:
    jobs = site_app.make_jobs(folder)
    jobs.add(Queue("mail", worker_count=4, retry=Retry(max_attempts=1)))
    add_tasks(jobs)
    return jobs


def add_tasks(jobs: Jobsworth) -> None:
    @jobs.task(queue="mail")
    def send(
        to: str,
        copies: int = 1,
        kind: Literal["letter", "card"] = "letter",
        urgent: bool = False,
        extra: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Send a letter, or a card."""
        return {"to": to, "copies": copies, "kind": kind, "urgent": urgent, "extra": extra}

    @jobs.task(queue="mail")
    def deliver(address: str) -> None:
        """Fails unless the address has a number."""
        find_house(address)


def find_house(address: str) -> None:
    if not any(letter.isdigit() for letter in address):
        raise ValueError(f"no number in {address!r}")


def who(request: Request) -> Visitor:
    """An admin, or whatever the cookie says. Nobody would do that."""
    name = request.headers.get("cookie", "").partition("level=")[2] or "ADMIN"
    return Visitor(Level[name], name="ada")


class App:
    """The site under /background, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._site = Site(make_jobs(folder), authorize=who)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/background"):
            await self._site.asgi({**scope, "root_path": "/background"}, receive, send)
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    match sys.argv[1:]:
        case ["asgi", port]:
            import uvicorn

            app = App(Path.cwd())
            uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="info", timeout_graceful_shutdown=1)
        case ["worker"]:
            asyncio.run(make_jobs(Path.cwd()).worker(QUEUES).run(signals=True))
