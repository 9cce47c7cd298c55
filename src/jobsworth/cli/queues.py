"""`jobsworth queues`: every queue in numbers, and the switches the store keeps for all workers."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.engine import QueueStatus, Where
from jobsworth.job import PENDING, State
from jobsworth.log import clean

from . import text
from .find import known_queue
from .operate import DryRun, Yes
from .options import DEFAULTS, Common, looking
from .terminal import confirm, put, put_json, say, styled
from .tree import family as _family

Names = Annotated[str, Parameter(name="queues")]
_HEAD = ("QUEUE", "STATE", "SCHEDULED", "WAITING", "RUNNING", "/SLOTS", "COMPLETED", "FAILED", "CANCELLED", "WORKERS")


def list_queues(*, common: Common = DEFAULTS) -> int:
    """Every queue that holds jobs, has settings or has live workers.

    For example:
      jobsworth queues
      jobsworth queues list --json
    """
    with looking(common) as store:
        found = store.queue_statuses()
    if common.json:
        put_json([_as_json(queue) for queue in found])
    elif not found:
        say("no queues yet; one appears with its first job or worker")
    else:
        rows = [_row(queue) for queue in found]
        head, *body = text.table(_HEAD, rows, right="..rrrrrrrr")
        put(styled(head, "bold"))
        for line in body:
            put(line)
    return 0


def _row(queue: QueueStatus) -> tuple[str, ...]:
    counts = {state: queue.counts.get(state, 0) for state in State}
    numbers = (
        f"{counts[State.SCHEDULED]:,}", f"{counts[State.QUEUED]:,}",
        f"{counts[State.RUNNING] + counts[State.CANCELLING]:,}", f"/{queue.slots:,}", f"{counts[State.COMPLETED]:,}",
        f"{counts[State.FAILED]:,}", f"{counts[State.CANCELLED]:,}", f"{queue.workers:,}",
    )  # fmt: skip
    return clean(queue.queue, 128), "‖ paused" if queue.paused else "open", *numbers


def _as_json(queue: QueueStatus) -> dict[str, object]:
    return {
        "queue": queue.queue, "paused": queue.paused, "workers": queue.workers, "slots": queue.slots,
        "oldest": queue.oldest, "counts": {state.value: queue.counts.get(state, 0) for state in State},
    }  # fmt: skip


def pause(*names: Names, common: Common = DEFAULTS) -> int:
    """Stop all workers from taking jobs of these queues; running ones go on.

    For example:
      jobsworth queues pause mailers

    Parameters
    ----------
    names
        Names of queues.
    """
    return _switch(names, common, paused=True)


def resume(*names: Names, common: Common = DEFAULTS) -> int:
    """Let workers take jobs of these queues again.

    For example:
      jobsworth queues resume mailers

    Parameters
    ----------
    names
        Names of queues.
    """
    return _switch(names, common, paused=False)


def _switch(names: tuple[str, ...], common: Common, *, paused: bool) -> int:
    _some(names)
    with looking(common) as store:
        for name in [known_queue(store, each) for each in names]:
            (store.pause if paused else store.resume)(name)
    if common.json:
        put_json({"queues": list(names), "paused": paused})
    else:
        for name in names:
            put(f"{name} is paused; running jobs go on" if paused else f"{name} is open")
    return 0


def purge(*names: Names, dry_run: DryRun = False, yes: Yes = False, common: Common = DEFAULTS) -> int:
    """Delete the waiting jobs of these queues for good. Running and finished ones stay.

    For example:
      jobsworth queues purge mailers --dry-run
      jobsworth queues purge mailers

    Parameters
    ----------
    names
        Names of queues.
    dry_run
        Only say how many it would be.
    yes
        Do not ask.
    """
    _some(names)
    with looking(common) as store:
        known = [known_queue(store, each) for each in names]
        count = sum(_waiting(store, name) for name in known)
        if count and not dry_run:
            confirm(count, f"delete {text.count(count, 'waiting job')} of {', '.join(known)} for good", yes=yes)
        deleted = 0 if dry_run else sum(store.purge(name) for name in known)
    if common.json:
        put_json(
            {"queues": list(names), "deleted": deleted, "count": count if dry_run else deleted, "dry_run": dry_run}
        )
    else:
        number = text.count(count if dry_run else deleted, "waiting job")
        put(f"{'would delete' if dry_run else 'deleted'} {number} of {', '.join(known)}")
    return 0


def _waiting(store: Jobsworth, name: str) -> int:
    where = Where(queue=name, states=tuple(PENDING), limit=None)
    return store.bridge.call(lambda engine: engine.count(where))


def _some(names: tuple[str, ...]) -> None:
    from jobsworth.errors import BadOption

    if not names:
        raise BadOption("which queue?", hint="jobsworth queues lists them")


family = _family("queues", "Queues in numbers, and their switches.\n\nAlone it lists them.")
family.default(list_queues)
family.command(list_queues, name="list", sort_key=0)
family.command(pause, name="pause", sort_key=1)
family.command(resume, name="resume", sort_key=2)
family.command(purge, name="purge", sort_key=3)
