"""Promises of turn's first half: a lease lets its holder end one attempt, once, and a stale one nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from jobsworth.job import Attempt, Claim, Failure, Lease, Progress, State
from jobsworth.lifecycle import REDRIVE, settle
from jobsworth.outcome import Failed, Lost, Outcome, Released, Snoozed, Stopped, Succeeded

from .door import BROKEN, LEASE, RETRY, Door, Hall, new_job

TIMEOUT = Failure("TimedOut", "took longer than 2 s", "timeout")


class Ends(NamedTuple):
    """What an outcome leads to, for a first attempt with attempts left."""

    outcome: Outcome
    running: State
    cancelling: State
    word: str | None
    attempt: int = 1
    errors: int = 0
    crashes: int = 0
    delay: float = 0.0


ENDS = {
    "succeeded": Ends(Succeeded(b"1"), State.COMPLETED, State.COMPLETED, "succeeded"),
    "failed": Ends(Failed(BROKEN), State.SCHEDULED, State.CANCELLED, "failed", errors=1, delay=10),
    "retry after": Ends(Failed(BROKEN, delay=77), State.SCHEDULED, State.CANCELLED, "failed", errors=1, delay=77),
    "timed out": Ends(Failed(TIMEOUT), State.SCHEDULED, State.CANCELLED, "timed_out", errors=1, delay=10),
    "gave up": Ends(Failed(BROKEN, final=True), State.FAILED, State.FAILED, "failed", errors=1),
    "incompatible": Ends(
        Failed(replace(BROKEN, reason="incompatible"), final=True, charged=False),
        State.FAILED, State.FAILED, "incompatible", attempt=0,
    ),
    "snoozed": Ends(Snoozed(40), State.SCHEDULED, State.CANCELLED, "snoozed", attempt=0, delay=40),
    "stopped": Ends(Stopped("enough"), State.CANCELLED, State.CANCELLED, "cancelled"),
    "expired": Ends(Stopped(expired=True), State.CANCELLED, State.CANCELLED, "expired", attempt=0),
    "released": Ends(Released(), State.QUEUED, State.CANCELLED, "released", attempt=0),
    "released for later": Ends(Released(6), State.SCHEDULED, State.CANCELLED, "released", attempt=0, delay=6),
    "lost": Ends(Lost(), State.QUEUED, State.CANCELLED, "lost", crashes=1),
}  # fmt: skip


class Endings(Hall):
    """turn(), settling."""

    @pytest.mark.parametrize("asked", [False, True], ids=["running", "cancelling"])
    @pytest.mark.parametrize("name", ENDS)
    def test_every_outcome_leads_where_the_lifecycle_says(self, door: Door, name: str, asked: bool) -> None:
        ends = ENDS[name]
        claim = door.take(worker="w7")
        job_id = claim.lease.job_id
        if asked:
            door.cancel(job_id, reason="enough")
        before = door.job(job_id)
        door.clock.advance(3)
        assert door.end(claim, ends.outcome)
        job = door.job(job_id)
        assert job.state is (ends.cancelling if asked else ends.running)
        assert (job.attempt, job.errors, job.crashes) == (ends.attempt, ends.errors, ends.crashes)
        assert (job.version > before.version, job.updated_at) == (True, door.clock.now)
        assert job.cancel_requested is asked
        final = job.state in (State.COMPLETED, State.FAILED, State.CANCELLED)
        assert (job.finished_at, job.worker) == ((door.clock.now, "w7") if final else (None, None))
        if not final:
            assert job.run_at == door.clock.now + ends.delay
        [attempt] = job.attempts
        assert (attempt.number, attempt.worker, attempt.outcome) == (1, "w7", ends.word)
        assert (attempt.started_at, attempt.finished_at) == (before.started_at, door.clock.now)

    @pytest.mark.parametrize("outcome", [Snoozed(5), Released(), Released(5), Stopped("enough")], ids=repr)
    def test_a_job_that_stops_because_somebody_asked_says_why(self, door: Door, outcome: Outcome) -> None:
        claim = door.take()
        door.cancel(claim.lease.job_id, reason="enough")
        assert door.end(claim, outcome)
        job = door.job(claim.lease.job_id)
        assert (job.state, job.cancel_reason, job.cancel_requested) == (State.CANCELLED, "enough", True)
        assert job.failure == Failure("Cancelled", "enough", "cancelled")

    def test_a_job_that_stops_by_itself_was_not_asked(self, door: Door) -> None:
        claim = door.take()
        assert door.end(claim, Stopped("no longer needed"))
        job = door.job(claim.lease.job_id)
        assert (job.state, job.cancel_requested) == (State.CANCELLED, False)
        assert job.failure == Failure("Cancelled", "no longer needed", "cancelled")

    # fencing

    def refused(self, door: Door, claim: Claim) -> None:
        """Every outcome by this claim is refused and changes nothing."""
        before = door.find(limit=None)
        for ends in ENDS.values():
            assert door.turn([settle(claim, ends.outcome, RETRY)]).refused == [claim.lease.job_id]
        assert door.find(limit=None) == before

    def test_an_attempt_ends_once(self, door: Door) -> None:
        claim = door.take()
        assert door.end(claim, Succeeded(b"1"))
        self.refused(door, claim)

    def test_a_stale_lease_ends_nothing_once_the_next_attempt_runs(self, door: Door) -> None:
        stale = door.take()
        door.end(stale, Released())
        fresh = door.again(stale.lease.job_id, worker="w2")
        self.refused(door, stale)
        assert door.end(fresh, Succeeded(b"2"))
        assert door.job(fresh.lease.job_id).result == b"2"

    def test_a_stale_lease_ends_nothing_while_the_job_waits(self, door: Door) -> None:
        stale = door.take()
        door.end(stale, Released(delay=30))
        self.refused(door, stale)

    def test_a_lease_that_was_taken_over_ends_nothing(self, door: Door) -> None:
        stale = door.take()
        door.clock.advance(LEASE)
        assert len(door.reclaim()) == 1
        self.refused(door, stale)

    def test_a_lease_with_another_fence_ends_nothing(self, door: Door) -> None:
        claim = door.take()
        lease = claim.lease
        for fence in (lease.fence - 1, lease.fence + 1):
            self.refused(door, replace(claim, lease=replace(lease, fence=fence)))

    def test_a_lease_on_a_job_that_never_was_ends_nothing(self, door: Door) -> None:
        self.refused(door, replace(door.take(), lease=Lease("nobody", 1)))

    def test_a_lease_on_a_deleted_job_does_not_fit_its_namesake(self, door: Door) -> None:
        stale = door.take(id="a")
        door.end(stale, Failed(BROKEN, final=True))
        assert door.delete(ids=("a",)) == 1
        self.refused(door, stale)
        fresh = door.take(id="a")
        self.refused(door, stale)
        assert door.pulse(stale).lost == ["a"]
        assert door.end(fresh, Succeeded(None))

    def test_a_lease_used_twice_in_one_turn_counts_once(self, door: Door) -> None:
        claim = door.take()
        twice = [settle(claim, Succeeded(b"1"), RETRY), settle(claim, Succeeded(b"2"), RETRY)]
        assert door.turn(twice).refused == [claim.lease.job_id]
        assert door.job(claim.lease.job_id).result == b"1"

    def test_a_refused_ending_leaves_the_others_of_its_turn_alone(self, door: Door) -> None:
        stale = door.take()
        door.end(stale, Succeeded(b"0"))
        door.enqueue(*(new_job(id=name) for name in "abc"))
        a, b, c = door.claim(3)
        turn = door.turn(
            [
                settle(a, Succeeded(b"1"), RETRY),
                settle(stale, Succeeded(b"9"), RETRY),
                settle(b, Failed(BROKEN), RETRY),
                settle(c, Succeeded(b"3"), RETRY),
            ]
        )
        assert turn.refused == [stale.lease.job_id]
        assert [(job.state, job.result) for job in door.find(newest_first=False)] == [
            (State.COMPLETED, b"0"), (State.COMPLETED, b"1"), (State.SCHEDULED, None), (State.COMPLETED, b"3"),
        ]  # fmt: skip

    # what is sent on

    @pytest.mark.parametrize("outcome", [Failed(BROKEN, final=True), Succeeded(None), Snoozed(9)], ids=repr)
    def test_what_is_sent_on_is_stored_with_the_ending_room_or_not(self, door: Door, outcome: Outcome) -> None:
        letter = new_job(id="letter", queue="dead", max_size=0)
        claim = door.take()
        ending = replace(settle(claim, outcome, RETRY), forward=letter)
        assert door.turn([ending]).refused == []
        job = door.job("letter")
        assert (job.state, job.queue, job.args) == (State.QUEUED, "dead", letter.args)

    def test_a_refused_ending_delivers_nothing(self, door: Door) -> None:
        claim = door.take()
        ending = replace(settle(claim, Failed(BROKEN, final=True), RETRY), forward=new_job(id="letter"))
        door.end(claim, Succeeded(None))
        assert door.turn([ending]).refused == [claim.lease.job_id]
        assert door.find(ids=("letter",)) == []

    @pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
    def test_what_is_sent_on_finds_the_keys_free_of_all_that_end_with_it(self, door: Door, first: bool) -> None:
        sender, holder = door.take(id="sender"), door.take(id="holder", key="k")
        letter = new_job(id="letter", key="k")
        sends = replace(settle(sender, Failed(BROKEN, final=True), RETRY), forward=letter)
        ends = settle(holder, Succeeded(None), RETRY)
        assert door.turn([sends, ends] if first else [ends, sends]).refused == []
        assert [job.id for job in door.find(ids=("letter",))] == ["letter"]

    def test_an_ending_that_went_elsewhere_delivers_nothing(self, door: Door) -> None:
        claim = door.take()
        ending = replace(settle(claim, Failed(BROKEN), RETRY), forward=new_job(id="letter"))
        door.cancel(claim.lease.job_id)
        assert door.turn([ending]).refused == []
        assert door.find(ids=("letter",)) == []

    # what is kept

    @pytest.mark.parametrize(
        "result", [None, b"", b"null", bytes(range(256)) * 300], ids=["none", "empty", "null", "big"]
    )
    def test_a_result_is_kept_exactly(self, door: Door, result: bytes | None) -> None:
        claim = door.take()
        assert door.end(claim, Succeeded(result))
        assert door.job(claim.lease.job_id).result == result

    def test_a_job_that_waits_for_its_next_attempt_shows_its_last_error(self, door: Door) -> None:
        claim = door.take()
        assert door.end(claim, Failed(BROKEN, delay=0))
        assert door.job(claim.lease.job_id).failure == BROKEN
        door.turn([])
        claim = door.again(claim.lease.job_id)
        assert door.job(claim.lease.job_id).failure == BROKEN
        assert door.end(claim, Snoozed(5))
        assert door.job(claim.lease.job_id).failure == BROKEN

    def test_success_clears_the_error_of_an_earlier_attempt(self, door: Door) -> None:
        claim = door.take()
        door.end(claim, Failed(BROKEN, delay=0))
        door.turn([])
        assert door.end(door.again(claim.lease.job_id), Succeeded(b"1"))
        assert door.job(claim.lease.job_id).failure is None

    def test_a_dead_letter_keeps_its_last_error_its_traceback_and_its_arguments(self, door: Door) -> None:
        claim = door.take(args=b"precious", max_attempts=1)
        assert door.end(claim, Failed(BROKEN))
        job = door.job(claim.lease.job_id)
        assert (job.state, job.args) == (State.FAILED, b"precious")
        assert job.failure == replace(BROKEN, reason="exhausted")

    def test_attempts_run_out(self, door: Door) -> None:
        job_id = door.add(max_attempts=3)
        for given_up in (False, False, True):
            door.end(door.again(job_id), Failed(BROKEN, delay=0))
            assert (door.job(job_id).state is State.FAILED) is given_up
        assert [(each.number, each.outcome) for each in door.job(job_id).attempts] == [
            (1, "failed"), (2, "failed"), (3, "failed"),
        ]  # fmt: skip

    def test_what_is_refunded_uses_the_number_again(self, door: Door) -> None:
        job_id = door.add()
        door.end(door.again(job_id), Released())
        assert (door.job(job_id).attempt, door.job(job_id).started_at) == (0, None)
        door.end(door.again(job_id), Failed(BROKEN, delay=0))
        started_at = door.job(job_id).started_at
        door.turn([])
        door.clock.advance(1)
        door.end(door.again(job_id), Snoozed(0))
        assert door.job(job_id).attempt == 1
        assert started_at is not None
        assert door.job(job_id).started_at == door.clock.now
        assert [(each.number, each.outcome) for each in door.job(job_id).attempts] == [
            (1, "released"), (1, "failed"), (2, "snoozed"),
        ]  # fmt: skip

    def test_a_released_job_returns_to_its_old_place_in_line(self, door: Door) -> None:
        door.enqueue(new_job(id="a"), new_job(id="b"))
        [claim] = door.claim()
        door.add(id="c")
        door.clock.advance(60)
        assert door.end(claim, Released())
        assert [each.lease.job_id for each in door.claim(3)] == ["a", "b", "c"]

    def test_the_last_progress_arrives_with_the_ending(self, door: Door) -> None:
        claim = door.take()
        door.pulse(claim, progress=Progress(1, 4, 25.0, "one"))
        assert door.end(claim, Succeeded(None, Progress(4, 4, 100.0, "done")))
        assert door.job(claim.lease.job_id).progress == Progress(4, 4, 100.0, "done")

    def test_an_ending_without_progress_keeps_what_was_told(self, door: Door) -> None:
        for outcome in (Succeeded(None), Failed(BROKEN, final=True), Snoozed(5)):
            claim = door.take()
            door.pulse(claim, progress=Progress(1, 4))
            assert door.end(claim, outcome)
            assert door.job(claim.lease.job_id).progress == Progress(1, 4)

    # the history

    def test_the_history_tells_every_attempt_with_its_error(self, door: Door) -> None:
        start = door.clock.now
        claim = door.take(worker="w1")
        door.clock.advance(2)
        door.end(claim, Failed(BROKEN, delay=3))
        door.clock.advance(3)
        claim = door.again(claim.lease.job_id, worker="w2")
        running = Attempt(2, "w2", start + 5, None, None, None)
        failed = Attempt(1, "w1", start, start + 2, "failed", BROKEN)
        assert door.job(claim.lease.job_id).attempts == (failed, running)
        door.clock.advance(1)
        door.end(claim, Succeeded(None))
        succeeded = Attempt(2, "w2", start + 5, start + 6, "succeeded", None)
        assert door.job(claim.lease.job_id).attempts == (failed, succeeded)

    def test_a_job_that_is_asked_to_stop_still_shows_its_running_attempt(self, door: Door) -> None:
        claim = door.take(worker="w1")
        door.cancel(claim.lease.job_id)
        assert door.job(claim.lease.job_id).attempts == (Attempt(1, "w1", door.clock.now),)

    def test_the_last_fifty_attempts_are_kept(self, door: Door) -> None:
        job_id = door.add(max_attempts=1_000)
        for _ in range(53):
            door.end(door.again(job_id), Failed(BROKEN, delay=0))
            door.turn([])
        assert [each.number for each in door.job(job_id).attempts] == list(range(4, 54))

    def test_histories_do_not_mix(self, door: Door) -> None:
        expected: dict[str, Any] = {}
        for name, outcome in (("a", Failed(BROKEN, final=True)), ("b", Stopped("enough")), ("c", Released(9))):
            door.end(door.take(id=name, worker=name), outcome)
            expected[name] = [name]
        assert {job.id: [each.worker for each in job.attempts] for job in door.find()} == expected

    def test_a_redriven_job_keeps_its_history(self, door: Door) -> None:
        first = door.take(worker="w1")
        door.end(first, Failed(BROKEN, final=True))
        door.move(REDRIVE, first.lease.job_id)
        door.end(door.again(first.lease.job_id, worker="w2"), Succeeded(None))
        door.move(REDRIVE, first.lease.job_id)
        history = [(each.number, each.worker, each.outcome) for each in door.job(first.lease.job_id).attempts]
        assert history == [(1, "w1", "failed"), (2, "w2", "succeeded")]
