"""A worker inside the process that serves pages: JOBSWORTH = {"WORKER": True}, for development and small sites.

It begins with the first request, in every process that serves: after the forks, and never in a management command or
a test client.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started

from jobsworth.errors import BadOption

from . import settings

GRACE = 5.0  # seconds that running jobs get when the server stops, where nothing else is said: people wait for it
_begun: set[int] = set()  # the processes in which there is one
_beginning = threading.Lock()


def options() -> dict[str, Any] | None:
    """The worker's options; None without a worker. Raises BadOption (E105)."""
    given = settings.given().worker
    if given is False:
        return None
    if given is not True and not isinstance(given, dict):
        raise BadOption(
            f'JOBSWORTH["WORKER"] must be True, False or options of a worker, not {given!r}',
            hint='"WORKER": {"queues": {"mail": 2}, "grace": 5}',
        )
    return {"grace": GRACE, **(given if isinstance(given, dict) else {})}


def begin_with_the_first_request() -> None:
    """Called when Django is set up."""
    request_started.connect(_begin, dispatch_uid="jobsworth.worker")


def _begin(sender: Any, **_: Any) -> None:
    # A test client has handlers of its own, which are neither.
    if os.getpid() in _begun or not (isinstance(sender, type) and issubclass(sender, (WSGIHandler, ASGIHandler))):
        return
    wanted = options()
    with _beginning:
        if wanted is None or os.getpid() in _begun:
            return
        from jobsworth.integrations.django import jobs

        worker = jobs.worker(**wanted)
        worker.__enter__()
        atexit.register(worker.__exit__, None, None, None)
        _begun.add(os.getpid())
