"""A store or a queue in eight numbers: what has become of its runs, and how many jobs there are of each kind now."""

from __future__ import annotations

import msgspec

from .engine import Engine, QueueStatus, Where
from .job import HELD, State
from .naming import checked
from .statistics import KEEP_HOURS

# Why a job waits for another attempt, as its last failure says.
RETRIED = ("error", "timeout", "crashed")


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs in numbers.

    processed: runs that came to an end in the last thirty days, well or badly. Of them
    completed: those whose handler returned, and
    failed:    those that went wrong, whether another attempt followed or not; crashes included.
    active, queued, scheduled, retrying, dead: jobs there are now. scheduled counts all that wait for their time,
    retrying those of them that wait for another attempt.
    """

    processed: int
    completed: int
    failed: int
    active: int
    queued: int
    scheduled: int
    retrying: int
    dead: int


async def totals(engine: Engine, queue: str | None = None) -> Totals:
    """The numbers of one queue, or of all. Raises BadName (E104)."""
    if queue is not None:
        checked(queue, "queue name")
    kept = KEEP_HOURS * 60.0  # seconds: one span of all that there is
    tallies = (await engine.statistics(kept, kept, queue=queue)).tallies
    statuses = await engine.queues(None if queue is None else [queue], brief=True)  # no ended jobs are counted
    completed = sum(each.completed for each in tallies)
    failed = sum(each.retried + each.failed + each.crashed for each in tallies)
    scheduled = _count(statuses, State.SCHEDULED)
    return Totals(
        processed=completed + failed, completed=completed, failed=failed, active=_count(statuses, *HELD),
        queued=_count(statuses, State.QUEUED), scheduled=scheduled,
        dead=await engine.count(Where(queue=queue, states=(State.FAILED,), limit=None)),
        retrying=sum([await engine.count(where) for where in retried(queue)]) if scheduled else 0,
    )  # fmt: skip


def retried(queue: str | None = None) -> list[Where]:
    """Jobs that wait for another attempt, as selectors; ask all of them."""
    return [Where(queue=queue, states=(State.SCHEDULED,), reason=reason, limit=None) for reason in RETRIED]


def _count(statuses: list[QueueStatus], *states: State) -> int:
    return sum(status.counts.get(state, 0) for status in statuses for state in states)
