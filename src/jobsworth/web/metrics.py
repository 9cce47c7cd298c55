"""Numbers for Prometheus, read off the engine at each scrape; what only grows comes from the meter.

Labels are queue, task, state and cause. Queues beyond MOST, and tasks beyond the meter's, are added up as one, so that
no label grows without bound.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from jobsworth.engine import QueueStatus, WorkerCard
from jobsworth.errors import ExtraMissing
from jobsworth.job import FINAL, State
from jobsworth.loads import running
from jobsworth.statistics import BOUNDS, ENDS

from .meter import OTHERS, Count

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MOST = 500  # queues named
MOST_TASKS = 100  # tasks named that nobody knows


def exposition(
    queues: Sequence[QueueStatus], workers: Sequence[WorkerCard], counts: Sequence[Count] = ()
) -> tuple[str, bytes]:
    """The media type and the text. Raises ExtraMissing (E115)."""
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    except ImportError as exc:
        raise ExtraMissing(
            "/metrics needs prometheus-client, which is not installed", hint="pip install 'jobsworth[web]'"
        ) from exc
    registry = CollectorRegistry()
    registry.register(_Numbers(queues, workers, counts))
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)


class _Numbers:
    """One scrape."""

    def __init__(self, queues: Sequence[QueueStatus], workers: Sequence[WorkerCard], counts: Sequence[Count]) -> None:
        self._queues = _bounded(queues)
        self._workers = workers
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        yield from self._by_queue()
        yield from self._by_worker()
        yield from self._by_task()
        yield from self._by_time()

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

    def _by_task(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily as Counter

        finished = Counter("jobs_finished", "Jobs that ended after a run", None, ["queue", "task", "state"])
        returned = Counter("jobs_returned", "Runs after which their job waits again", None, ["queue", "task", "cause"])
        busy = Counter("jobs_busy_seconds", "Seconds that all runs took together", None, ["queue", "task"])
        for count in self._counts:
            name = [count.queue, count.task]
            for end, number in zip(ENDS, count.ends, strict=True):
                (finished if end in FINAL else returned).add_metric([*name, end], number)
            busy.add_metric(name, count.busy)
        yield from (finished, returned, busy)

    def _by_time(self) -> Iterator[Metric]:
        """Histograms without a sum: what is known of each run is its bucket."""
        from prometheus_client.core import HistogramMetricFamily as Histogram

        run = Histogram("jobs_duration_seconds", "How long runs took that completed", labels=["queue", "task"])
        wait = Histogram("jobs_wait_seconds", "How long jobs had been due when they started", labels=["queue", "task"])
        for count in self._counts:
            labels = {"queue": count.queue, "task": count.task}
            for histogram, numbers in ((run, count.run), (wait, count.wait)):
                below = list(accumulate(numbers))
                if below[-1]:
                    buckets = list(zip([*map(str, BOUNDS), "+Inf"], map(float, below), strict=True))
                    histogram.add_metric(list(labels.values()), buckets, None)
                    histogram.add_sample(f"{histogram.name}_count", labels, below[-1])
        yield from (run, wait)


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
