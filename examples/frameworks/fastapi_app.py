"""FastAPI: the newsletters of work.py behind a page, http://127.0.0.1:8000/. In this folder:

    uvicorn fastapi_app:app                  # or with --reload

It runs the jobs itself; with WORKER=outside in the environment `jobsworth worker work:jobs` does.
"""

from __future__ import annotations

from typing import Annotated

import work
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.sessions import SessionMiddleware

from jobsworth import Jobsworth
from jobsworth.integrations.fastapi import get_jobs
from jobsworth.web import Site


def whose(request: Request) -> str:
    """The visitor, as the session knows them."""
    if owner := request.session.get("owner"):
        return str(owner)
    raise HTTPException(401, "open the page first")


Owner = Annotated[str, Depends(whose)]
site = Site(work.jobs, authorize=lambda request: work.visitor(request.raw["session"].get("owner")))
app = FastAPI(lifespan=work.jobs.lifespan(worker=work.INSIDE))
app.add_middleware(SessionMiddleware, secret_key=work.SESSIONS)
app.mount("/page", StaticFiles(directory=work.PAGE))
app.mount("/background", site.asgi)


@app.get("/", include_in_schema=False)
async def page(request: Request) -> FileResponse:
    """The page itself. Whoever opens it is a visitor from then on."""
    request.session.setdefault("owner", work.new_owner())
    return FileResponse(work.PAGE / "index.html")


@app.post("/newsletters", status_code=201)
async def send(owner: Owner) -> dict[str, str]:
    """Enqueue a newsletter of this visitor's."""
    job = await work.newsletters.options(owner=owner, label="News").aenqueue({"readers": 20})
    return {"job": job.id, "label": "News"}


@app.get("/newsletters")
async def mine(owner: Owner, jobs: Annotated[Jobsworth, Depends(get_jobs)]) -> list[dict[str, str | None]]:
    """This visitor's newsletters, newest first."""
    return [{"job": job.id, "label": job.label} for job in await jobs.afind(owner=owner, limit=20)]
