"""The server that browsers are connected to: `python -m bench.site PORT`. Everybody may see everything here."""

from __future__ import annotations

import sys

import uvicorn

from bench import ours
from jobsworth.web import Level, Site

site = Site(ours.jobs, authorize=Level.READ, streams=5_000)

if __name__ == "__main__":
    uvicorn.run(site.asgi, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", backlog=4_096)
