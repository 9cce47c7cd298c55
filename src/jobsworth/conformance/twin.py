"""Two engines, one history: a machine that drives both through the same random life and compares what they show."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from jobsworth.clock import Clock, ManualClock
from jobsworth.engine import Engine, Pulse, QueueSettings, QueueStatus, Want, Where, WorkerCard
from jobsworth.errors import QueueFull
from jobsworth.job import Claim, Failure, Lease, NewJob, Progress, State
from jobsworth.lifecycle import CANCEL, REDRIVE, RUN_NOW, Move, settle
from jobsworth.outcome import Failed, Lost, Released, Snoozed, Stopped, Succeeded
from jobsworth.retry import Retry

T = TypeVar("T")
Factory = Callable[[Clock], Engine]

RETRY = Retry(base=4.0, jitter=False, max_crashes=3)
REMEMBERED = 12  # claims kept to settle or pulse with, long after they went stale

# Small pools, so that histories meet themselves.
IDS = st.sampled_from([f"job-{number}" for number in range(12)])
QUEUES = st.sampled_from(["mail", "fax"])
TASKS = st.sampled_from(["send", "ring"])
WORKERS = st.sampled_from(["w1", "w2"])
LEASES = st.sampled_from([5.0, 20.0])
DELAYS = st.sampled_from([0.0, 0.0, 0.5, 6.0, 25.0])
BYTES = st.sampled_from([b"", b"{}", bytes(range(256)), b"x" * 5_000])
REASONS = st.sampled_from([None, "enough", "näh"])
PROGRESS = st.none() | st.builds(Progress, st.sampled_from([None, 1.0]), st.just(3.0), st.none(), st.just("going"))
FAILURES = st.builds(
    Failure, st.just("ValueError"), st.sampled_from(["no such address", "50% done"]),
    st.sampled_from(["error", "timeout"]), st.sampled_from([None, "Traceback: …"]),
)  # fmt: skip
WISHES = st.builds(
    NewJob, id=IDS, queue=QUEUES, task=TASKS, args=BYTES, max_attempts=st.integers(1, 3), delay=DELAYS,
    priority=st.sampled_from([0, 0, 1, -1]), key=st.sampled_from([None, None, "k1", "k2"]),
    owner=st.sampled_from([None, "user:7"]), label=st.sampled_from([None, "a label"]),
    tags=st.sampled_from([(), ("red",), ("red", "blue")]), meta=st.sampled_from([None, b"m"]),
    timeout=st.sampled_from([None, 2.5]), expires=st.sampled_from([None, None, 10.0]),
    max_size=st.sampled_from([None, None, 3]), failure=st.sampled_from([None] * 9 + [Failure("Pushed", "x", "pushed")]),
)  # fmt: skip
OUTCOMES = st.one_of(
    st.builds(Succeeded, st.none() | BYTES, PROGRESS),
    st.builds(Failed, FAILURES, st.booleans(), st.none() | DELAYS, st.sampled_from([True, True, False]), PROGRESS),
    st.builds(Snoozed, DELAYS, PROGRESS),
    st.builds(Stopped, REASONS, st.booleans(), PROGRESS),
    st.builds(Released, DELAYS, PROGRESS),
    st.builds(Lost, st.just("its process died"), PROGRESS),
)
# Now and then a job is sent on with an ending.
FORWARDS = st.none() | st.none() | st.none() | WISHES
WANTS = st.builds(Want, QUEUES, st.integers(0, 4), st.sampled_from([("send", "ring"), ("send",), ()]), st.booleans())
WHERES = st.builds(
    Where, ids=st.none() | st.lists(IDS, max_size=3).map(tuple), queue=st.none() | QUEUES, task=st.none() | TASKS,
    states=st.none() | st.lists(st.sampled_from(State), max_size=3).map(tuple),
    key=st.sampled_from([None, None, None, "k1"]), tag=st.sampled_from([None, None, None, "blue"]),
    owner=st.sampled_from([None, None, None, "user:7"]),
    text=st.sampled_from([None, None, None, "job-1", "A LAB", "0% d", "sen"]),
    reason=st.sampled_from([None, None, None, "exhausted", "cancelled"]),
    created_within=st.sampled_from([None, None, None, 10.0]), finished_for=st.sampled_from([None, None, None, 5.0]),
    finished_within=st.sampled_from([None, None, None, 20.0]), newest_first=st.booleans(),
    beyond=st.sampled_from([0, 0, 1, 3]), limit=st.sampled_from([None, None, 2, 100]),
)  # fmt: skip
NARROW = st.builds(Where, ids=st.lists(IDS, min_size=1, max_size=3).map(tuple))
SELECTIONS = NARROW | WHERES
MOVES = st.builds(
    lambda move, reason, grace, delay, args: replace(move, reason=reason, grace=grace, delay=delay, args=args),
    st.sampled_from([CANCEL, CANCEL, REDRIVE, RUN_NOW]), REASONS, st.sampled_from([None, 2.0]),
    st.sampled_from([0.0, 0.0, 9.0]), st.none() | BYTES,
)  # fmt: skip
CARDS = st.builds(
    WorkerCard, id=WORKERS, queues=st.dictionaries(QUEUES, st.integers(1, 4)),
    tasks=st.sampled_from([(), ("send",), ("send", "ring")]), running=st.integers(0, 3),
)  # fmt: skip


class Twins(RuleBasedStateMachine):
    """Whatever is done to one engine is done to the other, and both must answer and look the same."""

    reference_factory: Factory
    engine_factory: Factory

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.jumped = False
        self.runner = asyncio.Runner()
        self.twins = (type(self).reference_factory(self.clock), type(self).engine_factory(self.clock))
        # Both engines' claims of one run, the stale ones included.
        self.claims: list[tuple[Claim, Claim]] = []
        for twin in self.twins:
            self.runner.run(twin.open())

    def teardown(self) -> None:
        for twin in self.twins:
            self.runner.run(twin.close())
        self.runner.close()

    def both(self, verb: Callable[[Engine, int], Coroutine[Any, Any, T]]) -> tuple[T, T]:
        """Ask both; the number says which of the two is asked."""
        first, second = (self.runner.run(verb(twin, number)) for number, twin in enumerate(self.twins))
        return first, second

    def same(
        self, verb: Callable[[Engine, int], Coroutine[Any, Any, T]], view: Callable[[T], Any] = lambda it: it
    ) -> T:
        """Ask both, compare the answers, and give back the reference's."""
        expected, answer = self.both(verb)
        assert view(answer) == view(expected)
        return expected

    def run_of(self, data: st.DataObject) -> list[tuple[Claim, Claim]]:
        """Some claims of the past."""
        return data.draw(st.lists(st.sampled_from(self.claims), max_size=4, unique_by=id)) if self.claims else []

    def remember(self, expected: list[Claim], answer: list[Claim]) -> None:
        assert [without_lease(claim) for claim in answer] == [without_lease(claim) for claim in expected]
        self.claims = [*self.claims, *zip(expected, answer, strict=True)][-REMEMBERED:]

    def by_name(self, queues: list[QueueStatus]) -> list[QueueStatus]:
        """Queues in an order that can be compared."""
        # An engine may find the last minute's arrivals by their order; after a jump of the clock that is a guess.
        shown = [replace(status, in_rate=0) for status in queues] if self.jumped else queues
        return sorted(shown, key=lambda status: status.queue)

    @rule(batches=st.lists(st.lists(WISHES, max_size=4), min_size=1, max_size=2))
    def enqueue(self, batches: list[list[NewJob]]) -> None:
        self.same(
            lambda twin, _: twin.enqueue(batches),
            lambda answers: ["full" if isinstance(answer, QueueFull) else answer for answer in answers],
        )

    @rule(data=st.data(), worker=WORKERS, wants=st.lists(WANTS, max_size=2), lease=LEASES)
    def turn(self, data: st.DataObject, worker: str, wants: list[Want], lease: float) -> None:
        endings = [(pair, data.draw(OUTCOMES), data.draw(FORWARDS)) for pair in self.run_of(data)]
        expected, answer = self.both(
            lambda twin, which: twin.turn(
                worker,
                [replace(settle(pair[which], outcome, RETRY), forward=forward) for pair, outcome, forward in endings],
                wants,
                lease=lease,
            )
        )
        assert sorted(answer.refused) == sorted(expected.refused)
        assert answer.next_due == expected.next_due
        self.remember(expected.claims, answer.claims)

    @rule(data=st.data(), card=CARDS, progress=PROGRESS, lease=LEASES)
    def pulse(self, data: st.DataObject, card: WorkerCard, progress: Progress | None, lease: float) -> None:
        pairs = self.run_of(data)
        self.same(
            lambda twin, which: twin.pulse(card, [Pulse(pair[which].lease, progress) for pair in pairs], lease=lease),
            heard,
        )

    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        pairs = self.run_of(data)
        self.same(lambda twin, which: twin.hear([pair[which].lease for pair in pairs]), heard)

    @rule(limit=st.integers(0, 3), lease=LEASES)
    def reclaim(self, limit: int, lease: float) -> None:
        expected, answer = self.both(lambda twin, _: twin.reclaim(limit, worker="rescuer", lease=lease))
        self.remember(sorted(expected, key=job_of), sorted(answer, key=job_of))

    @rule(where=SELECTIONS, move=MOVES)
    def move(self, where: Where, move: Move) -> None:
        self.same(lambda twin, _: twin.move(where, move), sorted)

    @rule(where=NARROW | st.builds(Where, states=st.just((State.COMPLETED,)), beyond=st.integers(0, 2)))
    def delete(self, where: Where) -> None:
        self.same(lambda twin, _: twin.delete(where))

    @rule(queue=QUEUES, paused=st.sampled_from([None, True, False, False]))
    def configure(self, queue: str, paused: bool | None) -> None:
        self.same(lambda twin, _: twin.configure(queue, QueueSettings(paused=paused)))

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, 6.0, 20.0, 61.0, -3.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.jumped = self.jumped or seconds < 0

    @rule(worker=st.none() | WORKERS)
    def upkeep(self, worker: str | None) -> None:
        self.same(lambda twin, _: twin.upkeep() if worker is None else twin.sign_off(worker))

    @rule(where=WHERES)
    def look(self, where: Where) -> None:
        self.same(lambda twin, _: twin.find(where))
        self.same(lambda twin, _: twin.count(where))

    @invariant()
    def look_alike(self) -> None:
        jobs = self.same(lambda twin, _: twin.find(Where(limit=None)))
        note(f"{len(jobs)} jobs: {[f'{job.id} {job.state}' for job in jobs]}")
        self.same(lambda twin, _: twin.count(Where()))
        for brief in (False, True):
            self.same(lambda twin, _, brief=brief: twin.queues(brief=brief), self.by_name)  # type: ignore[misc]
        self.same(lambda twin, _: twin.workers(), lambda cards: sorted(cards, key=lambda card: card.id))


def job_of(claim: Claim) -> str:
    """The job a claim is for."""
    return claim.lease.job_id


def without_lease(claim: Claim) -> Claim:
    """Fences are each engine's own numbers; whose job it is must agree."""
    return replace(claim, lease=Lease(claim.lease.job_id, 0))


def heard(answer: Any) -> Any:
    """What was heard, in an order that can be compared."""
    return sorted(answer.cancelled, key=lambda request: request.job_id), sorted(answer.lost)


def twin_of(reference_factory: Factory, engine_factory: Factory) -> type[unittest.TestCase]:
    """A test case that drives two engines through the same histories and compares them after every step.

    Each factory takes a clock and gives an unopened engine with nothing in it, a new one for every history. Set the
    number and length of histories on the case: `Case.settings = hypothesis.settings(max_examples=..., ...)`.
    """

    class TheseTwins(Twins):
        pass

    TheseTwins.reference_factory = staticmethod(reference_factory)
    TheseTwins.engine_factory = staticmethod(engine_factory)
    case: type[unittest.TestCase] = TheseTwins.TestCase
    return case
