"""Reads events aloud: the one file that turns them into log lines, on `jobsworth.worker` and `jobsworth.web`."""

from __future__ import annotations

import logging
import re
import unicodedata
from pathlib import Path
from typing import assert_never

from .events import (
    Afterthought,
    AttemptEnded,
    EngineBack,
    EngineLost,
    Event,
    Fault,
    LeaseTaken,
    Listener,
    Stuck,
    Unroutable,
    VisitorActed,
    WorkerStarted,
    WorkerStarting,
    WorkerStopped,
    WorkerStopping,
)
from .job import Claim, State
from .lifecycle import Settlement
from .snapshot import error_line

_log = logging.getLogger("jobsworth.worker")
_web = logging.getLogger("jobsworth.web")


def clean(text: object, limit: int = 500) -> str:
    """One line without control characters: what comes from data must not move a terminal's cursor or forge a line."""
    line = str(text)
    if line.isprintable():
        return line if len(line) <= limit else f"{line[:limit]}…"
    shown = "".join(
        char if unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp") else repr(char)[1:-1] for char in line
    )
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def read_aloud(event: Event) -> None:  # noqa: C901 (one case per event)
    """The listener a worker has by default."""
    match event:
        case AttemptEnded():
            _attempt_ended(event)
        case WorkerStarting():
            return
        case WorkerStarted(worker, queues):
            slots = ", ".join(f"{name}:{count}" for name, count in queues.items())
            _log.info("worker %s started: %s", worker, slots)
        case WorkerStopping(worker, running, grace):
            what = f"finishing {running} job{'' if running == 1 else 's'}, at most {grace:.0f} s" if running else "idle"
            _log.info("worker %s stops: %s", worker, what)
        case WorkerStopped(worker):
            _log.info("worker %s stopped", worker)
        case LeaseTaken(claim, ended):
            _log.warning(
                "%s %s after its lease was taken by another attempt; what it writes is discarded, its side effects may"
                " have happened twice",
                _who(claim), "finished" if ended else "was still running",
            )  # fmt: skip
        case Stuck(claim, after, isolation):
            way = "" if isolation != "thread" else '; a thread cannot be stopped, isolation="process" can'
            _log.warning("%s was asked to stop %.0f s ago and goes on%s", _who(claim), after, way)
        case EngineLost(error):
            _log.warning("the engine does not answer, running jobs go on: %s", clean(error))
        case EngineBack(after):
            _log.info("the engine is back after %.1f s", after)
        case Unroutable(queue, task, jobs):
            _log.warning(
                "W301: %d jobs in %s need the task %s, which no live worker knows. They wait, nothing is lost.",
                jobs, clean(queue), clean(task),
            )  # fmt: skip
        case Afterthought(claim, what):
            _log.warning("%s was completed in its transaction; afterwards it %s, which is ignored",
                         _who(claim), clean(what))  # fmt: skip
        case VisitorActed(who, verb, what, jobs):
            _web.info("%s: %s %s (%d job%s)", clean(who, 128), verb, clean(what), jobs, "" if jobs == 1 else "s")
        case Fault(where, error, traceback):
            _log.error("%s: %s\n%s", where, clean(error), traceback)
        case _:
            assert_never(event)


def harmless(listener: Listener) -> Listener:
    """The listener, whose own faults are logged: they must stop neither heartbeats nor endings nor answers."""

    def tell(event: Event) -> None:
        try:
            listener(event)
        except Exception:  # noqa: BLE001 (logged; whatever it is, work goes on)
            _log.exception("a listener failed to hear %s", type(event).__name__)

    return tell


def _attempt_ended(event: AttemptEnded) -> None:
    settlement, claim = event.settlement, event.claim
    if settlement.target is State.COMPLETED:
        if _log.isEnabledFor(logging.DEBUG):  # most attempts end like this: saying nothing must cost nothing
            _log.debug("%s done", _who(claim))
        return
    what = f"{clean(error_line(settlement.failure))}{_place(settlement)}"
    if settlement.target is State.FAILED:
        reason = settlement.failure.reason if settlement.failure else "error"
        _log.error("%s failed and was given up (%s): %s · jobsworth show %s",
                   _who(claim), reason, what, clean(claim.lease.job_id, 128))  # fmt: skip
    elif settlement.outcome in ("failed", "timed_out", "lost"):
        again = f"again in {settlement.delay:.1f} s" if settlement.delay else "again at once"
        _log.warning("%s/%d %s: %s · %s", _who(claim), claim.max_attempts, settlement.outcome, what, again)
    else:
        _log.info("%s %s", _who(claim), settlement.outcome)
    if settlement.failure is not None and settlement.failure.traceback:
        _log.debug("%s", settlement.failure.traceback)


def _place(settlement: Settlement) -> str:
    """Where it was raised: the last frame of the traceback, as " at reports.py:41 in fetch"."""
    text = settlement.failure.traceback if settlement.failure else None
    frames = re.findall(r'^  File "(.+)", line (\d+), in (.+)$', text or "", re.MULTILINE)
    if not frames:
        return ""
    path, line, name = frames[-1]
    return f" at {clean(Path(path).name)}:{line} in {clean(name)}"


def _who(claim: Claim) -> str:
    return f"{clean(claim.task, 128)} {clean(claim.lease.job_id, 128)} attempt {claim.attempt}"
