"""Queues in numbers, counted from the jobs themselves."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from jobsworth.engine import RATE_WINDOW, QueueStatus, WorkerCard
from jobsworth.job import LIVE, Job, State

from .table import tally


def brief(status: QueueStatus) -> QueueStatus:
    """Without what has ended, and what is dear to count."""
    counts = {state: number for state, number in status.counts.items() if state in LIVE}
    return replace(status, counts=counts, in_rate=0, out_rate=0, unroutable={})


def status(queue: str, paused: bool, jobs: list[Job], cards: list[WorkerCard], now: float) -> QueueStatus:
    """One queue in numbers."""
    waiting = [job for job in jobs if job.state is State.QUEUED]
    cards = [card for card in cards if queue in card.queues]
    known = {task for card in cards for task in card.tasks}
    return QueueStatus(
        queue=queue,
        paused=paused,
        counts=tally(jobs),
        oldest=max((max(0.0, now - (job.run_at or now)) for job in waiting), default=None),
        slots=sum(card.queues[queue] for card in cards),
        workers=len(cards),
        in_rate=sum(job.created_at >= now - RATE_WINDOW for job in jobs),
        out_rate=sum(job.finished_at is not None and job.finished_at >= now - RATE_WINDOW for job in jobs),
        unroutable=dict(Counter(job.task for job in waiting if job.task not in known)) if cards else {},
    )
