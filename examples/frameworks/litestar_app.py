"""Litestar: the newsletters of work.py behind a page, http://127.0.0.1:8000/. In this folder:

    litestar --app litestar_app:app run      # or with --reload
    litestar --app litestar_app:app jobs status         # and list, show, cancel, worker...: all of `jobsworth`

It runs the jobs itself; with WORKER=outside in the environment `litestar --app litestar_app:app jobs worker` does.
"""

from __future__ import annotations

from typing import Any

import work
from litestar import Litestar, Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.response import File
from litestar.static_files import create_static_files_router

from jobsworth import Jobsworth
from jobsworth.integrations.litestar import JobsworthPlugin


def whose(request: Request[Any, Any, Any]) -> str:
    """The visitor, as the session knows them."""
    if owner := request.session.get("owner"):
        return str(owner)
    raise NotAuthorizedException("open the page first")


@get("/", include_in_schema=False)
async def page(request: Request[Any, Any, Any]) -> File:
    """The page itself. Whoever opens it is a visitor from then on."""
    request.session.setdefault("owner", work.new_owner())
    return File(work.PAGE / "index.html", media_type="text/html", content_disposition_type="inline")


@post("/newsletters")
async def send(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Enqueue a newsletter of this visitor's."""
    job = await work.newsletters.options(owner=whose(request), label="News").aenqueue({"readers": 20})
    return {"job": job.id, "label": "News"}


@get("/newsletters")
async def mine(request: Request[Any, Any, Any], jobs: NamedDependency[Jobsworth]) -> list[dict[str, str | None]]:
    """This visitor's newsletters, newest first."""
    return [{"job": job.id, "label": job.label} for job in await jobs.afind(owner=whose(request), limit=20)]


app = Litestar(
    route_handlers=[page, send, mine, create_static_files_router("/page", directories=[work.PAGE])],
    middleware=[ServerSideSessionConfig().middleware],  # in this process's memory: give it a store of its own
    plugins=[
        JobsworthPlugin(
            work.jobs,
            authorize=lambda request: work.visitor(request.raw["session"].get("owner")),
            worker=work.INSIDE,
        )
    ],
)
