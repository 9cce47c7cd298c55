"""Building what a dead-letter queue receives for a job that was given up there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobsworth.codec import decode
from jobsworth.errors import ValueRefused
from jobsworth.job import Claim, NewJob
from jobsworth.lifecycle import Settlement
from jobsworth.snapshot import error_line

if TYPE_CHECKING:
    from jobsworth.task import Task


def dead_letter_for(claim: Claim, settlement: Settlement, task: Task[..., Any] | None) -> NewJob | None:
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
