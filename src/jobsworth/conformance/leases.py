"""Promises of pulse, hear and reclaim: a lease lives as long as its worker does, and can be taken over after that."""

from __future__ import annotations

import pytest

from jobsworth.engine import Heard, Recalls, WorkerCard
from jobsworth.job import CancelRequest, Claim, Progress, State
from jobsworth.outcome import Failed, Lost, Released, Succeeded

from .door import BROKEN, LEASE, Door, Hall, new_job

HALF = Progress(current=1, total=2, percent=50.0, message="half 🦀", result='{"half":"🦀"}')


class Leases(Hall):
    """pulse(), hear(), reclaim()."""

    # sign of life

    def test_a_pulse_renews_a_lease(self, door: Door) -> None:
        claim = door.take()
        for _ in range(5):
            door.clock.advance(LEASE - 1)
            assert door.pulse(claim) == Heard([], [])
            assert door.reclaim() == []
        assert door.end(claim, Succeeded(None))

    def test_a_pulse_renews_only_what_it_names(self, door: Door) -> None:
        door.enqueue(new_job(id="a"), new_job(id="b"))
        a, _ = door.claim(2)
        door.clock.advance(LEASE - 1)
        door.pulse(a)
        door.clock.advance(2)
        assert [claim.lease.job_id for claim in door.reclaim()] == ["b"]

    def test_a_pulse_may_be_late_as_long_as_nobody_took_over(self, door: Door) -> None:
        claim = door.take()
        door.clock.advance(3 * LEASE)
        assert door.pulse(claim).lost == []
        assert door.reclaim() == []

    def test_a_pulse_brings_back_the_leases_that_are_gone(self, door: Door) -> None:
        ended, taken, kept = (door.take(id=name) for name in ("ended", "taken", "kept"))
        door.end(ended, Succeeded(None))
        door.clock.advance(LEASE)
        door.pulse(kept)
        door.reclaim()
        assert sorted(door.pulse(kept, ended, taken).lost) == ["ended", "taken"]
        door.delete(ids=("ended",))
        assert door.pulse(ended).lost == ["ended"]

    def test_a_stale_pulse_writes_nothing(self, door: Door) -> None:
        stale = door.take()
        door.clock.advance(LEASE)
        [fresh] = door.reclaim()
        before = door.find()
        door.clock.advance(LEASE - 1)
        assert door.pulse(stale, progress=HALF).lost == [stale.lease.job_id]
        assert door.find() == before
        door.clock.advance(1)
        assert [each.lease.job_id for each in door.reclaim()] == [fresh.lease.job_id]

    def test_a_pulse_stores_progress(self, door: Door) -> None:
        claim = door.take()
        before = door.job(claim.lease.job_id)
        door.clock.advance(1)
        door.pulse(claim, progress=HALF)
        job = door.job(claim.lease.job_id)
        assert (job.progress, job.updated_at) == (HALF, door.clock.now)
        assert job.version > before.version
        door.pulse(claim, progress=Progress(message="only words"))
        assert door.job(claim.lease.job_id).progress == Progress(message="only words")

    def test_a_pulse_without_progress_changes_nothing_to_be_seen(self, door: Door) -> None:
        claim = door.take()
        door.pulse(claim, progress=HALF)
        before = door.job(claim.lease.job_id)
        door.clock.advance(1)
        door.pulse(claim)
        assert door.job(claim.lease.job_id) == before

    def test_a_pulse_with_no_jobs_only_keeps_the_card(self, door: Door) -> None:
        assert door.pulse() == Heard([], [])
        assert [card.id for card in door.workers()] == ["w1"]

    # the ear

    def test_a_pulse_brings_back_who_was_asked_to_stop_every_time(self, door: Door) -> None:
        claim, other = door.take(), door.take()
        door.cancel(claim.lease.job_id, reason="enough", grace=5.0)
        request = CancelRequest(claim.lease.job_id, "enough", 5.0)
        for _ in range(2):
            assert door.pulse(claim, other) == Heard([request], [])
        assert door.pulse(other) == Heard([], [])

    def test_hearing_brings_back_what_a_pulse_would(self, door: Door) -> None:
        asked, ended, calm = (door.take(id=name) for name in ("asked", "ended", "calm"))
        door.cancel("asked", reason="enough", grace=0.5)
        door.end(ended, Succeeded(None))
        assert door.hear(calm, asked, ended) == Heard([CancelRequest("asked", "enough", 0.5)], ["ended"])
        assert door.hear(calm) == door.hear() == Heard([], [])

    def test_hearing_writes_nothing_and_renews_nothing(self, door: Door) -> None:
        claim = door.take()
        before = door.job(claim.lease.job_id)
        door.clock.advance(LEASE)
        assert door.hear(claim) == Heard([], [])
        assert door.job(claim.lease.job_id) == before
        assert door.workers() == []
        assert len(door.reclaim()) == 1
        assert door.hear(claim) == Heard([], [claim.lease.job_id])

    def test_who_lost_its_lease_is_told_that_and_nothing_else(self, door: Door) -> None:
        stale = door.take()
        door.cancel(stale.lease.job_id, reason="enough")
        door.clock.advance(LEASE)
        [fresh] = door.reclaim()
        assert door.hear(stale) == door.pulse(stale) == Heard([], [stale.lease.job_id])
        assert [request.job_id for request in door.hear(fresh).cancelled] == [stale.lease.job_id]

    def test_a_worker_may_name_its_old_and_its_new_lease_of_one_job(self, door: Door) -> None:
        stale = door.take()
        door.end(stale, Released())
        fresh = door.again(stale.lease.job_id)
        door.cancel(fresh.lease.job_id, reason="enough")
        for pair in ((stale, fresh), (fresh, stale)):
            expected = Heard([CancelRequest(fresh.lease.job_id, "enough", None)], [fresh.lease.job_id])
            assert door.hear(*pair) == door.pulse(*pair) == expected

    # taking over

    def test_nothing_is_taken_over_before_its_lease_ran_out(self, door: Door) -> None:
        door.take()
        door.clock.advance(LEASE - 0.5)
        assert door.reclaim() == []
        door.clock.advance(0.5)
        assert len(door.reclaim()) == 1

    def test_a_clock_that_jumps_back_takes_nothing_over(self, door: Door) -> None:
        claim = door.take()
        door.clock.advance(-10 * LEASE)
        assert door.reclaim() == []
        assert door.end(claim, Succeeded(None))

    def test_a_job_taken_over_names_who_lost_it_and_is_the_same_attempt(self, door: Door) -> None:
        stale = door.take(worker="loser")
        before = door.job(stale.lease.job_id)
        door.clock.advance(LEASE)
        [claim] = door.reclaim(worker="rescuer")
        assert (claim.lease.job_id, claim.worker, claim.attempt) == (stale.lease.job_id, "loser", 1)
        assert claim.lease.fence > stale.lease.fence
        assert (claim.cancelling, claim.expired, claim.args) == (False, False, stale.args)
        assert door.job(stale.lease.job_id) == before

    def test_what_was_taken_over_is_not_taken_again_while_the_new_lease_lasts(self, door: Door) -> None:
        door.take()
        door.clock.advance(LEASE)
        assert len(door.reclaim(lease=60)) == 1
        door.clock.advance(59)
        assert door.reclaim() == []
        door.clock.advance(1)
        assert len(door.reclaim()) == 1

    def test_no_more_than_the_limit_is_taken_over(self, door: Door) -> None:
        for _ in range(5):
            door.take()
        door.clock.advance(LEASE)
        assert [len(door.reclaim(limit)) for limit in (0, 2, 9)] == [0, 2, 3]

    def test_the_longest_lost_is_taken_over_first(self, door: Door) -> None:
        door.take(id="long", lease=90)
        door.take(id="short", lease=10)
        door.clock.advance(100)
        assert [claim.lease.job_id for claim in door.reclaim(1)] == ["short"]

    def test_only_held_jobs_are_taken_over(self, door: Door) -> None:
        for state, job_id in door.bring_all().items():
            assert door.job(job_id).state is state
        door.clock.advance(10 * LEASE)
        states = {door.job(claim.lease.job_id).state: claim.cancelling for claim in door.reclaim()}
        assert states == {State.RUNNING: False, State.CANCELLING: True}

    def test_a_lost_run_is_settled_like_any_other_and_the_history_says_who_lost_it(self, door: Door) -> None:
        stale = door.take(worker="loser")
        door.clock.advance(LEASE)
        [claim] = door.reclaim(worker="rescuer")
        assert door.end(claim, Lost())
        job = door.job(stale.lease.job_id)
        assert (job.state, job.attempt, job.errors, job.crashes) == (State.QUEUED, 1, 0, 1)
        [attempt] = job.attempts
        assert (attempt.worker, attempt.outcome) == ("loser", "lost")
        assert door.again(job.id, worker="w2").attempt == 2

    def test_a_lost_run_that_was_asked_to_stop_is_cancelled(self, door: Door) -> None:
        stale = door.take()
        door.cancel(stale.lease.job_id, reason="enough")
        door.clock.advance(LEASE)
        [claim] = door.reclaim()
        assert (claim.cancelling, claim.cancel_reason) == (True, "enough")
        assert door.end(claim, Lost())
        assert door.job(stale.lease.job_id).state is State.CANCELLED

    def test_a_poison_job_ends_as_a_dead_letter_by_its_crashes_alone(self, door: Door) -> None:
        job_id = door.add(max_attempts=50)
        for _ in range(3):
            door.again(job_id)
            door.clock.advance(LEASE)
            [claim] = door.reclaim()
            assert door.end(claim, Lost())
            door.clock.advance(600)
            door.turn([])
        job = door.job(job_id)
        assert (job.state, job.crashes, job.errors) == (State.FAILED, 3, 0)
        assert job.failure is not None
        assert job.failure.reason == "crashed"

    @pytest.mark.parametrize("settled", [False, True])
    def test_a_worker_that_wakes_up_too_late_changes_nothing(self, door: Door, settled: bool) -> None:
        stale: Claim = door.take(worker="sleeper")
        door.clock.advance(2 * LEASE)
        [rescue] = door.reclaim()
        if settled:
            door.end(rescue, Lost())
            door.end(door.again(stale.lease.job_id, worker="w2"), Succeeded(b"2"))
        before = door.find()
        assert not door.end(stale, Succeeded(b"1"))
        assert not door.end(stale, Failed(BROKEN))
        assert door.pulse(stale, progress=HALF, card=WorkerCard(id="sleeper")).lost == [stale.lease.job_id]
        assert door.find() == before

    # asked what a worker holds

    def test_an_engine_that_recalls_knows_what_a_worker_has_claimed_lately(self, door: Door) -> None:
        engine = door.engine
        if not isinstance(engine, Recalls):
            pytest.skip("this engine loses no answers on the way")
        early = door.take(id="early", worker="w1")
        door.clock.advance(60)
        late = door.take(id="late", worker="w1", args=b"x" * 10_000)
        door.take(id="another's", worker="w2")
        before = door.find()
        [recalled] = door.run(engine.recall("w1", 5))
        assert (recalled.lease, recalled.args) == (late.lease, late.args)
        assert {claim.lease.job_id for claim in door.run(engine.recall("w1", 600))} == {"early", "late"}
        assert door.find() == before
        assert door.end(early, Succeeded(None))
        assert [claim.lease for claim in door.run(engine.recall("w1", 600))] == [late.lease]
