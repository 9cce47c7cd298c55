"""Promises to whoever moves house, and about the house itself: scan, adopt, schema_version, durability, size."""

from __future__ import annotations

import contextlib

import pytest
from msgspec.structs import replace

from jobsworth.errors import BadOption, MoveRefused
from jobsworth.job import HELD, Attempt, Failure, Job, Progress, State
from jobsworth.lifecycle import CANCEL, REDRIVE
from jobsworth.outcome import Failed, Snoozed, Succeeded

from .door import BROKEN, Door, Hall, new_job

FREE = tuple(state for state in State if state not in HELD)
EVERYTHING = {
    "priority": 7, "key": "order-7", "owner": "user:7", "label": "Rechnung über 50 %", "tags": ("red", "blue"),
    "meta": b"\x00\xff", "timeout": 2.5, "args": bytes(range(256)), "max_attempts": 9,
}  # fmt: skip


class Houses(Hall):
    """scan(), adopt(), schema_version(), migration_sql(), durability(), size(), kind and where."""

    # scan

    def test_a_scan_brings_every_job_once_in_order_of_creation(self, door: Door) -> None:
        door.bring_all()
        door.enqueue(*(new_job(id=f"n{number}", priority=number) for number in range(20)))
        seen: list[Job] = []
        after = 0
        while True:
            jobs, after = door.scan(after, 4)
            if not jobs:
                break
            assert len(jobs) <= 4
            seen += jobs
        assert seen == door.find(newest_first=False, limit=None)
        assert door.scan(after, 4) == ([], after)

    def test_a_scan_goes_on_behind_jobs_that_have_gone_and_before_those_that_came(self, door: Door) -> None:
        door.enqueue(*(new_job(id=name) for name in "abcd"))
        first, after = door.scan(0, 2)
        door.delete(ids=("a", "b", "c"))
        door.add(id="e")
        rest, _ = door.scan(after, 100)
        assert [job.id for job in first + rest] == ["a", "b", "d", "e"]

    def test_there_is_nothing_to_scan_in_an_empty_store(self, door: Door) -> None:
        assert door.scan(0, 10)[0] == []

    # adopt

    @pytest.mark.parametrize("state", FREE)
    def test_a_job_is_adopted_as_it_is(self, door: Door, state: State) -> None:
        job_id = door.bring(state, **EVERYTHING)
        before = door.job(job_id)
        door.delete(ids=(job_id,))
        door.clock.advance(500)
        assert door.adopt(before) == [job_id]
        assert door.job(job_id) == before
        assert door.queue().counts == {state: 1}

    def test_a_job_of_another_engine_comes_whole(self, door: Door) -> None:
        why = Failure("ValueError", "nö", "error", "Traceback: …")
        job = Job(
            id="from-afar", queue="mail", task="send", state=State.SCHEDULED, args=b"x" * 9_000, priority=-3, attempt=3,
            errors=2, crashes=1, max_attempts=8, key="k", owner="o", label="l", tags=("t",), meta=b"m", timeout=1.5,
            created_at=1000.25, updated_at=2000.5, run_at=door.clock.now + 60, started_at=1500.0,
            expires_at=door.clock.now + 9_000, progress=Progress(1, 2, 50.0, "half"), failure=why, version=41,
            attempts=(
                Attempt(1, "w1", 1.0, 2.0, "failed", why), Attempt(2, "w2", 3.0, 4.0, "timed_out", why),
                Attempt(3, "w3", 5.0, 6.0, "lost", replace(why, traceback=None)),
            ),
        )  # fmt: skip
        assert door.adopt(job) == ["from-afar"]
        assert door.find() == [job]
        assert door.found(text="afar") == []
        assert door.found(tag="t", owner="o", key="k", text="from") == ["from-afar"]
        assert door.found(reason="error", text="nö") == ["from-afar"]

    def test_adopted_jobs_stand_in_the_order_given(self, door: Door) -> None:
        jobs = [door.job(door.add(id=f"n{number}")) for number in (3, 1, 2)]
        door.delete()
        assert door.adopt(*reversed(jobs)) == ["n2", "n1", "n3"]
        assert door.found(newest_first=False) == ["n2", "n1", "n3"]
        assert [claim.lease.job_id for claim in door.claim(3)] == ["n2", "n1", "n3"]

    def test_a_known_id_is_not_adopted_again(self, door: Door) -> None:
        job = door.job(door.add(id="a"))
        door.cancel("a")
        now = door.job("a")
        assert door.adopt(job, replace(job, id="b"), replace(job, id="b", priority=5)) == ["b"]
        assert door.job("a") == now
        assert door.job("b").priority == 0

    def test_one_live_job_per_key_holds_for_adopted_ones_too(self, door: Door) -> None:
        here = door.job(door.add(id="here", key="k"))
        dead = door.job(door.bring(State.FAILED, queue="fax", id="dead"))
        assert door.adopt(replace(here, id="second"), replace(dead, id="third", key="k")) == ["third"]
        door.free("here")
        assert door.adopt(replace(here, id="second"), replace(here, id="fourth")) == ["second"]
        [receipt] = door.enqueue(new_job(key="k"))
        assert (receipt.id, receipt.created) == ("second", False)

    @pytest.mark.parametrize("state", sorted(HELD))
    def test_a_job_that_a_worker_holds_is_refused_and_nothing_is_stored(self, door: Door, state: State) -> None:
        held = door.job(door.bring(state))
        free = replace(held, id="free", state=State.QUEUED)
        with pytest.raises(MoveRefused, match="a worker holds it"):
            door.adopt(free, replace(held, id="held"))
        assert door.count() == 1

    def test_adopting_nothing_stores_nothing(self, door: Door) -> None:
        assert door.adopt() == []
        assert door.find() == []

    def test_an_adopted_job_lives_on(self, door: Door) -> None:
        claim = door.take(id="a", max_attempts=3)
        door.end(claim, Failed(BROKEN, delay=0.0))
        door.clock.advance(1)
        door.turn([])
        door.readopt("a")
        second = door.again("a")
        assert (second.attempt, second.errors, second.max_attempts) == (2, 1, 3)
        assert door.end(second, Snoozed(0.0))
        door.turn([])
        door.readopt("a")
        assert door.end(door.again("a"), Succeeded(b'"done"'))
        door.readopt("a")
        assert door.move(REDRIVE, "a") == ["a"]
        assert door.end(door.again("a"), Failed(BROKEN, final=True))
        words = [(attempt.number, attempt.outcome) for attempt in door.job("a").attempts]
        assert words == [(1, "failed"), (2, "snoozed"), (2, "succeeded"), (3, "failed")]

    def test_a_lease_from_before_ends_nothing_of_an_adopted_job(self, door: Door) -> None:
        stale = door.take(id="a")
        assert door.end(stale, Failed(BROKEN, delay=0.0))
        door.clock.advance(1)
        door.turn([])
        door.readopt("a")
        assert not door.end(stale, Succeeded(None))
        fresh = door.again("a")
        assert not door.end(stale, Succeeded(None))
        assert door.end(fresh, Succeeded(None))

    def test_an_adopted_job_that_is_due_is_given_out_and_one_that_expired_is_told_so(self, door: Door) -> None:
        waits = door.job(door.add(id="waits", delay=50, expires=100))
        door.delete()
        door.clock.advance(60)
        door.adopt(waits)
        assert not door.again("waits").expired
        late = replace(waits, id="late", queue="fax")
        door.clock.advance(60)
        door.adopt(late)
        assert door.again("late").expired

    def test_an_adopted_job_that_has_crashed_is_given_out_alone(self, door: Door) -> None:
        job = door.job(door.add(id="a"))
        door.delete()
        door.adopt(replace(job, crashes=1), replace(job, id="b", crashes=1))
        assert [claim.lease.job_id for claim in door.claim(5)] == ["a"]

    def test_an_adopted_job_can_be_cancelled(self, door: Door) -> None:
        door.add(id="a")
        door.readopt("a")
        assert door.move(CANCEL, "a", reason="enough") == ["a"]
        assert door.job("a").cancel_reason == "enough"

    # the house itself

    def test_an_open_engine_is_up_to_date(self, door: Door) -> None:
        schema = door.run(door.engine.schema_version())
        assert schema.found == schema.latest > 0
        with contextlib.suppress(BadOption):  # its layout is not made by SQL
            assert door.run(door.engine.migration_sql()) == ""

    def test_the_engine_says_what_it_is_and_how_durable(self, door: Door) -> None:
        assert door.engine.kind.islower()
        assert door.engine.where
        durability = door.run(door.engine.durability())
        assert durability
        assert "\n" not in durability

    def test_the_store_has_a_size(self, door: Door) -> None:
        door.add(args=b"x" * 50_000)
        assert door.run(door.engine.size()) > 0
