"""What a dead-letter queue receives for a job that was given up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from jobsworth.codec import decode
from jobsworth.errors import ValueRefused
from jobsworth.events import Fault, Listener
from jobsworth.job import Claim, NewJob
from jobsworth.lifecycle import Settlement, gives_up
from jobsworth.snapshot import error_line

if TYPE_CHECKING:
    from jobsworth.task import Task


def with_letter(
    claim: Claim, settlement: Settlement, tasks: Mapping[str, Task[..., Any]], tell: Listener
) -> Settlement:
    """The settlement, with the letter it sends along if it gives the job up and its queue has a dead-letter queue.

    A letter that its queue's handler could not take (its `item` is annotated as something else) is told as a fault:
    the job it stands for is a dead letter all the same, and nothing may keep an ending from being written down.
    """
    task = tasks.get(claim.task)
    if task is None or not task.queue.dead_letter or not gives_up(settlement):
        return settlement
    try:
        letter = _letter(claim, settlement, tasks.get(task.queue.dead_letter))
    except Exception as exc:  # noqa: BLE001 (a user's annotation may run any code)
        tell(Fault(f"the dead letter of job {claim.lease.job_id}", f"{type(exc).__name__}: {exc}", ""))
        return settlement
    return replace(settlement, forward=letter)


def _letter(claim: Claim, settlement: Settlement, task: Task[..., Any] | None) -> NewJob | None:
    """A new job for the dead-letter queue's task, whose item holds the original and its error.

    The item: {"job": {id, queue, task, arguments, attempt, key, owner, label, tags, meta}, "error": {type, message,
    reason, text, traceback}}. Arguments that are too large to travel once more are None; the original keeps them.
    """
    if task is None:
        return None
    failure = settlement.failure
    item: dict[str, Any] = {
        "job": {
            "id": claim.lease.job_id, "queue": claim.queue, "task": claim.task, "arguments": _readable(claim.args),
            "attempt": claim.attempt, "key": claim.key, "owner": claim.owner, "label": claim.label,
            "tags": list(claim.tags), "meta": _readable(claim.meta),
        },
        "error": {
            "type": failure.type if failure else None, "message": failure.message if failure else None,
            "reason": failure.reason if failure else None, "text": error_line(failure),
            "traceback": failure.traceback if failure else None,
        },
    }  # fmt: skip
    try:
        return task.new_job(item)
    except ValueRefused:
        item["job"]["arguments"] = item["job"]["meta"] = None
        return task.new_job(item)


def _readable(data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return decode(data)
    except ValueRefused:
        return None  # the arguments are damaged: that may be why the job was given up
