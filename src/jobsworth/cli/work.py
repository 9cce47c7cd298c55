"""`jobsworth worker`: runs jobs in this process, or in several that a supervisor keeps alive."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import Callable, Iterator
from typing import Annotated

from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.errors import BadOption, ConfigurationError
from jobsworth.events import AttemptEnded, Event, WorkerStopping
from jobsworth.job import State
from jobsworth.log import clean, read_aloud
from jobsworth.version import VERSION
from jobsworth.worker import Worker
from jobsworth.worker.supervisor import Supervisor, stop_with_parent, worker_command
from jobsworth.worker.worker import GRACE, LEASE

from . import text
from .logs import LogFormat, configure
from .options import HERE, Place, find_app, name_of, spec_of
from .terminal import say
from .unpatched import keep_unpatched, start_again_if_patched
from .values import seconds_from

_log = logging.getLogger("jobsworth.worker")
Verbose = Annotated[bool, Parameter(name=["--verbose", "-v"], negative="")]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")]
Time = Annotated[str, Parameter(metavar="TIME")]
DEV = "JOBSWORTH_DEV"  # set by `jobsworth dev` for its worker: the port of its dashboard, 0 for none
_NAMED = 8  # tasks named in the banner


def worker(
    spec: Annotated[str | None, Parameter(name="spec")] = None,
    /,
    *,
    queues: str | None = None,
    processes: int = 1,
    lease: Time = f"{LEASE:g}",
    grace: Time = f"{GRACE:g}",
    name: str | None = None,
    log_format: LogFormat | None = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    place: Place = HERE,
) -> int:
    """Run jobs until Ctrl-C or SIGTERM.

    For example:
      jobsworth worker
      jobsworth worker app:jobs --queues image_processing:4,mailers
      jobsworth worker app:jobs --processes 4 --log-format json

    On Ctrl-C or SIGTERM no more jobs are taken and running ones are finished; what still runs after --grace goes back
    to its queue at no cost. A second Ctrl-C or SIGTERM hands them back at once.

    Parameters
    ----------
    spec
        The app, as module:name or file.py; the same as --app.
    queues
        Queues to serve, with how many jobs at once: images:4,mailers. All, with their worker_count, if not given.
    processes
        So many worker processes, kept alive by a supervisor.
    lease
        Seconds after which others take over the jobs of a worker that died; at least 1.
    grace
        Seconds that running jobs get to finish when the worker stops.
    name
        What it is called in `jobsworth workers`, before a random part; host and pid if not given.
    log_format
        text or json lines, on stderr.
    verbose
        Log more: every job that is done, and tracebacks of failed attempts.
    quiet
        Log warnings and errors only, and no banner.
    """
    seconds, patience = _seconds(lease, "--lease"), _seconds(grace, "--grace")
    if processes < 1:
        raise BadOption(f"--processes must be at least 1, not {processes}")
    keep_unpatched()
    supervised = stop_with_parent(patience)
    named = spec_of(place, spec)
    app = find_app(place, spec)
    start_again_if_patched()
    if processes > 1:
        made = Worker(app, queues, lease=seconds, grace=patience, spec=named)  # refuses what no child could do either
        options = _options(named, place, queues, lease, grace, log_format, verbose=verbose, quiet=quiet)
        if not quiet:
            _banner(app, made.slots, f"{processes} processes", patience)
        app.close()  # the children have connections of their own
        return _supervise(options, processes, patience, name)
    page = os.environ.pop(DEV, None)
    dev = page is not None
    configure(log_format, verbose=verbose or dev, quiet=quiet)
    listener = _Teller(alone=log_format != "json" and not supervised, dev=dev)
    made = Worker(app, queues, lease=seconds, grace=patience, name=name, spec=named, listener=listener)
    if dev:
        _known(app, made.slots)
    elif not quiet and not supervised:
        _banner(app, made.slots, f"worker {made.id}", patience)
    try:
        with _page(made, int(page or 0)), asyncio.Runner(loop_factory=_loop_factory()) as runner:
            gc.collect()
            gc.freeze()  # what is there by now stays: no need to look through it again and again
            runner.run(made.run(signals=True))
    finally:
        app.close()
    return 0


@contextlib.contextmanager
def _page(made: Worker, port: int) -> Iterator[None]:
    """The dashboard beside a worker of `jobsworth dev`, for this machine alone; without a port there is none."""
    if not port:
        yield
        return
    from jobsworth.web.server import HOST, address_of, listen, served, who_may
    from jobsworth.web.site import Site

    with contextlib.ExitStack() as stack:
        try:
            sock = stack.enter_context(listen(HOST, port))
            stack.enter_context(served(Site(made.app, authorize=who_may(HOST, None), worker=made), sock))
            say(f"page     {address_of(sock)}")
        except ConfigurationError as exc:  # uvicorn is not installed, or somebody else listens there: work goes on
            say(f"no page  {clean(exc.message)}{f' · {exc.hint}' if exc.hint else ''}")
        yield


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed (`pip install jobsworth[fast]`), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _seconds(given: str, option: str) -> float:
    found = seconds_from(given, option)
    assert found is not None
    return found


class _Teller:
    """Listens to the worker's events: as log lines, and its stop also for the person who pressed Ctrl-C."""

    def __init__(self, *, alone: bool, dev: bool) -> None:
        self._alone = alone
        self._dev = dev

    def __call__(self, event: Event) -> None:
        if self._dev and isinstance(event, AttemptEnded) and event.settlement.target is State.COMPLETED:
            _log.info("%s %s done", clean(event.claim.task, 128), event.claim.lease.job_id)
            return
        if isinstance(event, WorkerStopping) and event.running and self._alone:
            say(
                f"stopping: finishing {text.count(event.running, 'job')} ({event.grace:g} s left; "
                "again to stop now: they return to the queue)"
            )
            return
        read_aloud(event)


def _banner(app: Jobsworth, slots: dict[str, int], who: str, grace: float) -> None:
    """At most six lines: what runs, where the jobs live, what it knows, how to stop it."""
    say(f"jobsworth {VERSION} · {who} · pid {os.getpid()}")
    _known(app, slots)
    say(f"Ctrl-C to stop; running jobs get {grace:g} s to finish")


def _known(app: Jobsworth, slots: dict[str, int]) -> None:
    served = sorted(task.name for task in app.tasks.values() if any(map(task.runs_in, slots)))
    names = ", ".join(served[:_NAMED]) + (", …" if len(served) > _NAMED else "")
    durability = app.bridge.call(lambda engine: engine.durability())
    say(f"engine   {name_of(app.engine)} · {clean(durability, 200)}")
    say(f"tasks    {clean(names)} ({len(served)})")
    say("slots    " + clean(", ".join(f"{queue}:{count}" for queue, count in slots.items())))


def _options(
    named: str | None, place: Place, queues: str | None, lease: str, grace: str, form: LogFormat | None,
    *, verbose: bool, quiet: bool,
) -> list[str]:  # fmt: skip
    """The options each child is started with."""
    pairs = {
        "--app": named, "--url": place.url, "--queues": queues, "--lease": lease, "--grace": grace,
        "--log-format": form,
    }  # fmt: skip
    found = [f"{option}={value}" for option, value in pairs.items() if value is not None]
    return found + ["--verbose"] * verbose + ["--quiet"] * quiet


def _supervise(options: list[str], processes: int, grace: float, name: str | None) -> int:
    def command(number: int) -> list[str]:
        return worker_command(*options, *([f"--name={name}-{number}"] if name else []))

    return asyncio.run(Supervisor(command, processes, grace=grace, say=say).run())
