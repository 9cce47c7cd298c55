"""How full queues stand, as every engine notes it for the charts."""

from __future__ import annotations

from collections.abc import Iterable

from ..engine import QueueStatus
from ..job import State
from ..statistics import Sum, look


def looks_at(seen: Iterable[QueueStatus]) -> dict[str, Sum]:
    """What is noted of queues that were looked at, by name."""
    return {each.queue: look(each.in_rate, each.counts.get(State.QUEUED, 0), each.oldest) for each in seen}
