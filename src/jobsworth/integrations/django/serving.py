"""A worker inside the process that serves pages: JOBSWORTH = {"WORKER": True}, for development and small sites.

It begins with the first request, in every process that serves: after the forks, and never in a management command or
a test client.
"""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import threading
import time
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started

from jobsworth.errors import BadOption, EngineError
from jobsworth.worker import Worker

from . import settings

GRACE = 5.0  # seconds that running jobs get when the server stops, where nothing else is said: people wait for it
AGAIN = 5.0  # seconds between two tries to begin while the engine is away
_log = logging.getLogger("jobsworth.worker")
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
    wanted = {} if given is True else given
    known = list(inspect.signature(Worker).parameters)[1:]  # the first is whose worker it is
    for name in wanted:
        if name not in known:
            raise BadOption(f'JOBSWORTH["WORKER"] has no option {name!r}', hint=f"it takes {', '.join(known)}")
    return {"grace": GRACE, **wanted}


def begin_with_the_first_request() -> None:
    """Called when Django is set up."""
    request_started.connect(_begin, dispatch_uid="jobsworth.worker")


def _begin(sender: Any, **_: Any) -> None:
    # A test client has handlers of its own, which are neither.
    if os.getpid() in _begun or not (isinstance(sender, type) and issubclass(sender, (WSGIHandler, ASGIHandler))):
        return
    with _beginning:
        if os.getpid() in _begun:
            return
        _begun.add(os.getpid())
    wanted = options()
    if wanted is not None:
        from jobsworth.integrations.django import jobs

        worker = jobs.worker(**wanted)
        threading.Thread(target=_work, args=(worker,), name="jobsworth-begin", daemon=True).start()


def _work(worker: Worker) -> None:
    """Pages do not wait for it, and are there while the engine is not."""
    while True:
        try:
            worker.__enter__()
        except EngineError as exc:
            _log.warning("no worker yet, trying again in %g s: %s", AGAIN, exc)
            time.sleep(AGAIN)
        else:
            atexit.register(worker.__exit__, None, None, None)
            return
