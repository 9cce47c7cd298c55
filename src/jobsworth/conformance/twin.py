"""Two engines, one history: a machine that drives both through the same random life and compares what they show."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from jobsworth.clock import Clock, ManualClock
from jobsworth.engine import Engine, Pulse, QueueSettings, QueueStatus, Want, Where, WorkerCard
from jobsworth.errors import QueueFull
from jobsworth.job import HELD, Claim, Failure, Lease, LogLine, NewJob, Progress, State
from jobsworth.lifecycle import CANCEL, REDRIVE, RUN_NOW, Move, settle
from jobsworth.outcome import Failed, Lost, Outcome, Released, Snoozed, Stopped, Succeeded
from jobsworth.retry import Retry
from jobsworth.statistics import Statistics

from .door import finish

T = TypeVar("T")
V = TypeVar("V")
Pair = tuple[Claim, Claim]  # one run as each engine told it
Ending = tuple[Pair, Outcome, NewJob | None, tuple[LogLine, ...]]
Factory = Callable[[Clock], Engine]

RETRY = Retry(base=4.0, jitter=False, max_crashes=3)
SEEN = [QueueStatus(queue="mail", counts={State.QUEUED: 3}, in_rate=7, oldest=1.5)]
REMEMBERED = 12  # claims kept to settle or pulse with, long after they went stale


def variants(number: int, make: Callable[..., V], **pools: Sequence[Any]) -> st.SearchStrategy[V]:
    """One of so many values, put together once and for all from the pools; the first takes the first of each.

    A history is hundreds of values. Drawn field by field they would use up what Hypothesis lets one example draw, and
    only histories in which nothing much happens would be left.
    """
    chance = Random(number)  # noqa: S311 (the same ones every time is what is wanted)
    drawn = [make(**{name: chance.choice(pool) for name, pool in pools.items()}) for _ in range(number - 1)]
    values = [make(**{name: pool[0] for name, pool in pools.items()}), *drawn]
    # By number: Hypothesis would print a list of them all where it speaks of the strategy.
    return st.integers(0, number - 1).map(lambda which: values[which])


# Small pools, so that histories meet themselves.
IDS = [f"job-{number}" for number in range(24)]
QUEUES, TASKS = ["mail", "fax"], ["send", "ring"]
WORKERS, LEASES = st.sampled_from(["w1", "w2"]), st.sampled_from([20.0, 5.0])
DELAYS = [0.0, 0.0, 0.5, 6.0, 25.0]
BYTES = [b"", b"{}", bytes(range(256)), b"x" * 5_000]
REASONS = [None, "enough", "näh"]
SOME_PROGRESS = [None, None, Progress(1.0, 3.0), Progress(message="going"), Progress(3, 3, 100.0, "done")]
FAILURES = [
    Failure("ValueError", "no such address", "error", "Traceback: …"), Failure("OSError", "50% done"),
    Failure("TimedOut", "too late", "timeout"),
]  # fmt: skip
WISHES = st.builds(
    lambda wish, job_id: replace(wish, id=job_id),
    variants(
        150, NewJob, id=[""], queue=QUEUES, task=TASKS, args=BYTES, max_attempts=[3, 2, 1], delay=DELAYS,
        priority=[0, 0, 0, 1, -1], key=[None, None, "k1", "k2"], owner=[None, "user:7"], label=[None, "a label"],
        tags=[(), ("red",), ("red", "blue")], meta=[None, b"m"], timeout=[None, 2.5], expires=[None, None, None, 10.0],
        max_size=[None] * 5 + [4], failure=[None] * 12 + [Failure("Pushed", "by hand", "pushed")],
    ),
    st.sampled_from(IDS),
)  # fmt: skip
OUTCOMES = st.one_of(
    variants(8, Succeeded, result=[None, *BYTES], progress=SOME_PROGRESS),
    variants(
        24, Failed, failure=FAILURES, final=[False, False, True], delay=[None, *DELAYS], charged=[True, True, False],
        progress=SOME_PROGRESS,
    ),
    variants(6, Snoozed, delay=DELAYS, progress=SOME_PROGRESS),
    variants(6, Stopped, reason=REASONS, expired=[False, True], progress=SOME_PROGRESS),
    variants(6, Released, delay=DELAYS, progress=SOME_PROGRESS),
    variants(3, Lost, progress=SOME_PROGRESS),
)  # fmt: skip
# Now and then a job is sent on with an ending.
FORWARDS = st.one_of(st.none(), st.none(), WISHES)
WANTS = variants(
    20, Want, queue=QUEUES, limit=[3, 1, 0, 9], tasks=[("send", "ring"), ("send",), ()], crashed=[True, False]
)
EVERYTHING = [Want("mail", 3, ("send", "ring")), Want("fax", 3, ("send", "ring"))]
NARROW = variants(40, lambda first, second: Where(ids=(first, second)), first=IDS, second=IDS)
WHERES = variants(
    150, Where, ids=[None] * 4 + [(), ("job-1", "job-2", "job-3")], queue=[None, *QUEUES], task=[None, None, *TASKS],
    states=[None, None, None, (), *((state,) for state in State), (State.FAILED, State.QUEUED)],
    key=[None] * 5 + ["k1"], tag=[None] * 5 + ["blue"], owner=[None] * 5 + ["user:7"],
    text=[None] * 6 + ["job-1", "A LAB", "0% d", "sen"], reason=[None] * 6 + ["exhausted", "cancelled"],
    created_within=[None] * 5 + [10.0], finished_for=[None] * 5 + [5.0], finished_within=[None] * 5 + [20.0],
    newest_first=[True, False], beyond=[0, 0, 1, 3], limit=[None, None, 2, 100],
)  # fmt: skip
EVERYBODY = st.just(Where(limit=None))
MOVES = st.builds(
    lambda move, changes: replace(move, **changes),
    st.sampled_from([CANCEL, REDRIVE, RUN_NOW]),
    variants(20, dict, reason=REASONS, grace=[None, 2.0], delay=[0.0, 0.0, 9.0], args=[None, None, *BYTES]),
)
CARDS = variants(
    12, WorkerCard, id=["w1", "w2"], queues=[{"mail": 2}, {}, {"mail": 1, "fax": 4}], running=[0, 3],
    tasks=[("send",), (), ("send", "ring")],
)  # fmt: skip
PROGRESS = st.sampled_from(SOME_PROGRESS)
# Mostly nothing; else lines that go on, that were sent before, or of which some were left out.
LINES = variants(
    16, lambda first, many: tuple(LogLine(first + n, n / 8, "INFO", "app", f"näh {n}") for n in range(many)),
    first=[1, 1, 2, 3, 150, 400], many=[0, 0, 0, 1, 3, 200],
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
        self.claims: list[Pair] = []
        for twin in self.twins:
            self.ask(twin, twin.open())

    def teardown(self) -> None:
        for twin in self.twins:
            self.ask(twin, twin.close())
        self.runner.close()

    def ask(self, twin: Engine, question: Coroutine[Any, Any, T]) -> T:
        """One engine's answer. An event loop costs more than most answers, so only those that suspend get one."""
        return finish(question) if twin.blocking else self.runner.run(question)

    def both(self, verb: Callable[[Engine, int], Coroutine[Any, Any, T]]) -> tuple[T, T]:
        """Ask both; the number says which of the two is asked."""
        first, second = (self.ask(twin, verb(twin, number)) for number, twin in enumerate(self.twins))
        return first, second

    def same(
        self, verb: Callable[[Engine, int], Coroutine[Any, Any, T]], view: Callable[[T], Any] = lambda it: it
    ) -> T:
        """Ask both, compare the answers, and give back the reference's."""
        expected, answer = self.both(verb)
        assert view(answer) == view(expected)
        return expected

    def run_of(self, data: st.DataObject) -> list[Pair]:
        """Some claims of the past."""
        if not self.claims:
            return []
        numbers = st.integers(0, len(self.claims) - 1)
        return [
            self.claims[-1 - number] for number in data.draw(st.lists(numbers, min_size=1, max_size=4, unique=True))
        ]

    def remember(self, expected: list[Claim], answer: list[Claim]) -> None:
        assert [without_lease(claim) for claim in answer] == [without_lease(claim) for claim in expected]
        self.claims = [*self.claims, *zip(expected, answer, strict=True)][-REMEMBERED:]

    def by_name(self, queues: list[QueueStatus]) -> list[QueueStatus]:
        """Queues in an order that can be compared."""
        # An engine may find the last minute's arrivals by their order; after a jump of the clock that is a guess.
        shown = [replace(status, in_rate=0) for status in queues] if self.jumped else queues
        return sorted(shown, key=lambda status: status.queue)

    @initialize(jobs=st.lists(WISHES, min_size=2, max_size=8))
    def start(self, jobs: list[NewJob]) -> None:
        self.enqueue([jobs])

    @rule(jobs=st.lists(WISHES, min_size=1, max_size=4))
    def enqueue_one(self, jobs: list[NewJob]) -> None:
        self.enqueue([jobs])

    @rule(batches=st.lists(st.lists(WISHES, max_size=4), min_size=1, max_size=2))
    def enqueue_many(self, batches: list[list[NewJob]]) -> None:
        self.enqueue(batches)

    def enqueue(self, batches: list[list[NewJob]]) -> None:
        self.same(
            lambda twin, _: twin.enqueue(batches),
            lambda answers: ["full" if isinstance(answer, QueueFull) else answer for answer in answers],
        )

    @rule(data=st.data(), worker=WORKERS, wants=st.lists(WANTS, max_size=2), lease=LEASES)
    def turn(self, data: st.DataObject, worker: str, wants: list[Want], lease: float) -> None:
        self.take_turn(worker, self.endings(data), wants, lease)

    @rule(data=st.data(), worker=WORKERS, lease=LEASES)
    def work(self, data: st.DataObject, worker: str, lease: float) -> None:
        self.take_turn(worker, self.endings(data), EVERYTHING, lease)

    @rule(data=st.data(), seconds=st.sampled_from([0.0, 1.0, 6.0]))
    def run(self, data: st.DataObject, seconds: float) -> None:
        """A worker's whole round: claim, work for a while, end some of what runs."""
        self.take_turn("w2", [], EVERYTHING, 20.0)
        self.clock.advance(seconds)
        self.take_turn("w2", self.endings(data), [], 20.0)

    def endings(self, data: st.DataObject) -> list[Ending]:
        endings = [
            (pair, data.draw(OUTCOMES), data.draw(FORWARDS), data.draw(LINES)) for pair in self.run_of(data)
        ]  # fmt: skip
        for (claim, _), outcome, forward, lines in endings:
            note(
                f"{claim.lease.job_id}, attempt {claim.attempt}, ends: {outcome}, sends on {forward},"
                f" logs {len(lines)} from {lines[0].number if lines else 0}"
            )
        return endings

    def take_turn(self, worker: str, endings: list[Ending], wants: list[Want], lease: float) -> None:
        expected, answer = self.both(
            lambda twin, which: twin.turn(
                worker,
                [
                    replace(settle(pair[which], outcome, RETRY), forward=forward, lines=lines)
                    for pair, outcome, forward, lines in endings
                ],
                wants,
                lease=lease,
            )
        )
        assert sorted(answer.refused) == sorted(expected.refused)
        assert answer.next_due == expected.next_due
        self.compare_logs([pair for pair, _, _, lines in endings if lines])
        self.remember(expected.claims, answer.claims)

    def compare_logs(self, pairs: list[Pair], after: int = 0, limit: int | None = None) -> None:
        for claim, _ in pairs:
            self.same(lambda twin, _, job=claim.lease.job_id: twin.logs(job, after, limit))  # type: ignore[misc]

    @rule(data=st.data(), after=st.sampled_from([0, 1, 150, 300]), limit=st.sampled_from([None, 1, 3, 250]))
    def read_logs(self, data: st.DataObject, after: int, limit: int | None) -> None:
        self.compare_logs(self.run_of(data), after, limit)

    @rule(data=st.data(), card=CARDS, progress=PROGRESS, lines=LINES, lease=LEASES)
    def pulse(
        self, data: st.DataObject, card: WorkerCard, progress: Progress | None, lines: tuple[LogLine, ...], lease: float
    ) -> None:
        pairs = self.run_of(data)
        self.same(lambda twin, which: twin.hear([pair[which].lease for pair in pairs]), heard)
        self.same(
            lambda twin, which: twin.pulse(
                card, [Pulse(pair[which].lease, progress, lines) for pair in pairs], lease=lease
            ),
            heard,
        )
        self.compare_logs(pairs if lines else [])

    @rule(limit=st.sampled_from([9, 1, 0]), lease=LEASES, after=st.sampled_from([6.0, 0.0, 21.0]))
    def reclaim(self, limit: int, lease: float, after: float) -> None:
        self.clock.advance(after)
        expected, answer = self.both(lambda twin, _: twin.reclaim(limit, worker="rescuer", lease=lease))
        self.remember(sorted(expected, key=job_of), sorted(answer, key=job_of))

    @rule(where=st.one_of(NARROW, WHERES, EVERYBODY), move=MOVES)
    def move(self, where: Where, move: Move) -> None:
        self.same(lambda twin, _: twin.move(where, move), sorted)

    @rule(where=st.one_of(NARROW, st.just(Where(states=(State.COMPLETED,), beyond=2)), WHERES))
    def delete(self, where: Where) -> None:
        self.same(lambda twin, _: twin.delete(where))

    @rule(where=st.one_of(NARROW, WHERES))
    def leave_and_come_back(self, where: Where) -> None:
        """What nobody holds goes, and is adopted again as the first engine knew it."""
        first = self.twins[0]
        going = [job for job in self.ask(first, first.find(where)) if job.state not in HELD]
        ids = tuple(job.id for job in going)
        self.same(lambda twin, _: twin.delete(Where(ids=ids, limit=None)))
        self.same(lambda twin, _: twin.adopt([*going, *going[:1]]))
        self.jumped = True  # the order of creation is not the order of time any more

    @rule(limit=st.sampled_from([3, 1, 50]))
    def scan(self, limit: int) -> None:
        places = (0, 0)
        for _ in range(2):
            first, second = self.both(lambda twin, number, at=places: twin.scan(at[number], limit))  # type: ignore[misc]
            assert second[0] == first[0]
            places = (first[1], second[1])

    @rule(queue=st.sampled_from(QUEUES), paused=st.sampled_from([None, True, False, False]))
    def configure(self, queue: str, paused: bool | None) -> None:
        self.same(lambda twin, _: twin.configure(queue, QueueSettings(paused=paused)))

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, 6.0, 20.0, 61.0, -3.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.jumped = self.jumped or seconds < 0

    @rule(chores=st.sampled_from([("upkeep",), ("sign_off", "w1"), ("close", "open")]))
    def chore(self, chores: tuple[str, ...]) -> None:
        if chores[0] == "sign_off":
            self.same(lambda twin, _: twin.sign_off(chores[1]))
        elif chores[0] == "upkeep":
            self.same(lambda twin, _: twin.upkeep(SEEN))
        else:
            for verb in chores:
                self.same(lambda twin, _, verb=verb: getattr(twin, verb)())  # type: ignore[misc]

    @rule(where=WHERES)
    def look(self, where: Where) -> None:
        self.same(lambda twin, _: twin.find(where))
        self.same(lambda twin, _: twin.count(where))

    @rule(ids=st.lists(st.sampled_from(IDS), min_size=4, max_size=4))
    def stand_alike(self, ids: list[str]) -> None:
        for job_id in ids:
            self.same(lambda twin, _, job_id=job_id: twin.place(job_id))  # type: ignore[misc]

    @invariant()
    def look_alike(self) -> None:
        jobs = self.same(lambda twin, _: twin.find(Where(limit=None)))
        note(f"{len(jobs)} jobs: {[f'{job.id} {job.state}' for job in jobs]}")
        self.same(lambda twin, _: twin.count(Where()))
        for brief in (False, True):
            self.same(lambda twin, _, brief=brief: twin.queues(brief=brief), self.by_name)  # type: ignore[misc]
        self.same(lambda twin, _: twin.statistics(3600.0), to_microseconds)
        self.same(lambda twin, _: twin.workers(), lambda cards: sorted(cards, key=lambda card: card.id))


def job_of(claim: Claim) -> str:
    """The job a claim is for."""
    return claim.lease.job_id


def without_lease(claim: Claim) -> Claim:
    """Fences are each engine's own numbers; whose job it is must agree."""
    return replace(claim, lease=Lease(claim.lease.job_id, 0))


def to_microseconds(told: Statistics) -> Statistics:
    """Sums of times may differ behind that."""
    return replace(told, now=0.0, tallies=[replace(tally, busy=round(tally.busy, 6)) for tally in told.tallies])


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
