"""Starlette: the newsletters of work.py behind a page, http://127.0.0.1:8000/. In this folder:

    uvicorn starlette_app:app                # or with --reload

It runs the jobs itself; with WORKER=outside in the environment `jobsworth worker work:jobs` does.
"""

from __future__ import annotations

import work
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jobsworth.web import Site


def whose(request: Request) -> str:
    """The visitor, as the session knows them."""
    if owner := request.session.get("owner"):
        return str(owner)
    raise HTTPException(401, "open the page first")


async def page(request: Request) -> FileResponse:
    """The page itself. Whoever opens it is a visitor from then on."""
    request.session.setdefault("owner", work.new_owner())
    return FileResponse(work.PAGE / "index.html")


async def send(request: Request) -> JSONResponse:
    """Enqueue a newsletter of this visitor's."""
    job = await work.newsletters.options(owner=whose(request), label="News").aenqueue({"readers": 20})
    return JSONResponse({"job": job.id, "label": "News"}, 201)


async def mine(request: Request) -> JSONResponse:
    """This visitor's newsletters, newest first."""
    found = await work.jobs.afind(owner=whose(request), limit=20)
    return JSONResponse([{"job": job.id, "label": job.label} for job in found])


site = Site(work.jobs, authorize=lambda request: work.visitor(request.raw["session"].get("owner")))
app = Starlette(
    routes=[
        Route("/", page),
        Route("/newsletters", mine),
        Route("/newsletters", send, methods=["POST"]),
        Mount("/page", StaticFiles(directory=work.PAGE)),
        Mount("/background", site.asgi),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key=work.SESSIONS)],
    lifespan=work.jobs.lifespan(worker=work.INSIDE),
)
