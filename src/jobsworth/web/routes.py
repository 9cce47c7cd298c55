"""Every address there is, in one table: its method, who may ask, what it takes and gives, and what answers it.

A route cannot be made without a level. `{id}` in a path is a job and `{queue}` a queue: the site looks them up and
refuses whoever may not see them, before any handler runs.
"""

from __future__ import annotations

from jobsworth.why import Why

from . import floor, flows, letters, live, monitors, operators, pages, past, shown, sockets, users
from .access import Level
from .choice import Page
from .live import EVENTS
from .pages import HTML
from .table import Route, Table

NONE, USER, READ, OPERATE, ADMIN = Level

USERS = (
    Route("GET", "/jobs/{id}/status", USER, users.status,
          "Where a job stands; with `since`, as soon as that has changed.", query=users.Newer, answer=users.Snapshot),
    Route("GET", "/jobs/{id}/events", USER, live.job_events,
          "A job's changes as they happen, until it has ended. Last-Event-ID: the version that is known.", kind=EVENTS,
          refuses=(429, 501)),
    Route("GET", "/events", USER, live.events,
          "The changes of several jobs, of an owner's, or of the store as a whole.", query=live.Watched, kind=EVENTS,
          refuses=(429, 501)),
    Route("GET", "/ws", USER, sockets.plain,
          "A WebSocket for the same: say {watch, unwatch, tokens, owner, stats}, hear the events.", gives=(101,),
          refuses=(426, 429, 501), socket=True),
    Route("POST", "/jobs/{id}/cancel", USER, users.cancel, "Ask a job to stop.", data=users.Cancel,
          answer=users.Snapshot),
)  # fmt: skip
MONITORS = (
    Route("GET", "/livez", NONE, monitors.livez, "Whether this process works.", answer=monitors.Alive,
          gives=(200, 503)),
    Route("GET", "/readyz", NONE, monitors.readyz, "Whether jobs can be stored.", answer=monitors.Ready,
          gives=(200, 503)),
    Route("GET", "/health/jobs", READ, monitors.health, "Jobs in numbers.", answer=monitors.Health),
    Route("GET", "/task-stats", READ, monitors.task_stats, "What runs, and what ended since the start.",
          answer=monitors.TaskStats),
    Route("GET", "/metrics", READ, monitors.metrics, "Numbers for Prometheus.",
          kind="text/plain", refuses=(501,)),
)  # fmt: skip
OPERATORS = (
    Route("GET", "/api/overview", READ, floor.overview, "Whether anything is wrong.", answer=shown.Overview),
    Route("GET", "/api/jobs", READ, operators.list_jobs, "Jobs, newest first.", query=Page, answer=shown.Listing),
    Route("POST", "/api/jobs", OPERATE, operators.enqueue, "Enqueue a job.", data=operators.Enqueue,
          answer=operators.Enqueued, gives=(200, 201)),
    Route("POST", "/api/jobs/bulk", OPERATE, operators.bulk, "Act on many jobs.", data=operators.Bulk,
          answer=shown.Changed, raised={"delete": ADMIN}),
    Route("GET", "/api/jobs/{id}", READ, operators.show, "A job with all that is kept of it.", answer=shown.Whole),
    Route("GET", "/api/jobs/{id}/why", READ, operators.why, "Why a job is not running.", answer=Why),
    Route("GET", "/api/jobs/{id}/logs", READ, operators.logs, "What a job has logged so far.", query=operators.Behind,
          answer=shown.Lines),
    Route("DELETE", "/api/jobs/{id}", ADMIN, operators.delete, "Delete a job.", data=operators.Nothing,
          answer=shown.Changed),
    Route("POST", "/api/jobs/{id}/cancel", OPERATE, operators.cancel, "Ask a job to stop.", data=users.Cancel,
          answer=shown.Changed),
    Route("POST", "/api/jobs/{id}/retry", OPERATE, operators.retry, "Run a job again now.", data=operators.Retry,
          answer=shown.Changed),
    Route("GET", "/api/queues", READ, floor.queues, "All queues.", answer=list[shown.QueueView]),
    Route("POST", "/api/queues/{queue}/pause", OPERATE, floor.pause, "Let no worker take its jobs.",
          data=operators.Nothing, answer=shown.QueueView),
    Route("POST", "/api/queues/{queue}/resume", OPERATE, floor.resume, "Let workers take its jobs again.",
          data=operators.Nothing, answer=shown.QueueView),
    Route("GET", "/api/history", READ, past.history, "What ended when, and how long it took.", query=past.Past,
          answer=past.History),
    Route("GET", "/api/history/queues", READ, flows.flows, "What came and what ended, by queue.", answer=flows.Flows),
    Route("GET", "/api/workers", READ, floor.workers, "Live workers and what they run.",
          answer=list[shown.WorkerView]),
    Route("GET", "/api/tasks", READ, floor.tasks, "What can be enqueued.", answer=list[shown.TaskView]),
    Route("GET", "/api/dead", READ, letters.grouped, "Dead letters by error.", query=letters.Letters,
          answer=letters.Groups),
    Route("POST", "/api/dead/redrive", OPERATE, letters.redrive, "Try dead letters again.", data=letters.Redrive,
          answer=shown.Changed),
    Route("POST", "/api/dead/discard", ADMIN, letters.discard, "Delete dead letters.", data=letters.TheseLetters,
          answer=shown.Changed),
)  # fmt: skip
PAGES = (
    Route("GET", "/", READ, pages.front, "The dashboard.", kind=HTML, gives=(200, 304, 308)),
    Route("GET", "/static/{file}", NONE, pages.static, "Files of the dashboard and jobsworth.js.", kind="*/*",
          gives=(200, 304)),
    Route("GET", "/openapi.json", READ, pages.openapi, "This document."),
)  # fmt: skip
TABLE = Table((*USERS, *MONITORS, *OPERATORS, *PAGES))
