"""Runs an app until Ctrl-C, with a worker beside it: python app.py; or without one: WORKER=elsewhere python app.py."""

from __future__ import annotations

import os
from typing import Any

import handlers
import work

from jobsworth.integrations.spikard import serve


def run(app: Any, port: int) -> None:
    """Serve until SIGINT or SIGTERM; what runs then has half a minute to end."""
    print(f"Serving http://127.0.0.1:{port}, and the dashboard at /background/", flush=True)
    if "MONITOR" not in os.environ:
        print(f"Monitors sign in as {handlers.MONITOR}", flush=True)
    if os.environ.get("WORKER") == "elsewhere":  # `jobsworth worker work:jobs`, on this machine or another
        serve(app)
    else:
        with work.jobs.worker():
            serve(app)
    work.jobs.close()
