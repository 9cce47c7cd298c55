"""A Spikard app with the whole site under /background, for tests; which Spikard is found by what can be imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import spikard

from jobsworth.integrations.spikard import EVERYTHING, MONITORING, register, serve
from jobsworth.web import Level, Request, Visitor

sys.path.append(str(Path(__file__).parent.parent))
from web_client import an_app


async def who(request: Request) -> Visitor | None:
    """Whom the cookie names, at the level that it names."""
    name, _, level = request.raw["cookies"].get("who", "").partition(":")
    return Visitor(Level[level], name=name, owner=name) if level else None


if hasattr(spikard, "Spikard"):
    app: Any = spikard.Spikard(spikard.ServerConfig(host="127.0.0.1", port=int(os.environ["PORT"])))
else:
    app = spikard.App()
PAGE = """<!doctype html><title>A job</title><link rel="icon" href="data:,">
<script type="module" src="/background/static/jobsworth.js"></script>
<job-progress job="%s" label="film"></job-progress>"""


@app.get("/page/{job}")
def page(job: str) -> Any:
    """A page of the app's own that shows a job."""
    return spikard.Response(content=PAGE % job, status_code=200, headers={"content-type": "text/html; charset=utf-8"})


jobs = an_app(os.environ["JOBSWORTH_URL"])
register(app, jobs, authorize=who, prefix="/background", routes=EVERYTHING)
register(app, jobs, authorize=lambda _: Level.READ, routes=MONITORING, streams=3)

if __name__ == "__main__":
    serve(app)
    print("served", flush=True)
