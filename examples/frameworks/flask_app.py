"""Flask: the newsletters of work.py behind a page, http://127.0.0.1:5000/. In this folder:

    flask --app flask_app run                # or with --debug
    flask --app flask_app jobs status        # and list, show, cancel, worker...: all of `jobsworth`

It runs the jobs itself; with WORKER=outside in the environment `flask --app flask_app jobs worker` does.
"""

from __future__ import annotations

import work
from flask import Flask, abort, send_from_directory, session
from flask.typing import ResponseReturnValue

from jobsworth.integrations.flask import JobsworthFlask

app = Flask(__name__, static_folder=work.PAGE, static_url_path="/page")
app.secret_key = work.SESSIONS
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
app.config["JOBSWORTH_WORKER"] = work.INSIDE
JobsworthFlask(work.jobs, app, authorize=lambda _request: work.visitor(session.get("owner")))


def whose() -> str:
    """The visitor, as the session knows them."""
    return str(session["owner"]) if "owner" in session else abort(401, "open the page first")


@app.get("/")
def page() -> ResponseReturnValue:
    """The page itself. Whoever opens it is a visitor from then on."""
    session.setdefault("owner", work.new_owner())
    return send_from_directory(work.PAGE, "index.html")


@app.post("/newsletters")
def send() -> ResponseReturnValue:
    """Enqueue a newsletter of this visitor's."""
    job = work.newsletters.options(owner=whose(), label="News").enqueue({"readers": 20})
    return {"job": job.id, "label": "News"}, 201


@app.get("/newsletters")
def mine() -> ResponseReturnValue:
    """This visitor's newsletters, newest first."""
    return [{"job": job.id, "label": job.label} for job in work.jobs.find(owner=whose(), limit=20)]
