"""What may be asked over HTTP. Each handler stores a job and answers at once; the same functions serve both Spikards.

Handlers are coroutines on Spikard's own loop: `aenqueue` waits for the disk without holding it up.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Awaitable
from typing import Any

import msgspec
import work
from spikard import Response

from jobsworth import EngineError, JobHandle, ValueRefused
from jobsworth.integrations.spikard import EVERYTHING, register
from jobsworth.web import Level
from jobsworth.web.access import BasicAuth

log = logging.getLogger(__name__)
LONGEST = 500_000  # characters of one text

# Who may see the numbers of all jobs: "user:password". Everybody else sees their own job, with the token they got.
MONITOR = os.environ.get("MONITOR") or f"monitor:{secrets.token_urlsafe(12)}"


class Upload(msgspec.Struct):
    """A text file."""

    file_name: str
    text: str


class Signup(msgspec.Struct):
    """Somebody new."""

    name: str
    email: str


class Numbers(msgspec.Struct):
    """What is to be added up."""

    numbers: list[float]


class Letter(msgspec.Struct):
    """An e-mail."""

    to: str
    subject: str
    text: str


async def upload(body: Upload) -> Any:
    """Take a text; its words are counted behind our back."""
    if len(body.text) > LONGEST:
        return refused(413, f"longer than {LONGEST:,} characters")
    item = {"file_name": body.file_name, "text": body.text}
    return await accepted(work.uploads.options(label=body.file_name[:100]).aenqueue(item))


async def signup(body: Signup) -> Any:
    """Welcome somebody: one letter, however often they press the button."""
    if not is_address(body.email):
        return refused(422, "that is no e-mail address")
    work.jobs.defer(log.info, "somebody signed up")  # fire and forget: what may be lost
    known_by = hashlib.sha256(body.email.lower().encode()).hexdigest()  # keys are made of plain letters
    letter = work.send_email.options(key=f"welcome-{known_by}")
    return await accepted(letter.aenqueue(body.email, "Welcome!", f"Good to have you, {body.name}."))


async def process(body: Numbers) -> Any:
    """Add numbers up."""
    return await accepted(work.add_up.aenqueue(body.numbers))


async def send_email(body: Letter) -> Any:
    """Send a letter."""
    if not is_address(body.to):
        return refused(422, "that is no e-mail address")
    if len(body.subject.splitlines()) > 1:  # or it could bring headers of its own
        return refused(422, "a subject is one line")
    return await accepted(work.send_email.aenqueue(body.to, body.subject, body.text))


async def accepted(storing: Awaitable[JobHandle[Any]]) -> Any:
    """202 when the job is stored: from then on it is not lost. 503 when there is too much to do, or no store."""
    try:
        job = await storing
    except ValueRefused as exc:
        return refused(422, str(exc))
    except EngineError:
        log.exception("no job could be stored")  # Spikard would show the exception to whoever asked
        return refused(503, "too much to do just now, please try again in a minute")
    told = {"task_id": job.id, "created": job.created, "status": f"/jobs/{job.id}/status", "token": job.token()}
    return Response(content=told, status_code=202, headers={"content-type": "application/json"})


def refused(status: int, why: str) -> Any:
    return Response(content={"error": why}, status_code=status, headers={"content-type": "application/json"})


def is_address(text: str) -> bool:
    return re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,190}", text) is not None


def add_to(app: Any) -> None:
    """Give the app its routes. Both spellings know `app.post(path)`."""
    app.post("/upload")(upload)
    app.post("/signup")(signup)
    app.post("/process")(process)
    app.post("/send-email")(send_email)
    monitor = BasicAuth(MONITOR, Level.READ)
    register(app, work.jobs, authorize=monitor, prefix="/background", routes=EVERYTHING)  # and the dashboard
    register(app, work.jobs, authorize=monitor)  # GET /jobs/{id}/status, /health/jobs, /task-stats and their like
