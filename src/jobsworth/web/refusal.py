"""Why a request over HTTP is not done, and what the answer says then: every error has a status here, and nowhere else.

    JobsworthError
    └── RequestRefused                 E600
        ├── NotSignedIn                E601  401
        ├── NotAllowed                 E602  403
        ├── CrossSite                  E603  403
        ├── NoSuchPage                 E604  404
        ├── MethodRefused              E605  405
        ├── CountChanged               E606  409
        ├── BodyTooLarge               E607  413
        ├── NotJson                    E608  415
        ├── BadRequest                 E609  400
        ├── TooManyStreams             E610  429
        ├── CannotStream               E611  501
        └── UpgradeRequired            E612  426

An answer never shows a traceback or where things are on this machine: what is nobody's business goes to the log.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobsworth.errors import (
    BadName,
    BadOption,
    EngineUnavailable,
    ExtraMissing,
    JobNotFound,
    JobsworthError,
    MoveRefused,
    QueueFull,
    StorageFull,
    TooLarge,
    UnknownQueue,
    UnknownTask,
    ValueRefused,
)

from .message import Response, json_response


class RequestRefused(JobsworthError):
    """A request over HTTP that is not done. `status` is what the answer says."""

    code = "E600"
    status = 400


class NotSignedIn(RequestRefused):
    """Nobody knows who asks."""

    code, status = "E601", 401


class NotAllowed(RequestRefused):
    """Who asks may look, and not do this."""

    code, status = "E602", 403


class CrossSite(RequestRefused):
    """A page of another site made somebody's browser ask."""

    code, status = "E603", 403


class NoSuchPage(RequestRefused):
    """There is nothing at this address, or nothing for whoever asks."""

    code, status = "E604", 404


class MethodRefused(RequestRefused):
    """There is something at this address that is asked for with another method."""

    code, status = "E605", 405

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__("this address does not take that method", hint=f"it takes {', '.join(allowed)}")
        self.allowed = allowed


class CountChanged(RequestRefused):
    """More or fewer jobs match than the person had before them. Nothing was changed."""

    code, status = "E606", 409


class BodyTooLarge(RequestRefused):
    """The body is over the limit; it was not read."""

    code, status = "E607", 413


class NotJson(RequestRefused):
    """The body is not of type application/json."""

    code, status = "E608", 415


class BadRequest(RequestRefused):
    """What was asked makes no sense; the field is named."""

    code, status = "E609", 400


class TooManyStreams(RequestRefused):
    """So many are watching already; try again, or ask now and then instead."""

    code, status = "E610", 429


class CannotStream(RequestRefused):
    """This host gives whole answers only: ask with ?since= instead."""

    code, status = "E611", 501


class UpgradeRequired(RequestRefused):
    """There is a WebSocket at this address, and it was asked for as a page."""

    code, status = "E612", 426


NO_JOB = JobNotFound("Job not found", hint="it may have been removed after its queue's `keep`, or not be yours")
NO_QUEUE = UnknownQueue("Queue not found", hint="it may not exist, or not be yours")
_AGAIN = {"retry-after": "5"}
# What kind of error, which status, and what is said in its stead; the first that fits.
_ANSWERS: tuple[tuple[type[JobsworthError], int, JobsworthError | None], ...] = (
    (JobNotFound, 404, NO_JOB),
    (UnknownQueue, 404, NO_QUEUE),
    (MoveRefused, 409, None),
    (TooLarge, 413, None),
    (ValueRefused, 400, None),
    (BadName, 400, None),
    (BadOption, 400, None),
    (UnknownTask, 400, None),
    (ExtraMissing, 501, None),
    (QueueFull, 503, None),
    (StorageFull, 503, StorageFull("there is no room for more jobs")),
    (EngineUnavailable, 503, EngineUnavailable("the place where jobs live cannot be reached", hint="try again")),
)


def answer_to(error: JobsworthError) -> Response | None:
    """The answer that says what is wrong; None where that is nobody's business.

    What is missing and what is hidden are one and the same answer, to the byte.
    """
    if isinstance(error, MethodRefused):
        return _said(error.status, error, {"allow": ", ".join(error.allowed)})
    if isinstance(error, RequestRefused):
        return _said(error.status, error)
    for kind, status, instead in _ANSWERS:
        if isinstance(error, kind):
            return _said(status, instead or error, _AGAIN if status == 503 else None)
    return None


def unexpected(error_id: str) -> Response:
    """The answer to a mistake of ours: where to look for it, and nothing else."""
    return json_response({"error": "internal error", "id": error_id}, 500)


def _said(status: int, error: JobsworthError, headers: dict[str, str] | None = None) -> Response:
    said = {"error": error.message, "code": error.code} | ({"hint": error.hint} if error.hint else {})
    return json_response(said, status, headers)
