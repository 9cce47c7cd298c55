"""The state machine, walked: every state, every move, every outcome."""

from __future__ import annotations

import typing
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from jobsworth.job import FINAL, HELD, LIVE, PENDING, Claim, Failure, Lease, Progress, State
from jobsworth.lifecycle import MOVES, Move, Settlement, gives_up, settle, transitions
from jobsworth.outcome import Failed, Lost, Outcome, Released, Snoozed, Stopped, Succeeded
from jobsworth.retry import Retry

BROKEN = Failure("ValueError", "no such address", "error", "Traceback: …")
LATE = Failure("TimedOut", "took longer than 2 s", "timeout")
UNFIT = Failure("Incompatible", "no argument named size", "incompatible")
RETRY = Retry(max_attempts=99, base=10, factor=2, cap=60, jitter=False, max_crashes=3)
DONE = Progress(3, 3)

S = State


def a_claim(*, errors: int = 0, crashes: int = 0, max_attempts: int = 3) -> Claim:
    return Claim(
        lease=Lease("a", 7, row=1), queue="mail", task="send", args=b"", attempt=errors + crashes + 1, errors=errors,
        crashes=crashes, max_attempts=max_attempts,
    )  # fmt: skip


def ended(outcome: Outcome, claim: Claim | None = None, retry: Retry = RETRY) -> Settlement:
    return settle(claim or a_claim(), outcome, retry)


# ── what follows the end of a run ────────────────────────────────────────────────────────────────────────────────────

TABLE: list[tuple[Outcome, Claim, Settlement]] = [
    (Succeeded(b"1"), a_claim(), Settlement(a_claim().lease, S.COMPLETED, "succeeded", S.COMPLETED, result=b"1")),
    (
        Failed(BROKEN), a_claim(),
        Settlement(a_claim().lease, S.SCHEDULED, "failed", S.CANCELLED, 10.0, errors=1, failure=BROKEN),
    ),
    (
        Failed(BROKEN), a_claim(errors=1),
        Settlement(a_claim().lease, S.SCHEDULED, "failed", S.CANCELLED, 20.0, errors=1, failure=BROKEN),
    ),
    (
        Failed(BROKEN, delay=0.0), a_claim(),
        Settlement(a_claim().lease, S.SCHEDULED, "failed", S.CANCELLED, 0.0, errors=1, failure=BROKEN),
    ),
    (
        Failed(LATE), a_claim(),
        Settlement(a_claim().lease, S.SCHEDULED, "timed_out", S.CANCELLED, 10.0, errors=1, failure=LATE),
    ),
    (
        Failed(BROKEN), a_claim(errors=2),
        Settlement(
            a_claim().lease, S.FAILED, "failed", S.FAILED, errors=1, failure=replace(BROKEN, reason="exhausted")
        ),
    ),
    (
        Failed(LATE, delay=5), a_claim(errors=2),
        Settlement(
            a_claim().lease, S.FAILED, "timed_out", S.FAILED, errors=1, failure=replace(LATE, reason="exhausted")
        ),
    ),
    (
        Failed(BROKEN, final=True), a_claim(),
        Settlement(a_claim().lease, S.FAILED, "failed", S.FAILED, errors=1, failure=BROKEN),
    ),
    (
        Failed(UNFIT, final=True, charged=False), a_claim(),
        Settlement(a_claim().lease, S.FAILED, "incompatible", S.FAILED, refund=True, failure=UNFIT),
    ),
    (Snoozed(40), a_claim(), Settlement(a_claim().lease, S.SCHEDULED, "snoozed", S.CANCELLED, 40, True)),
    (
        Stopped("enough"), a_claim(),
        Settlement(
            a_claim().lease, S.CANCELLED, "cancelled", S.CANCELLED, failure=Failure("Cancelled", "enough", "cancelled")
        ),
    ),
    (
        Stopped(), a_claim(),
        Settlement(
            a_claim().lease, S.CANCELLED, "cancelled", S.CANCELLED,
            failure=Failure("Cancelled", "cancelled", "cancelled"),
        ),
    ),
    (
        Stopped(expired=True), a_claim(),
        Settlement(
            a_claim().lease, S.CANCELLED, "expired", S.CANCELLED, refund=True,
            failure=Failure("Expired", "it was not started in time", "expired"),
        ),
    ),
    (Released(), a_claim(), Settlement(a_claim().lease, S.QUEUED, "released", S.CANCELLED, 0.0, True)),
    (Released(6), a_claim(), Settlement(a_claim().lease, S.SCHEDULED, "released", S.CANCELLED, 6, True)),
    (
        Lost("it died"), a_claim(),
        Settlement(
            a_claim().lease, S.QUEUED, "lost", S.CANCELLED, crashes=1,
            failure=Failure("WorkerLost", "it died", "crashed"),
        ),
    ),
    (
        Lost("it died"), a_claim(crashes=1),
        Settlement(
            a_claim().lease, S.SCHEDULED, "lost", S.CANCELLED, 10.0, crashes=1,
            failure=Failure("WorkerLost", "it died", "crashed"),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "claim", "expected"), TABLE, ids=lambda value: "" if isinstance(value, Claim) else None
)
def test_each_outcome_has_one_consequence(outcome: Outcome, claim: Claim, expected: Settlement) -> None:
    assert ended(outcome, claim) == expected


def test_every_kind_of_outcome_is_in_the_table() -> None:
    assert {type(outcome) for outcome, _, _ in TABLE} == set(typing.get_args(Outcome))


@pytest.mark.parametrize("outcome", [
    Succeeded(None, DONE), Failed(BROKEN, progress=DONE), Failed(BROKEN, final=True, progress=DONE), Snoozed(1, DONE),
    Stopped(progress=DONE), Stopped(expired=True, progress=DONE), Released(progress=DONE), Lost(progress=DONE),
], ids=lambda outcome: type(outcome).__name__)  # fmt: skip
@pytest.mark.parametrize("crashes", [0, 1, 2])
def test_the_last_progress_travels_with_every_ending(outcome: Outcome, crashes: int) -> None:
    settlement = ended(outcome, a_claim(crashes=crashes))
    assert (settlement.progress, settlement.lease) == (DONE, a_claim().lease)


def test_every_ending_that_was_asked_for_ends_the_job() -> None:
    for outcome, claim, _ in TABLE:
        assert ended(outcome, claim).if_cancelling in FINAL


def test_only_an_ending_in_the_history_of_errors_counts_as_one() -> None:
    for outcome, claim, _ in TABLE:
        settlement = ended(outcome, claim)
        counted = (settlement.errors, settlement.crashes, int(settlement.refund))
        assert sum(counted) <= 1, "an attempt is an error, a crash or refunded, never two of them"


# ── attempts and crashes ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
def test_a_job_fails_exactly_as_often_as_it_may(max_attempts: int) -> None:
    targets = [
        ended(Failed(BROKEN), a_claim(errors=errors, max_attempts=max_attempts)).target
        for errors in range(max_attempts)
    ]
    assert targets == [S.SCHEDULED] * (max_attempts - 1) + [S.FAILED]


def test_the_jobs_own_number_of_attempts_goes_before_the_policys() -> None:
    assert gives_up(ended(Failed(BROKEN), a_claim(max_attempts=1), Retry(max_attempts=9)))
    assert not gives_up(ended(Failed(BROKEN), a_claim(max_attempts=9), Retry(max_attempts=1)))


@pytest.mark.parametrize("max_crashes", [1, 2, 5])
def test_a_job_crashes_exactly_as_often_as_it_may(max_crashes: int) -> None:
    retry = Retry(base=10, jitter=False, max_crashes=max_crashes)
    given_up = [gives_up(ended(Lost(), a_claim(crashes=crashes), retry)) for crashes in range(max_crashes)]
    assert given_up == [False] * (max_crashes - 1) + [True]


def test_a_poison_job_says_how_often_it_crashed() -> None:
    settlement = ended(Lost("killed by signal 9"), a_claim(crashes=2))
    assert (settlement.target, settlement.if_cancelling, settlement.outcome) == (S.FAILED, S.FAILED, "lost")
    assert settlement.failure is not None
    assert settlement.failure.reason == "crashed"
    assert "3 times" in settlement.failure.message
    assert "killed by signal 9" in settlement.failure.message


def test_crashes_use_up_no_attempts_and_errors_no_crashes() -> None:
    assert not gives_up(ended(Lost(), a_claim(errors=2, max_attempts=3)))
    assert not gives_up(ended(Failed(BROKEN), a_claim(crashes=2)))


def test_the_first_crash_is_tried_again_at_once_and_later_ones_wait_longer_and_longer() -> None:
    retry = Retry(base=10, jitter=False, max_crashes=9)
    assert [ended(Lost(), a_claim(crashes=crashes), retry).delay for crashes in range(4)] == [0, 10, 20, 40]


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("errors", range(12))
def test_the_wait_after_a_failure_is_jittered_and_bounded(errors: int) -> None:
    retry = Retry(base=10, factor=2, cap=60)
    draws: list[Callable[[], float]] = [lambda: 0.0, lambda: 0.25, lambda: 1.0 - 2**-53]
    least, quarter, most = (
        settle(a_claim(errors=errors, max_attempts=99), Failed(BROKEN), retry, draw).delay for draw in draws
    )
    bound = min(60, 10 * 2**errors)
    assert (least, quarter) == (0.0, bound / 4)
    assert most == pytest.approx(bound)


def test_the_handlers_own_wait_goes_before_the_backoff() -> None:
    assert ended(Failed(BROKEN, delay=777.0), a_claim()).delay == 777.0


def test_a_jitter_of_nothing_after_a_crash_queues_at_once() -> None:
    settlement = settle(a_claim(crashes=1), Lost(), Retry(max_crashes=9), lambda: 0.0)
    assert (settlement.target, settlement.delay) == (S.QUEUED, 0.0)


# ── the states ───────────────────────────────────────────────────────────────────────────────────────────────────────

MOVED = {
    "cancel": {S.SCHEDULED: S.CANCELLED, S.QUEUED: S.CANCELLED, S.RUNNING: S.CANCELLING, S.CANCELLING: S.CANCELLING},
    "redrive": {S.COMPLETED: S.QUEUED, S.FAILED: S.QUEUED, S.CANCELLED: S.QUEUED},
    "run_now": {S.SCHEDULED: S.QUEUED},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_each_move_knows_where_each_state_goes(move: Move, state: State) -> None:
    assert move.to.get(state) is MOVED[move.name].get(state)


def test_states_are_live_or_final_and_live_ones_wait_or_are_held() -> None:
    assert set(State) == LIVE | FINAL
    assert not LIVE & FINAL
    assert PENDING | HELD == LIVE
    assert not PENDING & HELD


def test_no_move_takes_a_job_from_its_worker() -> None:
    for move in MOVES:
        for source, target in move.to.items():
            assert (source in HELD) == (target in HELD)


def test_only_a_move_that_renews_wakes_a_final_job() -> None:
    for move in MOVES:
        assert move.renews == bool(FINAL & move.to.keys())


def test_every_state_can_be_reached_and_every_state_can_end() -> None:
    table = transitions()
    assert set(table) == set(State)
    for state in State:
        reached = {state}
        while len(reached) < len(more := reached | {target for each in reached for target in table[each].values()}):
            reached = more
        assert reached >= FINAL, f"from {state} some end cannot be reached"
    arrived = {target for ways in table.values() for target in ways.values()}
    assert arrived == set(State)


def test_the_drawing_agrees_with_what_settle_decides() -> None:
    table = transitions()
    running, cancelling = set(table[S.RUNNING].values()), set(table[S.CANCELLING].values())
    for outcome, claim, _ in TABLE:
        settlement = ended(outcome, claim)
        assert settlement.target in running
        assert settlement.if_cancelling in cancelling
    assert {ended(outcome, claim).target for outcome, claim, _ in TABLE} == running - {S.CANCELLING}


def test_the_drawing_agrees_with_the_moves() -> None:
    table = transitions()
    for move in MOVES:
        for state in State:
            assert table[state].get(move.name) is move.to.get(state)
