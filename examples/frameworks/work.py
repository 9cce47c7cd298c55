"""The work of this example, the same for every framework: newsletters, which take a while to send.

    jobsworth worker work:jobs               # in this folder, for WORKER=outside; as many of these as you like

It knows nothing of the web: which frameworks there are stands in fastapi_app.py, starlette_app.py, flask_app.py and
litestar_app.py, of which you need one.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from jobsworth import Jobsworth, QueueService, web

PAGE = Path(__file__).parent / "page"
INSIDE = os.environ.get("WORKER", "inside") == "inside"  # whether the web process runs the jobs, too
SESSIONS = os.environ.get("SESSION_SECRET") or secrets.token_urlsafe(32)  # set it: the same everywhere and tomorrow
PACE = float(os.environ.get("PACE", "0.2"))  # seconds that one letter takes

jobs = Jobsworth()  # JOBSWORTH_URL, else an SQLite file in this folder, made when it is first needed


class Newsletters(QueueService):
    """One newsletter to all who read it."""

    name = "newsletters"
    worker_count = 4  # at once, in each worker process

    def handle_item(self, item: dict[str, int]) -> str:
        """Send them one by one. After a crash it runs again: real letters need a list of who has one."""
        readers = item["readers"]
        for number in range(1, readers + 1):
            self.check_cancelled()  # raises, if somebody asked for this job to stop
            time.sleep(PACE)  # your mail server would take its time here
            self.report_progress(current=number, total=readers, message=f"{number} of {readers} sent")
        return f"{readers} letters"


newsletters = jobs.add(Newsletters())


def new_owner() -> str:
    """Somebody who has not been here before. Your app has users instead: f"user:{user.id}"."""
    return f"visitor:{secrets.token_urlsafe(16)}"


def visitor(owner: str | None) -> web.Visitor | None:
    """Who asks for jobs over HTTP: whoever the session names may see and cancel their own, and nobody else's."""
    return web.Visitor(web.Level.USER, owner=owner) if owner else None
