"""What goes to the scripts and what comes back: batches in, batches out, as few and as flat values as can be."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ...engine import Heard, Pulse, Turn, Want
from ...errors import QueueFull
from ...job import CancelRequest, Claim, Lease, NewJob, Receipt, State
from ...lifecycle import Settlement
from . import logs
from .keys import PLACE
from .link import Value
from .record import CODES, as_text, claim_from, job_from, more_of

_COMPLETED = State.COMPLETED  # an enum's members take their time to be looked up
_to_msgpack = msgspec.msgpack.Encoder().encode

# enqueue


def _likeness(job: NewJob) -> tuple[Any, ...]:
    """All of a job but its id and arguments: what store.lua calls a group, its size aside; then what more there is."""
    return (
        job.queue, job.task, job.priority, job.max_attempts, job.delay, job.run_at, job.expires, job.expires_at,
        job.key, job.max_size, as_text(job.failure), job.owner, job.tags or None, more_of(job),
    )  # fmt: skip


def groups_of(jobs: Iterable[NewJob]) -> tuple[list[tuple[Any, ...]], list[Value]]:
    """A batch as groups of jobs that are alike, and the values that go with them."""
    groups: list[tuple[Any, ...]] = []
    values: list[Value] = []
    for (*likeness, more), alike in itertools.groupby(jobs, _likeness):
        values.append(more)
        before = len(values)
        for job in alike:
            values += (job.id, job.args)
        groups.append(((len(values) - before) // 2, *likeness))
    return groups, values


def wishes(batches: Sequence[Sequence[NewJob]]) -> list[Value]:
    """Values for enqueue.lua."""
    packed, values = [], list[Value]()
    for batch in batches:
        groups, more = groups_of(batch)
        packed.append(groups)
        values += more
    return [_to_msgpack(packed), *values]


def joined(batches: Sequence[Sequence[NewJob]]) -> bool:
    """True if many callers' batches may be stored as one: none of them can be refused."""
    return len(batches) > 1 and all(job.max_size is None for batch in batches for job in batch)


def receipts(batch: Sequence[NewJob], answer: Any) -> list[Receipt] | QueueFull:
    """What became of one batch."""
    if isinstance(answer, int):
        return [Receipt(job.id) for job in batch]
    if answer and isinstance(answer[0], list):
        queue, waiting, more, room = answer[0]
        return QueueFull(
            f"queue {queue.decode()!r} is full: {waiting} jobs are waiting, and {more} more would exceed"
            f" its max_size of {room}",
            hint="try again later, run more workers, or raise max_size",
        )
    return [
        Receipt(there.decode(), created=False) if there else Receipt(job.id)
        for job, there in zip(batch, answer, strict=True)
    ]


def split(batches: Sequence[Sequence[NewJob]], together: Iterator[Receipt]) -> list[list[Receipt] | QueueFull]:
    """Receipts of what was stored as one, caller by caller."""
    return [list(itertools.islice(together, len(batch))) for batch in batches]


# turn


def turn(worker: str, settle: Sequence[Settlement], want: Sequence[Want], lease: float) -> tuple[list[Value], str]:
    """Values for turn.lua, and the script that will do: that one, brisk or log_turn."""
    wants = _to_msgpack([(each.queue, each.limit, each.tasks, each.crashed) for each in want])
    plain, others = _sorted_out(settle)
    values: list[Value] = [worker, repr(lease), wants, len(plain)]
    for ending in plain:
        values += (ending.lease.job_id, ending.lease.fence, ending.result or b"")
    said = logs.said(settle)
    if others or said is not None:
        # Lua counts from one, and the moment goes before these values.
        packed, more = _endings(others, len(values) + 3)
        values.append(packed)
        values += more
    if said is not None:
        return [*values, said], "log_turn"
    return values, "turn" if others else "brisk"


def _sorted_out(settle: Sequence[Settlement]) -> tuple[Sequence[Settlement], Sequence[Settlement]]:
    """The plain ones, and the others. Where their order matters there are no plain ones."""
    if len({each.lease.job_id for each in settle}) < len(settle):
        return (), settle
    plain = [
        each
        for each in settle
        if each.target is _COMPLETED
        and each.outcome == "succeeded"
        and each.result is not None
        and each.progress is None
        and each.forward is None
        and not (each.refund or each.errors or each.crashes)
    ]
    if len(plain) == len(settle):
        return plain, ()
    if any(each.forward is not None for each in settle):
        return (), settle
    those = {each.lease.job_id for each in plain}
    return plain, [each for each in settle if each.lease.job_id not in those]


def _endings(settle: Sequence[Settlement], at: int) -> tuple[bytes, list[Value]]:
    """Endings as settle() in turn.lua takes them, and the values they name by their place, from `at` on."""
    packed, values = [], list[Value]()
    for ending in settle:
        result = forward = None
        if ending.result is not None:
            result = at + len(values)
            values.append(ending.result)
        if ending.forward is not None:
            # A full queue must not lose it: the job it stands for has already been given up.
            groups, more = groups_of([replace(ending.forward, max_size=None)])
            forward = (groups, at + len(values))
            values += more
        packed.append((
            ending.lease.job_id, ending.lease.fence, CODES[ending.target], CODES[ending.if_cancelling], ending.outcome,
            ending.delay, int(ending.refund), ending.errors, ending.crashes, result, as_text(ending.failure),
            as_text(ending.progress), forward,
        ))  # fmt: skip
    return _to_msgpack(packed), values


def turned(answer: Any) -> Turn:
    """The answer of turn.lua."""
    due, refused, given = answer
    return Turn(claims(given), [each.decode() for each in refused], float(due) if due else None)


def claims(given: Sequence[bytes], *, taken_over: bool = False) -> list[Claim]:
    """Claims from members and records by turns."""
    return [
        claim_from(member, record, taken_over=taken_over)
        for member, record in zip(given[::2], given[1::2], strict=True)
    ]


def recalled(given: Sequence[bytes], worker: str, within: float) -> list[Claim]:
    """Of all that is held, what this worker has claimed within the last so many seconds."""
    now, found = float(given[0]), []
    for member, record in zip(given[1::2], given[2::2], strict=True):
        job = job_from(member[PLACE:].decode(), record, [])
        if job.worker == worker and (job.started_at is None or job.started_at >= now - within):
            found.append(claim_from(member, record))
    return found


# pulse, hear


def signs(pulses: Iterable[Pulse]) -> bytes:
    """Pulses for ear.lua."""
    return _to_msgpack([(each.lease.job_id, each.lease.fence, as_text(each.progress)) for each in pulses])


def leases(held: Iterable[Lease]) -> bytes:
    """Leases for ear.lua."""
    return _to_msgpack([(lease.job_id, lease.fence) for lease in held])


def heard(answer: Any) -> Heard:
    """The answer of ear.lua."""
    cancelled, lost = answer
    requests = [
        CancelRequest(job_id.decode(), reason.decode() if told else None, float(grace) if grace else None)
        for job_id, told, reason, grace in cancelled
    ]
    return Heard(requests, [each.decode() for each in lost])
