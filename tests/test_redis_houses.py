"""Moving into and out of Redis: what is adopted stands in every index, and looking at a house builds none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from jobsworth.conformance.door import finish, new_job
from jobsworth.engine import Want, Where
from jobsworth.engines.redis import RedisEngine
from jobsworth.errors import BadOption, EngineError, SchemaMismatch
from jobsworth.job import FINAL, HELD, Attempt, Failure, Job, JobId, State
from private_server import Given
from servers import Redis

_numbers = itertools.count()
WHY = Failure("ValueError", "no", "error", "Traceback: …")
PAST = tuple(Attempt(number, "w1", 1.0, 2.0, "failed", WHY) for number in range(1, 61))
FREE = tuple(state for state in State if state not in HELD)


@pytest.fixture
def engine(redis: Redis | Given) -> Iterator[RedisEngine]:
    """An engine in a namespace of its own."""
    engine = RedisEngine(redis.url, namespace=f"house-{next(_numbers)}")
    yield engine
    finish(engine.delete(Where(limit=None)))
    finish(engine.close())


def a_job(state: State = State.QUEUED, number: int = 0, **changes: object) -> Job:
    """A job that some other engine kept."""
    job = Job(
        id=f"{state.value}-{number}", queue="mail", task="send", state=state, args=b"{}", created_at=1000.0 + number,
        updated_at=2000.0, run_at=9e9 if state is State.SCHEDULED else 1500.0,
        finished_at=1900.0 + number if state in FINAL else None, max_attempts=3, version=4,
        failure=WHY if state is State.FAILED else None,
        attempts=(Attempt(0, None, None, 1900.0 + number, "succeeded"),) if state is State.COMPLETED else (),
    )  # fmt: skip
    job = replace(job, failure=Failure("Cancelled", "cancelled", "cancelled")) if state is State.CANCELLED else job
    return replace(job, **changes)  # type: ignore[arg-type]


def keys(engine: RedisEngine) -> set[str]:
    """The names of its keys, without the namespace."""
    prefix = engine._link.prefix.decode()
    return {key.decode().removeprefix(prefix) for key in engine._link.command("KEYS", f"{prefix}*")}


def adopt(engine: RedisEngine, *jobs: Job) -> list[JobId]:
    return finish(engine.adopt(jobs))


def test_what_is_adopted_can_be_deleted_without_a_trace(engine: RedisEngine) -> None:
    finish(engine.open())
    assert len(adopt(engine, *(a_job(state, n, owner="me", tags=("t", "u"), key=f"{state}{n}", args=b"x" * 9_000,
                                     attempts=PAST[:3] if state is State.FAILED else ())
                               for n in range(40) for state in FREE))) == 200  # fmt: skip
    assert {"args:queued-0", "past:failed-0", "owner:me", "tag:t", "unique", "dues", "due:mail"} <= keys(engine)
    assert finish(engine.delete(Where(limit=None))) == 200
    finish(engine.upkeep())
    assert keys(engine) <= {"seq", "fence", "schema", "books"}


def test_all_indexes_find_what_is_adopted(engine: RedisEngine) -> None:
    jobs = [a_job(state, n, owner="me", tags=("t",)) for n in range(3) for state in FREE]
    jobs.append(a_job(number=9, queue="fax", crashes=1, priority=5, key="k"))
    adopt(engine, *jobs)
    assert finish(engine.find(Where(newest_first=False))) == jobs
    for where in (Where(owner="me"), Where(tag="t"), Where(queue="mail"), Where(task="send", queue="mail")):
        assert finish(engine.count(where)) == 15
    for state in FREE:
        found = finish(engine.find(Where(queue="mail", states=(state,), newest_first=False)))
        assert found == [job for job in jobs if (job.queue, job.state) == ("mail", state)]
    fax, mail = finish(engine.queues())
    assert (fax.counts, mail.counts) == ({State.QUEUED: 1}, dict.fromkeys(FREE, 3))
    assert finish(engine.find(Where(key="k"))) == jobs[-1:]
    assert [receipt.created for receipt in finish(engine.enqueue([[new_job(key="k")]]))[0]] == [False]  # type: ignore[union-attr]


def test_jobs_enqueued_afterwards_stand_behind_those_adopted(engine: RedisEngine) -> None:
    adopt(engine, *(a_job(number=n) for n in range(200)))
    finish(engine.enqueue([[new_job(id="late")]]))
    adopt(engine, a_job(number=200))
    turn = finish(engine.turn("w1", [], [Want("mail", 300, ("send",))], lease=30.0))
    assert [claim.lease.job_id for claim in turn.claims] == [*(f"queued-{n}" for n in range(200)), "late", "queued-200"]


def test_only_the_newest_attempts_are_kept(engine: RedisEngine) -> None:
    adopt(engine, a_job(State.FAILED, attempts=PAST))
    [job] = finish(engine.find(Where()))
    assert job.attempts == PAST[-50:]


def test_a_batch_with_a_job_that_has_no_room_stores_none_of_it(engine: RedisEngine) -> None:
    with pytest.raises(EngineError, match=r"'queued-1' cannot be kept in Redis"):
        adopt(engine, a_job(), a_job(number=1, version=2**40))
    assert keys(engine) == set()


def test_a_scan_passes_over_long_stretches_of_jobs_that_have_gone(engine: RedisEngine) -> None:
    adopt(engine, *(a_job(number=n) for n in range(3_000)))
    finish(engine.delete(Where(ids=tuple(f"queued-{n}" for n in range(1, 2_990)), limit=None)))
    seen, after = [], 0
    while True:
        jobs, after = finish(engine.scan(after, 4))
        if not jobs:
            break
        seen += [job.id for job in jobs]
    assert seen == ["queued-0", *(f"queued-{n}" for n in range(2_990, 3_000))]


def test_a_scan_shows_a_damaged_job_as_what_it_is_and_goes_on(engine: RedisEngine) -> None:
    adopt(engine, *(a_job(number=n) for n in range(3)))
    engine._link.command("SET", f"{engine._link.prefix.decode()}job:queued-1", b"garbage")
    jobs, _ = finish(engine.scan(0, 10))
    assert [job.failure and job.failure.reason for job in jobs] == [None, "corrupt", None]


def test_looking_at_the_layout_makes_nothing(engine: RedisEngine) -> None:
    assert finish(engine.schema_version()).found is None
    assert finish(engine.scan(0, 10)) == ([], 0)
    with pytest.raises(BadOption, match="no SQL"):
        finish(engine.migration_sql())
    assert keys(engine) == set()
    finish(engine.open())
    schema = finish(engine.schema_version())
    assert schema.found == schema.latest
    engine._link.command("SET", f"{engine._link.prefix.decode()}schema", 999)
    with pytest.raises(SchemaMismatch):
        finish(engine.schema_version())


def test_its_place_is_its_url_without_the_password() -> None:
    engine = RedisEngine("rediss://ada:s3cret@host:7000/1?namespace=x")
    assert (engine.kind, engine.where) == ("redis", "rediss://ada:***@host:7000/1?namespace=x")


def test_the_size_is_what_the_server_uses(engine: RedisEngine) -> None:
    before = finish(engine.size())
    adopt(engine, a_job(args=b"x" * 1_000_000))
    assert finish(engine.size()) - before > 900_000
