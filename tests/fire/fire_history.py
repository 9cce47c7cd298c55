"""A run as it was written down: what handlers did, what passed the engine's door, what the store says in the end.

checker.py says what is wrong with one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from recorder import Call

from jobsworth import Job, State
from jobsworth.job import Claim, NewJob
from jobsworth.lifecycle import Settlement


@dataclass(frozen=True)
class Event:
    """A handler's start or end, as it wrote it into the ledger."""

    kind: str
    id: str
    fence: int
    attempt: int
    pid: int
    at: float
    queue: str = "default"
    value: Any = None
    args: Any = None


@dataclass(frozen=True)
class Held:
    """A lease, and the call whose answer brought it: a turn, a reclaim, or a recall, which finds what a turn gave."""

    claim: Claim
    call: Call

    @property
    def fence(self) -> int:
        return self.claim.lease.fence


@dataclass(frozen=True)
class Ended:
    """An ending as it was sent. `accepted` is None where nobody knows."""

    settlement: Settlement
    call: Call
    accepted: bool | None

    @property
    def fence(self) -> int:
        return self.settlement.lease.fence


@dataclass
class History:
    """Everything known of a run. `at` of cancellations, events and calls is one clock for all processes."""

    acked: set[str]
    events: list[Event]
    jobs: list[Job]
    refused: set[str] = field(default_factory=set)  # enqueues that were refused for certain
    cancelled_waiting: set[str] = field(default_factory=set)  # the answer to the cancel was: it was still waiting
    cancelled_at: dict[str, float] = field(default_factory=dict)  # when a cancel of a running job was acknowledged
    disturbed: set[int] = field(default_factory=set)  # processes that were killed or stopped
    slots: Mapping[str, int] = field(default_factory=dict)  # by queue, in each process
    max_crashes: int = 100
    calls: list[Call] = field(default_factory=list)  # in the order they began; empty: nothing is known of the door
    counts: Mapping[str, Mapping[State, int]] | None = None  # by queue, as the engine counts them in the end

    @cached_property
    def stored(self) -> dict[str, Job]:
        return {job.id: job for job in self.jobs}

    @cached_property
    def wishes(self) -> dict[str, tuple[NewJob, Call]]:
        """By id, each wish that was acknowledged as new or of which nobody knows; and what endings sent on."""
        found: dict[str, tuple[NewJob, Call]] = {}
        for wish, call, fate in self._asked():
            if fate is not False:
                found[wish.id] = (wish, call)
        for call in self.calls:
            for ending in call.endings:
                if ending.forward is not None:
                    found[ending.forward.id] = (ending.forward, call)
        return found

    @cached_property
    def told(self) -> set[str]:
        """Every id that a receipt has named."""
        return {receipt.id for call in self.calls for batch in call.receipts for receipt in batch or ()} | self.acked

    @cached_property
    def not_stored(self) -> set[str]:
        """Ids of wishes that created nothing for certain."""
        return {wish.id for wish, _, fate in self._asked() if fate is False} | self.refused

    def _asked(self) -> Iterator[tuple[NewJob, Call, bool | None]]:
        """Each wish, and whether it is known to have been stored under its own id."""
        for call in self.calls:
            for place, batch in enumerate(call.wishes):
                receipts = call.receipts[place] if call.answered else None
                for number, wish in enumerate(batch):
                    if call.unknown:
                        yield wish, call, None
                    else:
                        yield wish, call, receipts is not None and receipts[number].id == wish.id

    @cached_property
    def leases(self) -> dict[str, list[Held]]:
        """By job, every lease that somebody was given, the earliest first."""
        found: dict[str, list[Held]] = defaultdict(list)
        for call in self.calls:
            for claim in call.claims:
                found[claim.lease.job_id].append(Held(claim, call))
        for held in found.values():
            held.sort(key=lambda each: each.fence)
        return found

    @cached_property
    def endings(self) -> dict[str, list[Ended]]:
        """By job, every ending that was sent, in the order they were."""
        found: dict[str, list[Ended]] = defaultdict(list)
        for call in self.calls:
            ids = [settlement.lease.job_id for settlement in call.endings]
            for settlement in call.endings:
                id_ = settlement.lease.job_id
                accepted: bool | None = None
                if call.answered and (id_ not in call.refused or ids.count(id_) == 1):
                    accepted = id_ not in call.refused
                if call.answered or call.unknown:
                    found[id_].append(Ended(settlement, call, accepted))
        return found

    @cached_property
    def pulses(self) -> dict[str, list[tuple[int, Call, Any, bool | None]]]:
        """By job, each sign of life: its fence, call, progress, and whether it was accepted; None: nobody knows."""
        found: dict[str, list[tuple[int, Call, Any, bool | None]]] = defaultdict(list)
        for call in self.calls:
            named = [pulse.lease.job_id for pulse in call.pulses]
            for pulse in call.pulses:
                id_ = pulse.lease.job_id
                accepted = None
                if call.answered and (id_ not in call.lost or named.count(id_) == 1):
                    accepted = id_ not in call.lost
                if call.answered or call.unknown:
                    found[id_].append((pulse.lease.fence, call, pulse.progress, accepted))
        return found

    @cached_property
    def renewed(self) -> set[str]:
        """Jobs that an operator may have redriven: everything of theirs may begin again."""
        return self.perhaps_moved("redrive")

    @cached_property
    def hurried(self) -> set[str]:
        """Jobs that an operator may have told to run at once."""
        return self.perhaps_moved("run_now", "redrive")

    def perhaps_moved(self, *moves: str) -> set[str]:
        """Jobs that one of these moves has moved, or may have."""
        calls = [call for call in self.calls if call.move in moves]
        return {id_ for call in calls for id_ in (call.moved if call.answered else call.ids or ())}


def read_ledger(folder: Path) -> list[Event]:
    """The ledger's events; a last line cut short by a kill is impossible, since lines are short and written whole."""
    path = folder / "ledger"
    if not path.exists():
        return []
    return [Event(**json.loads(line)) for line in path.read_text().splitlines()]
