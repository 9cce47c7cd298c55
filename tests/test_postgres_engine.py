"""PostgreSQL keeps the contract, lives every life as the memory engine does, and works behind a pooler."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.conninfo import conninfo_to_dict

from jobsworth import Jobsworth
from jobsworth.clock import Clock, ManualClock
from jobsworth.conformance import EngineContract, twin_of
from jobsworth.conformance.door import Door, Run, finish, new_job
from jobsworth.conformance.logs import talk_too_much
from jobsworth.engine import Engine, Turn, Want, Where, WorkerCard
from jobsworth.engines import from_url
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.postgres import PostgresEngine, migrate
from jobsworth.engines.postgres.marks import (
    EVER,
    EVERY,
    FRONT,
    LONGEST,
    MARGIN,
    SHARE,
    SLOW,
    WHOLE_EVERY,
    Bloat,
    Floor,
    Marks,
    _Mark,
)
from jobsworth.errors import BadUrl, EngineUnavailable, SchemaMismatch
from jobsworth.job import Claim, Lease, State
from jobsworth.lifecycle import settle
from jobsworth.logged import KEPT, RUNS
from jobsworth.outcome import Succeeded
from jobsworth.retry import Retry
from servers import Postgres
from waiting import until

_url = ""  # of the database these tests share; a schema each


@pytest.fixture(scope="module", autouse=True)
def database(postgres: Postgres) -> str:
    global _url
    _url = postgres.new_database()
    return _url


def _emptied(schema: str, clock: Clock) -> PostgresEngine:
    """An engine on a schema with nothing in it. Making tables for every case would take a second each."""
    with psycopg.connect(_url, autocommit=True) as line:
        there = line.execute("SELECT to_regclass(%s)", (f"{schema}.jobs",)).fetchone()
        if there is not None and there[0] is not None:
            for table in ("jobs", "attempts", "logs", "queues", "workers", "cells", "statistics"):
                line.execute(f"DELETE FROM {schema}.{table}")
    return PostgresEngine(_url, where="the test's server", schema=schema, doorbell=False, clock=clock)


class TestPostgresEngine(EngineContract):
    @pytest.fixture
    def engine(self, clock: ManualClock, run: Run) -> Iterator[Engine]:
        engine = _emptied("contract", clock)
        run(engine.open())
        yield engine
        run(engine.close())


TestPostgresBesideMemory = twin_of(MemoryEngine, lambda clock: _emptied("twin", clock))
# Some two seconds each; more on long nights.
TestPostgresBesideMemory.settings = settings(  # type: ignore[attr-defined]
    max_examples=int(os.environ.get("HISTORIES", "30")), stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
TestPostgresBesideMemory.pytestmark = [pytest.mark.timeout(900)]  # type: ignore[attr-defined]


# the URL


def _engine(url: str) -> PostgresEngine:
    engine = from_url(url)
    assert isinstance(engine, PostgresEngine)
    return engine


def _with(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{options}"


def test_a_schema_of_any_name_can_be_chosen_and_nothing_else_is_touched(database: str) -> None:
    engine = _engine(_with(database, "schema=my_jobs"))
    finish(engine.open())
    with psycopg.connect(database) as line:
        found = {name for (name,) in line.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(my_|jobsw)'")}
        assert "my_jobs" in found
        assert line.execute("SELECT count(*) FROM my_jobs.jobs").fetchone() == (0,)
    finish(engine.close())


@pytest.mark.parametrize("name", ["", "Jobs", "a-b", "a.b", 'a"b', "x" * 64, "1st"])
def test_a_schema_that_is_no_plain_name_is_refused(name: str) -> None:
    with pytest.raises(BadUrl, match="schema"):
        from_url(f"postgresql://localhost/x?schema={name}")


def test_a_doorbell_is_on_or_off() -> None:
    with pytest.raises(BadUrl, match="on or off"):
        from_url("postgresql://localhost/x?doorbell=maybe")


def test_no_message_shows_the_password() -> None:
    engine = _engine("postgresql://me:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in repr(engine)
    with pytest.raises(EngineUnavailable) as caught:
        finish(engine.open())
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "wants"),
    [
        ("postgresql://u@a,b/x", "read-write"),
        ("postgresql://u@a:1,b:2/x?schema=s", "read-write"),
        ("postgresql:///x?host=a,b", "read-write"),
        ("postgresql://u@a,b/x?target_session_attrs=any", "any"),
        ("postgresql://u@a/x", None),
    ],
)
def test_of_several_hosts_the_one_that_takes_writes_is_wanted(url: str, wants: str | None) -> None:
    given = conninfo_to_dict(_engine(url)._conninfo)
    assert given.get("target_session_attrs", None) == wants


@pytest.mark.parametrize("code", ["25006", "57P01", "57P02", "57P03"])
def test_a_server_that_ends_or_only_reads_is_unavailable_and_its_connections_are_left(database: str, code: str) -> None:
    engine = _engine(database)
    finish(engine.open())
    kept = engine._lines.take()
    engine._lines.give_back(kept)
    spare = engine._lines.connect()
    engine._lines.give_back(spare)

    def fail() -> None:
        with engine._lines.line() as line:
            line.execute(f"DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{code}'; END $$")

    with pytest.raises(EngineUnavailable, match="as told"):
        fail()
    assert (kept.closed, spare.closed) == (True, True)
    assert finish(engine.count(Where())) >= 0
    finish(engine.close())


# the schema


def test_many_programs_may_open_an_empty_database_at_once(postgres: Postgres) -> None:
    url = postgres.new_database()
    engines = [_engine(url) for _ in range(8)]
    failed: list[BaseException] = []

    def start(engine: PostgresEngine) -> None:
        try:
            finish(engine.open())
        except BaseException as exc:
            failed.append(exc)

    threads = [threading.Thread(target=start, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for engine in engines:
        finish(engine.close())


def test_a_newer_schema_is_refused_and_left_alone(postgres: Postgres) -> None:
    url = postgres.new_database()
    engine = _engine(url)
    finish(engine.open())
    finish(engine.close())
    with psycopg.connect(url, autocommit=True) as line:
        line.execute("UPDATE jobsworth.schema_version SET version = 99")
    with pytest.raises(SchemaMismatch, match="99"):
        finish(_engine(url).open())


def test_the_script_alone_makes_the_schema(postgres: Postgres) -> None:
    url = postgres.new_database()
    with psycopg.connect(url, autocommit=True) as line:
        for statement in migrate.script("jobsworth"):
            line.execute(statement)
        assert migrate.version(line, "jobsworth") == migrate.latest()
    engine = _engine(url)
    assert finish(engine.enqueue([[new_job()]]))[0][0].created
    finish(engine.close())


# the doorbell


def test_another_process_hears_of_a_new_job(database: str) -> None:
    here, there = _engine(_with(database, "schema=bell")), _engine(_with(database, "schema=bell"))
    heard = threading.Event()
    finish(there.open())
    stop = there.listen(heard.set)
    until(heard.is_set)  # it rings once when it has connected
    heard.clear()
    finish(here.enqueue([[new_job()]]))
    assert heard.wait(5)
    stop()
    finish(here.close())
    finish(there.close())


def test_who_rings_does_not_hear_itself_through_the_server(database: str) -> None:
    engine = _engine(_with(database, "schema=bell"))
    rings: list[int] = []
    finish(engine.open())
    stop = engine.listen(lambda: rings.append(1))
    until(lambda: len(rings) == 1)
    finish(engine.enqueue([[new_job()]]))
    assert len(rings) == 2  # by the bell within the process, at once
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("NOTIFY bell")
    until(lambda: len(rings) == 3)  # had it heard itself, this would have been the fourth
    stop()
    finish(engine.close())


# where to begin in a line full of dead rows


def _found(*seqs: int, priority: int = 0, crashes: int = 0) -> list[Claim]:
    return [
        Claim(
            lease=Lease(f"j{seq}", 1, seq), queue="mail", task="send", args=b"", attempt=1, errors=0, crashes=crashes,
            max_attempts=1, priority=priority,
        )
        for seq in seqs
    ]  # fmt: skip


WANTED = [Want("mail", 5, ("send",))]


def test_quick_looks_always_begin_at_the_front() -> None:
    marks = Marks(Bloat())
    marks.learn(marks.begin(WANTED), WANTED, _found(7), SLOW / 2, lambda: True)
    assert marks.begin(WANTED) == [FRONT]


def test_a_slow_look_at_a_tidy_table_changes_nothing() -> None:
    marks = Marks(Bloat())
    marks.learn(marks.begin(WANTED), WANTED, _found(7), SLOW, lambda: False)
    assert marks.begin(WANTED) == [FRONT]


def test_after_a_slow_look_at_dead_rows_the_next_begins_where_it_found_something() -> None:
    marks = Marks(Bloat())
    marks.learn(marks.begin(WANTED), WANTED, _found(9, 7, priority=3), SLOW, lambda: True)
    assert marks.begin(WANTED) == [(-3, 7)]
    marks.learn(marks.begin(WANTED), WANTED, _found(12), SLOW / 2, lambda: True)
    assert marks.begin(WANTED) == [(0, 12)]


def test_a_mark_behind_which_nothing_is_left_is_forgotten_at_once() -> None:
    marks = Marks(Bloat())
    marks.learn(marks.begin(WANTED), WANTED, _found(7), SLOW, lambda: True)
    marks.learn(marks.begin(WANTED), WANTED, [], SLOW / 2, lambda: True)
    assert marks.begin(WANTED) == [FRONT]


def test_a_crashed_job_makes_no_mark() -> None:
    marks = Marks(Bloat())
    marks.learn(marks.begin(WANTED), WANTED, _found(2, crashes=1), SLOW, lambda: True)
    assert marks.begin(WANTED) == [FRONT]


def test_now_and_then_a_look_begins_at_the_front_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = Marks(Bloat())
    marks.learn(marks.begin(WANTED), WANTED, _found(7), SLOW, lambda: True)
    later = time.monotonic() + EVERY
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert marks.begin(WANTED) == [FRONT]


def test_a_claim_that_begins_behind_the_front_takes_what_stands_there(database: str) -> None:
    engine = _engine(_with(database, "schema=marked"))
    finish(engine.enqueue([[new_job(id=f"m{number}", priority=1 if number == 2 else 0) for number in range(4)]]))
    everything = finish(engine.turn("w", [], [Want("mail", 1, ("send",))], lease=30)).claims
    assert [claim.lease.job_id for claim in everything] == ["m2"]
    engine._sights.lines._marks["mail"] = _Mark((0, everything[0].lease.row), time.monotonic())
    assert [claim.lease.job_id for claim in finish(engine.turn("w", [], WANTED, lease=30)).claims] == ["m3"]
    assert finish(engine.turn("w", [], WANTED, lease=30)).claims == []  # and forgets the mark
    assert [claim.lease.job_id for claim in finish(engine.turn("w", [], WANTED, lease=30)).claims] == ["m0", "m1"]
    finish(engine.close())


def test_the_slower_a_look_from_the_front_is_the_seldomer_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    marks, began, slow = Marks(Bloat()), time.monotonic(), 2 * EVERY / SHARE
    monkeypatch.setattr(time, "monotonic", lambda: began)
    marks.learn(marks.begin(WANTED), WANTED, _found(7), slow, lambda: True)
    for passed, place in ((EVERY, (0, 7)), (SHARE * slow, FRONT)):
        monkeypatch.setattr(time, "monotonic", lambda passed=passed: began + passed)
        assert marks.begin(WANTED) == [place]


def test_however_slow_it_is_what_is_urgent_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    marks, began = Marks(Bloat()), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began)
    marks.learn(marks.begin(WANTED), WANTED, _found(7), 1_000.0, lambda: True)
    monkeypatch.setattr(time, "monotonic", lambda: began + LONGEST)
    assert marks.begin(WANTED) == [FRONT]


# up to which moment nothing is left


def _risen(floor: Floor) -> float:
    """A floor after a slow look at a table full of dead rows, and one that knew the server's moment."""
    floor.learn(floor.begin(), None, SLOW, lambda: True)
    floor.learn(floor.begin(), 1_000.0, SLOW, lambda: True)
    return floor.begin()


def test_a_floor_rises_to_shortly_before_the_moment_of_a_look_that_left_nothing() -> None:
    assert _risen(Floor(Bloat())) == 1_000.0 - MARGIN


def test_a_floor_stays_where_looks_are_quick_or_the_table_is_tidy() -> None:
    quick, tidy = Floor(Bloat()), Floor(Bloat())
    quick.learn(EVER, 1_000.0, SLOW / 2, lambda: True)
    tidy.learn(EVER, 1_000.0, SLOW, lambda: False)
    assert (quick.begin(), quick.asks()) == (EVER, False)
    assert (tidy.begin(), tidy.asks()) == (EVER, False)


def test_a_look_that_left_something_behind_moves_no_floor() -> None:
    floor = Floor(Bloat())
    before = _risen(floor)
    floor.learn(before, None, SLOW, lambda: True)
    assert floor.begin() == before


def test_now_and_then_everything_is_looked_at_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    floor = Floor(Bloat())
    _risen(floor)
    later = time.monotonic() + WHOLE_EVERY[0]
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert floor.begin() == EVER
    floor.learn(EVER, 2_000.0, SLOW / 2, lambda: True)  # it was quick: somebody has let go of the old snapshot
    assert floor.begin() == EVER


def _pages_touched(database: str, engine: PostgresEngine, work: Callable[[], object]) -> int:
    """Pages of the jobs' table, and of its indexes, that the server looked at meanwhile."""
    before = _pages(database, engine)
    work()
    return _pages(database, engine) - before


def _pages(database: str, engine: PostgresEngine) -> int:
    """The same since there is this database. What a connection has looked at is counted for sure when it has gone."""
    finish(engine.close())
    with psycopg.connect(database, autocommit=True) as line:
        ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ %s"
        until(lambda: line.execute(ours, ("^jobsworth",)).fetchone() == (0,), what="the engine has hung up")
        row = line.execute(
            "SELECT heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read FROM pg_statio_user_tables"
            " WHERE schemaname = %s AND relname = 'jobs'",
            (engine.schema,),
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_rescue_does_not_walk_past_what_an_old_snapshot_keeps(postgres: Postgres) -> None:
    database = postgres.new_database()
    engine = _engine(_with(database, "schema=kept"))
    finish(engine.open())
    with psycopg.connect(database) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1 FROM kept.jobs")
        for _ in range(10):  # held, and let go of: each leaves a dead lease behind
            finish(engine.enqueue([[new_job() for _ in range(1_000)]]))
            claims = finish(engine.turn("w", [], [Want("mail", 1_000, ("send",))], lease=0.001)).claims
            finish(engine.turn("w", [settle(claim, Succeeded(b"1"), Retry()) for claim in claims], [], lease=30))
        reclaim = lambda: finish(engine.reclaim(100, worker="w", lease=30))  # noqa: E731
        whole = _pages_touched(database, engine, reclaim)
        floor = engine._sights.held
        floor._on, floor._whole_at = True, time.monotonic()
        with psycopg.connect(database, autocommit=True) as line:
            row = line.execute("SELECT extract(epoch FROM clock_timestamp())::double precision").fetchone()
        assert row is not None
        floor._after = row[0]
        assert whole > 300
        assert _pages_touched(database, engine, reclaim) < whole / 10
    finish(engine.close())


# the pooler


def test_of_a_log_no_more_is_kept_than_is_told() -> None:
    clock = ManualClock()
    engine = _emptied("logs", clock)
    finish(engine.open())
    talk_too_much(Door(engine, clock, finish))
    with psycopg.connect(_url) as line:
        assert line.execute("SELECT count(*) FROM logs.logs").fetchone() == (KEPT + RUNS - 1,)
    finish(engine.close())


def test_everything_works_behind_a_pooler_that_changes_connections(pgbouncer: object, postgres: Postgres) -> None:
    url = postgres.new_database()
    engine = _engine(pgbouncer.through(url))  # type: ignore[attr-defined]
    finish(engine.open())
    ids = [f"pooled-{number}" for number in range(300)]
    finish(engine.enqueue([[new_job(id=each) for each in ids]]))
    ended: list[str] = []

    def work(name: str) -> None:
        claims = finish(engine.turn(name, [], [Want("mail", 7, ("send",))], lease=30)).claims
        while claims:
            endings = [settle(claim, Succeeded(b"1"), Retry()) for claim in claims]
            ended.extend(claim.lease.job_id for claim in claims)
            claims = finish(engine.turn(name, endings, [Want("mail", 7, ("send",))], lease=30)).claims

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == sorted(ids)
    assert finish(engine.count(Where(states=(State.COMPLETED,)))) == 300
    finish(engine.close())


def test_threads_that_share_the_engine_share_its_connections(database: str) -> None:
    engine = _engine(_with(database, "schema=shared"))

    def put() -> None:
        for _ in range(20):
            finish(engine.enqueue([[new_job()]]))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert finish(engine.count(Where())) == 160
    finish(engine.close())


def test_an_interrupted_caller_leaves_no_connection_in_a_transaction(database: str) -> None:
    engine = _engine(_with(database, "schema=interrupted"))
    door = Door(engine, ManualClock(), finish)
    door.add()

    def interrupted() -> None:
        with engine._lines.line() as line, line.transaction():
            line.execute("SELECT 1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert door.count() == 1
    finish(engine.close())


def test_a_claim_that_waited_starts_nothing_before_it_was_created(database: str) -> None:
    """It looks at the clock, waits for a lock, and finds a job that came meanwhile."""
    engine = _engine(_with(database, "schema=waited"))
    jobs = Jobsworth(engine=engine)
    task = jobs.task(name="t", queue="q")(lambda: None)
    jobs.open()
    turns: list[Turn] = []
    with psycopg.connect(database) as connection:
        connection.execute("LOCK TABLE waited.jobs IN SHARE ROW EXCLUSIVE MODE")
        turn = threading.Thread(
            target=lambda: turns.append(finish(engine.turn("w", [], [Want("q", 1, ("t",))], lease=30)))
        )
        turn.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'waited.jobs'::regclass"
        until(lambda: connection.execute(waiting).fetchone() == (1,), what="the turn waits")
        task.options(transaction=connection).enqueue()
        connection.commit()
    turn.join(10)
    [job] = finish(engine.find(Where()))
    assert [claim.lease.job_id for claim in turns[0].claims] == [job.id]
    assert job.started_at is not None
    assert job.run_at is not None
    assert job.created_at <= job.run_at <= job.started_at
    jobs.close()


def test_the_servers_clock_alone_counts(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program whose clock is an hour ahead schedules for the right moment all the same."""
    engine = _engine(_with(database, "schema=clocked"))
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 3600)
    finish(engine.enqueue([[new_job(delay=0.2)]]))
    monkeypatch.undo()
    until(lambda: finish(engine.turn("w", [], WANTED, lease=30)).claims)
    finish(engine.close())


def test_many_queues_are_looked_at_with_as_many_questions_as_one(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that looks claims nothing meanwhile, and the server may be far away."""
    engine = _engine(_with(database, "schema=many_queues"))
    names = [f"q{number}" for number in range(20)]
    finish(engine.enqueue([[new_job(queue=name)] for name in names]))
    finish(engine.pulse(WorkerCard(id="w", queues=dict.fromkeys(names, 1), tasks=["other"]), [], lease=30))
    asked: list[str] = []
    ask_on = engine._ask

    def counting(line: Any) -> Any:
        ask = ask_on(line)
        return lambda sql, *values, **how: (asked.append(sql), ask(sql, *values, **how))[1]

    monkeypatch.setattr(engine, "_ask", counting)
    [one] = finish(engine.queues(names[:1]))
    for_one = len(asked)
    many = finish(engine.queues(names))
    assert len(asked) == 2 * for_one
    assert [status.queue for status in many] == sorted(names)
    assert {(status.counts[State.QUEUED], sum(status.unroutable.values()), status.slots) for status in many} == {
        (1, 1, 1)
    }
    assert one.in_rate == 1
    finish(engine.close())
