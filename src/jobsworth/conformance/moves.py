"""Promises to the operator: moves touch what they name and nothing else; deleting never takes a job from a worker."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobsworth.engine import QueueSettings, Where
from jobsworth.job import FINAL, HELD, Failure, Progress, State
from jobsworth.lifecycle import CANCEL, MOVES, REDRIVE, RUN_NOW, Move
from jobsworth.outcome import Failed, Lost, Outcome, Stopped, Succeeded

from .door import BROKEN, LEASE, Door, Hall, new_job


class Moves(Hall):
    """move(), delete(), configure()."""

    @pytest.mark.parametrize("state", State)
    @pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
    def test_a_move_goes_where_it_says_or_leaves_the_job_alone(self, door: Door, move: Move, state: State) -> None:
        job_id = door.bring(state)
        before = door.job(job_id)
        door.clock.advance(1)
        moved = door.move(move, job_id)
        job = door.job(job_id)
        if state in move.to:
            assert (moved, job.state) == ([job_id], move.to[state])
            assert (job.version > before.version, job.updated_at) == (True, door.clock.now)
        else:
            assert (moved, job) == ([], before)

    def test_a_move_returns_the_ids_it_changed(self, door: Door) -> None:
        jobs = door.bring_all()
        moved = door.run(door.engine.move(Where(limit=None), REDRIVE))
        assert sorted(moved) == sorted(jobs[state] for state in FINAL)

    def test_the_limit_of_a_move_counts_jobs_that_can_be_moved(self, door: Door) -> None:
        dead = [door.bring(State.FAILED) for _ in range(3)]
        for _ in range(3):
            door.bring(State.RUNNING)
        where = Where(limit=2, newest_first=False)
        assert door.run(door.engine.move(where, REDRIVE)) == dead[:2]
        assert door.run(door.engine.move(where, REDRIVE)) == dead[2:]

    def test_a_move_of_nobody_changes_nobody(self, door: Door) -> None:
        door.add()
        before = door.find()
        assert door.cancel("nobody") == door.cancel() == []
        assert door.find() == before

    # cancel

    def test_a_job_cancelled_before_it_starts_never_starts(self, door: Door) -> None:
        for job_id in (door.add(), door.add(delay=5)):
            door.cancel(job_id, reason="changed my mind")
            job = door.job(job_id)
            assert (job.state, job.finished_at, job.attempts) == (State.CANCELLED, door.clock.now, ())
            assert (job.cancel_requested, job.cancel_reason) == (True, "changed my mind")
            assert job.failure == Failure("Cancelled", "changed my mind", "cancelled")
        door.clock.advance(10)
        assert door.claim(9) == []

    def test_a_cancel_without_a_reason_says_cancelled(self, door: Door) -> None:
        job_id = door.add()
        door.cancel(job_id)
        assert door.job(job_id).failure == Failure("Cancelled", "cancelled", "cancelled")

    def test_a_running_job_is_asked_and_keeps_its_lease(self, door: Door) -> None:
        claim = door.take()
        door.cancel(claim.lease.job_id, reason="enough", grace=3.0)
        job = door.job(claim.lease.job_id)
        assert (job.state, job.cancel_requested, job.cancel_reason) == (State.CANCELLING, True, "enough")
        assert (job.finished_at, job.failure) == (None, None)
        assert door.end(claim, Stopped("enough"))
        job = door.job(claim.lease.job_id)
        assert (job.state, job.cancel_requested, job.cancel_reason) == (State.CANCELLED, True, "enough")

    def test_a_job_that_finishes_although_it_was_asked_to_stop_is_completed(self, door: Door) -> None:
        claim = door.take()
        door.cancel(claim.lease.job_id)
        assert door.end(claim, Succeeded(b"1"))
        assert (door.job(claim.lease.job_id).state, door.job(claim.lease.job_id).result) == (State.COMPLETED, b"1")

    def test_asking_again_may_shorten_the_grace_and_give_another_reason(self, door: Door) -> None:
        claim = door.take()
        door.cancel(claim.lease.job_id, reason="first", grace=60.0)
        assert door.cancel(claim.lease.job_id, grace=0.0) == [claim.lease.job_id]
        [request] = door.hear(claim).cancelled
        assert (request.reason, request.grace) == ("first", 0.0)
        door.cancel(claim.lease.job_id, reason="second")
        [request] = door.hear(claim).cancelled
        assert (request.reason, request.grace) == ("second", 0.0)

    def test_a_cancelled_retry_keeps_its_attempts(self, door: Door) -> None:
        claim = door.take()
        door.end(claim, Failed(BROKEN))
        door.cancel(claim.lease.job_id)
        job = door.job(claim.lease.job_id)
        assert (job.state, job.attempt, [each.outcome for each in job.attempts]) == (State.CANCELLED, 1, ["failed"])

    # redrive

    @pytest.mark.parametrize("state", sorted(FINAL))
    def test_a_redriven_job_starts_afresh_but_its_attempts_go_on(self, door: Door, state: State) -> None:
        claim = door.take(priority=3, meta=b"m")
        door.pulse(claim, progress=Progress(1, 2))
        door.cancel(claim.lease.job_id, reason="enough", grace=1.0)
        ending: dict[State, Outcome] = {
            State.COMPLETED: Succeeded(b"1"),
            State.FAILED: Failed(BROKEN, final=True),
            State.CANCELLED: Stopped(),
        }
        assert door.end(claim, ending[state])
        door.clock.advance(5)
        door.move(REDRIVE, claim.lease.job_id)
        job = door.job(claim.lease.job_id)
        assert (job.state, job.run_at, job.errors, job.crashes) == (State.QUEUED, door.clock.now, 0, 0)
        assert (job.result, job.failure, job.finished_at, job.progress) == (None, None, None, None)
        assert (job.cancel_reason, job.cancel_requested, job.worker, job.started_at) == (None, False, None, None)
        assert (job.args, job.meta, job.priority, job.attempt) == (claim.args, b"m", 3, 1)
        again = door.again(job.id)
        assert (again.attempt, again.errors, again.cancelling, again.cancel_reason) == (2, 0, False, None)
        door.cancel(job.id)
        assert door.hear(again).cancelled[0].grace is None

    def test_a_redriven_dead_letter_has_all_its_attempts_again(self, door: Door) -> None:
        job_id = door.add(max_attempts=2)
        for given_up in (False, True) * 2:
            door.end(door.again(job_id), Failed(BROKEN, delay=0))
            assert (door.job(job_id).state is State.FAILED) is given_up
            door.move(REDRIVE, job_id)
        assert [each.number for each in door.job(job_id).attempts] == [1, 2, 3, 4]

    def test_a_redriven_poison_job_has_all_its_crashes_again(self, door: Door) -> None:
        job_id = door.add()
        for _ in range(2):
            door.end(door.again(job_id), Lost())
            door.cancel(job_id)
            door.move(REDRIVE, job_id)
        assert door.again(job_id).crashes == 0

    def test_arguments_can_be_edited_on_the_way(self, door: Door) -> None:
        for original in (b"short", b"x" * 9_000):
            job_id = door.bring(State.FAILED, args=original)
            for edited in (b"y" * 9_000, b"", b"z"):
                door.move(REDRIVE, job_id, args=edited)
                assert door.job(job_id).args == edited
                claim = door.again(job_id)
                assert claim.args == edited
                door.end(claim, Failed(BROKEN, final=True))
            door.delete()

    def test_a_redrive_may_wait(self, door: Door) -> None:
        job_id = door.bring(State.FAILED)
        door.move(REDRIVE, job_id, delay=30.0)
        assert (door.job(job_id).state, door.job(job_id).run_at) == (State.SCHEDULED, door.clock.now + 30)
        assert door.turn([]).next_due == 30

    def test_a_redriven_job_that_had_expired_does_not_expire_again(self, door: Door) -> None:
        claim = door.take(expires=10)
        door.clock.advance(20)
        door.end(claim, Stopped(expired=True))
        door.move(REDRIVE, claim.lease.job_id)
        assert door.job(claim.lease.job_id).expires_at is None
        assert not door.again(claim.lease.job_id).expired

    def test_a_redriven_job_that_has_not_expired_still_may(self, door: Door) -> None:
        job_id = door.bring(State.FAILED, expires=10)
        expires_at = door.job(job_id).expires_at
        door.move(REDRIVE, job_id)
        assert door.job(job_id).expires_at == expires_at

    @pytest.mark.parametrize("state", sorted(set(State) - FINAL))
    def test_a_redrive_leaves_a_job_alone_whose_key_a_live_job_holds(self, door: Door, state: State) -> None:
        old = door.bring(State.FAILED, key="k")
        holder = door.bring(state, key="k")
        before = door.job(old)
        assert door.move(REDRIVE, old) == []
        assert door.job(old) == before
        door.free(holder)
        assert door.move(REDRIVE, old) == [old]

    def test_the_same_key_under_another_task_is_no_hindrance(self, door: Door) -> None:
        old = door.bring(State.FAILED, key="k")
        door.add(key="k", task="other")
        assert door.move(REDRIVE, old) == [old]

    def test_of_two_ended_jobs_with_one_key_one_is_redriven(self, door: Door) -> None:
        first = door.bring(State.FAILED, key="k")
        second = door.bring(State.FAILED, key="k")
        assert len(door.move(REDRIVE, first, second)) == 1
        assert len(door.found(key="k", states=(State.QUEUED,))) == 1

    def test_a_redriven_job_holds_its_key_again(self, door: Door) -> None:
        old = door.bring(State.FAILED, key="k")
        door.move(REDRIVE, old)
        [receipt] = door.enqueue(new_job(key="k"))
        assert (receipt.id, receipt.created) == (old, False)

    # run now

    def test_a_job_told_to_run_now_is_given_next_turn(self, door: Door) -> None:
        job_id = door.add(delay=3600)
        door.move(RUN_NOW, job_id)
        assert (door.job(job_id).state, door.job(job_id).run_at) == (State.QUEUED, door.clock.now)
        assert door.turn([]).next_due is None
        assert len(door.claim()) == 1

    # delete

    def test_deleting_never_takes_a_job_from_its_worker(self, door: Door) -> None:
        jobs = door.bring_all()
        assert door.delete(limit=None) == len(State) - len(HELD)
        assert sorted(door.found()) == sorted(jobs[state] for state in HELD)

    def test_deleting_frees_the_id_and_the_key(self, door: Door) -> None:
        for state in set(State) - HELD:
            door.bring(state, id="a", key="k")
            assert door.delete(ids=("a",)) == 1
            assert door.find(ids=("a",)) == []
        assert door.enqueue(new_job(id="a", key="k"))[0].created

    def test_a_deleted_job_leaves_no_history_to_its_namesake(self, door: Door) -> None:
        door.bring(State.FAILED, id="a", args=b"x" * 9_000)
        door.delete(ids=("a",))
        door.add(id="a", args=b"new")
        assert (door.job("a").attempts, door.job("a").args, door.job("a").failure) == ((), b"new", None)

    def test_a_deleted_job_is_not_given(self, door: Door) -> None:
        door.add()
        door.add(delay=5)
        assert door.delete() == 2
        door.clock.advance(10)
        assert (door.claim(9), door.turn([]).next_due) == ([], None)

    def test_deleting_beyond_so_many_keeps_the_newest(self, door: Door) -> None:
        ended = [door.bring(State.COMPLETED) for _ in range(5)]
        door.bring(State.RUNNING)
        assert door.delete(states=(State.COMPLETED,), beyond=2, limit=None) == 3
        assert door.found(states=(State.COMPLETED,)) == [ended[4], ended[3]]
        assert door.delete(states=(State.COMPLETED,), beyond=2, limit=None) == 0

    def test_what_a_deletion_keeps_and_counts_are_jobs_it_may_delete(self, door: Door) -> None:
        old = [door.bring(State.COMPLETED) for _ in range(3)]
        for _ in range(3):
            door.bring(State.RUNNING)
        assert door.delete(beyond=1, limit=1, newest_first=False) == 1
        assert door.found(states=(State.COMPLETED,)) == [old[2], old[1]]
        assert door.delete(beyond=1, limit=None) == 1
        assert door.found(states=(State.COMPLETED,)) == [old[2]]

    def test_what_a_move_passes_over_are_jobs_it_could_move(self, door: Door) -> None:
        dead = [door.bring(State.FAILED) for _ in range(3)]
        for _ in range(3):
            door.bring(State.RUNNING)
        assert door.run(door.engine.move(Where(beyond=1, limit=None), REDRIVE)) == [dead[1], dead[0]]

    def test_deleting_by_age_spares_the_young_and_the_unfinished(self, door: Door) -> None:
        jobs = door.bring_all()
        door.clock.advance(100)
        young = door.bring(State.FAILED, queue="other")
        assert door.delete(finished_for=100, limit=None) == 3
        assert sorted(door.found()) == sorted([young, *(jobs[state] for state in set(State) - FINAL)])

    # configure

    def test_a_setting_of_none_leaves_it_as_it_is(self, door: Door) -> None:
        door.pause()
        door.run(door.engine.configure("mail", QueueSettings()))
        assert door.queue().paused
        door.pause(paused=False)
        door.run(door.engine.configure("mail", QueueSettings()))
        assert not door.queue().paused

    def test_pausing_twice_is_pausing_once(self, door: Door) -> None:
        door.add()
        door.pause()
        door.pause()
        door.pause(paused=False)
        assert len(door.claim()) == 1

    def test_a_move_and_a_claim_never_both_have_the_job(self, door: Door) -> None:
        door.enqueue(*(new_job() for _ in range(6)))
        claimed = {claim.lease.job_id for claim in door.claim(3)}
        door.run(door.engine.move(Where(), CANCEL))
        states = {job.id: job.state for job in door.find()}
        assert {job_id for job_id, state in states.items() if state is State.CANCELLING} == claimed
        assert door.claim(9) == []
        door.clock.advance(LEASE)
        assert {claim.lease.job_id for claim in door.reclaim()} == claimed

    def test_a_move_with_no_source_state_moves_nobody(self, door: Door) -> None:
        door.bring_all()
        assert door.run(door.engine.move(Where(), replace(CANCEL, to={}))) == []
