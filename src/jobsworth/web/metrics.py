"""Numbers for Prometheus, read off the engine at each scrape: nothing is counted apart, so nothing can be miscounted.

Labels are queue, task and state. Queues beyond MOST are added up as one, so that no label grows without bound.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from jobsworth.engine import QueueStatus, WorkerCard
from jobsworth.errors import ExtraMissing
from jobsworth.job import State
from jobsworth.loads import running

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MOST = 500  # queues named
MOST_TASKS = 100  # tasks named that nobody knows
OTHERS = "_others"


def exposition(queues: Sequence[QueueStatus], workers: Sequence[WorkerCard]) -> tuple[str, bytes]:
    """The media type and the text. Raises ExtraMissing (E115)."""
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    except ImportError as exc:
        raise ExtraMissing(
            "/metrics needs prometheus-client, which is not installed", hint="pip install 'jobsworth[web]'"
        ) from exc
    registry = CollectorRegistry()
    registry.register(_Numbers(queues, workers))
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)


class _Numbers:
    """One scrape."""

    def __init__(self, queues: Sequence[QueueStatus], workers: Sequence[WorkerCard]) -> None:
        self._queues = _bounded(queues)
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        yield from self._by_queue()
        yield from self._by_worker()

    def _by_queue(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        depth = Gauge(
            "jobs_queue_depth", "Jobs in a queue, by state; ended ones as far as kept", None, ["queue", "state"]
        )
        unroutable = Gauge("jobs_unroutable", "Queued jobs of a task no live worker knows", None, ["queue", "task"])
        gauges = {
            "oldest": Gauge("jobs_queue_oldest_seconds", "How long the longest-waiting job is ready", None, ["queue"]),
            "slots": Gauge("jobs_slots", "Jobs that may run at once", None, ["queue"]),
            "busy": Gauge("jobs_slots_busy", "Jobs that run", None, ["queue"]),
            "workers": Gauge("jobs_queue_workers", "Live workers that serve the queue", None, ["queue"]),
            "paused": Gauge("jobs_queue_paused", "1 if workers must not take its jobs", None, ["queue"]),
        }
        for status in self._queues:
            name = [status.queue]
            for state in State:
                depth.add_metric([status.queue, state.value], status.counts.get(state, 0))
            for task, number in list(status.unroutable.items())[:MOST_TASKS]:
                unroutable.add_metric([status.queue, task], number)
            gauges["oldest"].add_metric(name, status.oldest or 0.0)
            gauges["slots"].add_metric(name, status.slots)
            gauges["busy"].add_metric(name, running(status))
            gauges["workers"].add_metric(name, status.workers)
            gauges["paused"].add_metric(name, int(status.paused))
        yield from (depth, unroutable, *gauges.values())

    def _by_worker(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        yield Gauge("jobs_workers", "Live workers", len(self._workers))
        yield Gauge("jobs_workers_memory_bytes", "Resident memory of all live workers", _sum_of_memory(self._workers))
        if self._workers:
            beats = [card.beat for card in self._workers]
            now = time.time()
            yield Gauge("jobs_worker_last_poll_timestamp_seconds", "When the newest heartbeat came", now - min(beats))
            yield Gauge("jobs_worker_oldest_poll_timestamp_seconds", "When the most silent worker was last heard of",
                        now - max(beats))  # fmt: skip


def _sum_of_memory(workers: Iterable[WorkerCard]) -> int:
    return sum(card.rss or 0 for card in workers)


def _bounded(queues: Sequence[QueueStatus]) -> list[QueueStatus]:
    """At most MOST of them by name; what is beyond as one more."""
    ordered = sorted(queues, key=lambda status: status.queue)
    named, rest = ordered[:MOST], ordered[MOST:]
    if not rest:
        return named
    others = QueueStatus(
        queue=OTHERS, counts={state: sum(each.counts.get(state, 0) for each in rest) for state in State},
        oldest=max((each.oldest for each in rest if each.oldest is not None), default=None),
        slots=sum(each.slots for each in rest), workers=sum(each.workers for each in rest),
    )  # fmt: skip
    return [*named, others]
