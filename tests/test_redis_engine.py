"""The Redis engine keeps the contract, and lives every life as the memory engine does."""

from __future__ import annotations

import itertools
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from msgspec.structs import replace
from redis.exceptions import ResponseError

from jobsworth.clock import Clock, ManualClock
from jobsworth.conformance import EngineContract, twin_of
from jobsworth.conformance.door import Door, Run, finish, new_job
from jobsworth.conformance.logs import talk_too_much
from jobsworth.engine import Engine, Pulse, Want, Where, WorkerCard
from jobsworth.engines import from_url
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.redis import RedisEngine, desk, doorbell, link
from jobsworth.engines.redis.faults import translate
from jobsworth.engines.redis.link import Link
from jobsworth.engines.redis.url import parse
from jobsworth.errors import BadUrl, EngineError, EngineUnavailable, SchemaMismatch, StorageFull
from jobsworth.job import Claim, Failure, NewJob, State
from jobsworth.lifecycle import CANCEL, settle
from jobsworth.logged import KEPT, RUNS
from jobsworth.outcome import Failed, Succeeded
from jobsworth.retry import Retry
from private_server import Given
from servers import Redis
from undertaker import Undertaker
from waiting import until

_numbers = itertools.count()
_url = ""  # of the server these tests share; a namespace each


@pytest.fixture(scope="module", autouse=True)
def server(redis: Redis | Given) -> Redis | Given:
    """The server that all these tests share."""
    global _url
    _url = redis.url
    return redis


@pytest.fixture
def own(server: Redis | Given) -> Iterator[Redis]:
    """The same, for tests that kill or configure it; it is as it was afterwards, and empty."""
    assert server.pid  # of a given server there is none to be had: then the test is skipped
    server.flush()
    yield server  # type: ignore[misc]
    server.start()
    server.flush()


class TestRedisEngine(EngineContract):
    @pytest.fixture
    def engine(self, clock: ManualClock, run: Run) -> Iterator[Engine]:
        engine = RedisEngine(_url, namespace=f"contract-{next(_numbers)}", clock=clock)
        run(engine.open())
        yield engine
        run(engine.close())


def _twin(clock: Clock) -> Engine:
    engine = RedisEngine(_url, namespace="twin", clock=clock)
    there = keys(engine)  # of the history before this one, which is over
    if there:
        engine._link.command("DEL", *there)
    return engine


TestRedisBesideMemory = twin_of(MemoryEngine, _twin)
TestRedisBesideMemory.settings = settings(  # type: ignore[attr-defined]
    max_examples=int(os.environ.get("HISTORIES", "40")),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRedisBesideMemory.pytestmark = [pytest.mark.timeout(600)]  # type: ignore[attr-defined]


# what only this engine does


def test_who_looks_for_one_finds_another_where_the_first_has_ended_meanwhile(engine: RedisEngine) -> None:
    finish(engine.enqueue([[new_job(id="first"), new_job(id="second")]]))

    def run(script: str, *values: Any) -> Any:
        answer = engine._run(script, *values)
        if script == "list":  # between the list and the look at those who are on it
            finish(engine.move(Where(ids=("first",)), CANCEL))
        return answer

    for newest_first in (False, True):
        found = desk.find(run, Where(states=(State.QUEUED,), limit=1, newest_first=newest_first))
        assert [job.id for job in found] == ["second"]


@pytest.fixture
def engine(server: Redis | Given) -> Iterator[RedisEngine]:
    """An engine on the server's own clock, in a namespace of its own."""
    engine = RedisEngine(server.url, namespace=f"own-{next(_numbers)}")
    finish(engine.open())
    yield engine
    finish(engine.close())


def take(engine: RedisEngine, limit: int = 10) -> list[Claim]:
    """Claim what there is."""
    return finish(engine.turn("w1", [], [Want("mail", limit, ("send",))], lease=30.0)).claims


def add(engine: RedisEngine, *jobs: NewJob) -> None:
    """Store these."""
    finish(engine.enqueue([jobs or [new_job()]]))


def keys(engine: RedisEngine) -> set[str]:
    """Every key of the engine's namespace."""
    return {key.decode() for key in engine._link.command("KEYS", f"{engine._link.prefix.decode()}*")}


def test_of_a_log_no_more_is_kept_than_is_told(engine: RedisEngine) -> None:
    talk_too_much(Door(engine, ManualClock(), finish))
    [logs] = [name for name in keys(engine) if ":logs:" in name]
    assert engine._link.command("ZCARD", logs) == KEPT + RUNS - 1


def test_claims_are_stamped_by_the_servers_clock(engine: RedisEngine) -> None:
    seconds, micros = engine._link.command("TIME")
    add(engine, new_job(id="a"))
    [job] = finish(engine.find(Where()))
    assert 0 <= job.created_at - (int(seconds) + int(micros) / 1e6) < 5


def test_a_server_that_has_forgotten_the_scripts_is_given_them_again(engine: RedisEngine) -> None:
    add(engine)
    engine._link.command("SCRIPT", "FLUSH")
    [claim] = take(engine)
    engine._link.command("SCRIPT", "FLUSH")
    # With a ring that travels along, too.
    engine._doorbell._rang = 0.0
    turn = finish(engine.turn("w1", [settle(claim, Succeeded(b"1"), Retry())], [], lease=30.0))
    assert turn.refused == []
    assert finish(engine.count(Where(states=(State.COMPLETED,)))) == 1


def test_the_servers_clock_alone_counts(server: Redis | Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program whose clock is an hour ahead schedules for the right moment all the same."""
    engine = RedisEngine(_url, namespace="clocked")
    finish(engine.open())
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 3600)
    finish(engine.enqueue([[new_job(delay=0.2)]]))
    monkeypatch.undo()
    until(lambda: finish(engine.turn("w", [], [Want("mail", 5, ("send",))], lease=30)).claims)
    finish(engine.close())


def test_namespaces_do_not_see_each_other_and_every_key_has_the_hash_tag(server: Redis | Given) -> None:
    first, second = (RedisEngine(f"{server.url}?namespace=ns-{name}") for name in "ab")
    add(first, new_job(id="a", key="k", owner="me", tags=("t",), args=b"x" * 9_000), new_job(id="b", delay=9))
    assert finish(second.find(Where())) == []
    assert keys(first)
    assert all(key.startswith("{ns-a}:") for key in keys(first))
    everything = {key.decode() for key in first._link.command("KEYS", "*") if b"ns-a" in key}
    assert everything == keys(first)


def test_deleting_every_job_leaves_nothing_of_them_behind(engine: RedisEngine) -> None:
    add(engine, *(new_job(id=f"j{number}", key=f"k{number}", owner="me", tags=("t",)) for number in range(300)))
    add(engine, new_job(id="large", args=b"x" * 9_000), new_job(id="late", delay=60))
    claims = take(engine, 200)
    failure = Failure("ValueError", "no")
    endings = [settle(claim, Failed(failure, final=True), Retry()) for claim in claims]
    finish(engine.turn("w1", endings, [], lease=30.0))
    assert finish(engine.delete(Where(limit=None))) == 302
    finish(engine.upkeep())
    left = {key.partition(":")[2] for key in keys(engine)}
    # The page that is being written on stays listed. How runs ended is known longer than the jobs are.
    assert {key for key in left if not key.startswith(("cells", "minutes"))} <= {"seq", "fence", "schema", "books"}


def test_large_arguments_are_not_rewritten_by_claims_and_endings(engine: RedisEngine) -> None:
    add(engine, new_job(id="large", args=b"x" * 100_000, meta=b"m" * 100_000))
    [claim] = take(engine)
    assert (len(claim.args), len(claim.meta or b"")) == (100_000, 100_000)
    record = engine._link.command("STRLEN", f"{engine._link.prefix.decode()}job:large")
    assert record < 1_000


def test_a_damaged_record_stops_nobody_and_is_shown_as_what_it_is(engine: RedisEngine) -> None:
    add(engine, *(new_job(id=name) for name in "abc"))
    engine._link.command("SET", f"{engine._link.prefix.decode()}job:a", b"garbage")
    assert [claim.lease.job_id for claim in take(engine)] == ["b", "c"]
    [dead] = finish(engine.find(Where(states=(State.FAILED,))))
    assert (dead.id, dead.failure and dead.failure.reason) == ("a", "corrupt")


def test_a_record_cut_short_in_its_arguments_is_handed_out_to_be_ended_and_not_run(engine: RedisEngine) -> None:
    add(engine, new_job(id="a", args=b"123456789"))
    name = f"{engine._link.prefix.decode()}job:a"
    whole = engine._link.command("GET", name)
    engine._link.command("SET", name, whole[:-4])
    [claim] = take(engine)
    assert claim.corrupt
    turn = finish(
        engine.turn("w1", [settle(claim, Failed(Failure("CorruptRow", "x"), final=True), Retry())], [], lease=1.0)
    )
    assert turn.refused == []


# opening


def test_a_newer_schema_is_refused_and_left_alone(engine: RedisEngine) -> None:
    name = f"{engine._link.prefix.decode()}schema"
    for found, said in ((b"2", "schema 2"), (b"mine", "mine")):
        engine._link.command("SET", name, found)
        with pytest.raises(SchemaMismatch, match=said):
            finish(engine.open())
        assert engine._link.command("GET", name) == found


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", ("localhost", 6379, None, False, 0)),
        ("redis://host:7000/3", ("host", 7000, None, False, 3)),
        ("rediss://host", ("host", 6379, None, True, 0)),
        ("valkey://host?db=2", ("host", 6379, None, False, 2)),
        ("valkeys://[::1]:7", ("::1", 7, None, True, 0)),
        ("unix:///run/redis.sock?db=1", (None, 6379, "/run/redis.sock", False, 1)),
    ],
)
def test_urls_say_where_redis_is(url: str, expected: tuple[object, ...]) -> None:
    address = parse(url)
    assert (address.host, address.port, address.path, address.secure, address.db) == expected
    assert isinstance(from_url(url), RedisEngine)


def test_user_and_password_are_read_and_never_shown() -> None:
    address = parse("redis://ada:s%40cret@host:7000/1")
    assert address.credentials == {"username": "ada", "password": "s@cret"}
    assert address.shown == "redis://ada:***@host:7000/1"
    assert "cret" not in repr(RedisEngine("redis://:s%40cret@host")) + repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host?timeout=3", "redis://host/one", "redis://host:port", "redis://host?doorbell=loud", "unix://",
        "unix://host/path", "redis://host?namespace={x}", "redis://host?namespace=",
    ],
)  # fmt: skip
def test_a_url_with_anything_else_in_it_is_refused(url: str) -> None:
    with pytest.raises(BadUrl):
        RedisEngine(url)


def test_importing_jobsworth_and_naming_a_url_does_not_load_the_driver() -> None:
    program = (
        "import sys, jobsworth, jobsworth.engines; jobsworth.engines.from_url('redis://host');"
        " sys.exit(any(name.partition('.')[0] in ('redis', 'hiredis') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_the_driver_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.exceptions", None)
    with pytest.raises(BadUrl, match=r"jobsworth\[redis\]"):
        finish(RedisEngine("redis://localhost").open())


# trouble


def test_a_server_that_is_not_there_is_told_at_once_and_used_again_as_soon_as_it_is(own: Redis) -> None:
    own.kill()
    engine = RedisEngine(own.unix_url)
    with pytest.raises(EngineUnavailable, match=r"/socket.*no connection") as told:
        finish(engine.open())
    assert told.value.hint
    own.start()
    add(engine, new_job(id="a"))
    own.kill()
    with pytest.raises(EngineUnavailable):
        add(engine, new_job(id="b"))
    own.start()
    add(engine, new_job(id="c"))
    assert [claim.lease.job_id for claim in take(engine)] == ["c"]  # this server keeps nothing
    finish(engine.close())


def test_idle_connections_to_a_server_that_has_restarted_are_not_used(own: Redis) -> None:
    engine = RedisEngine(own.url)
    add(engine, new_job(id="a"))
    own.kill()
    own.start()
    add(engine, new_job(id="b"))
    assert finish(engine.count(Where())) == 1
    finish(engine.close())


def test_what_was_acknowledged_survives_kill_9_where_every_write_is_synced(durable_redis: Redis | Given) -> None:
    engine = RedisEngine(durable_redis.url, namespace=f"kill-{next(_numbers)}")
    stored: list[str] = []
    for life in range(4):
        for number in range(50):
            add(engine, new_job(id=f"{life}-{number}"))
            stored.append(f"{life}-{number}")
        [claim, *_] = take(engine, 5)
        finish(engine.turn("w1", [settle(claim, Succeeded(b"1"), Retry())], [], lease=30.0))
        durable_redis.kill()
        durable_redis.start()
        assert sorted(job.id for job in finish(engine.find(Where(limit=None)))) == sorted(stored)
        assert finish(engine.count(Where(states=(State.COMPLETED,)))) == life + 1
    assert "fsync before every answer" in finish(engine.durability())
    finish(engine.close())


@pytest.fixture
def deaf() -> Iterator[str]:
    """The URL of somebody who accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_never_answers_is_given_up_in_bounded_time(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(link, "CONNECT_TIMEOUT", 0.3)
    started = time.monotonic()
    with pytest.raises(EngineUnavailable):
        add(RedisEngine(deaf))
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("word", ["READONLY", "MASTERDOWN", "CLUSTERDOWN", "LOADING"])
def test_a_node_that_cannot_take_writes_is_left_for_a_new_connection(word: str, wrapped: bool) -> None:
    """Whether it says so itself or, before Redis 7, by way of a script."""
    said = f"ERR Error running script (call to f_1): @user_script:1: -{word} told so" if wrapped else f"{word} told so"
    accepted = []

    class Server(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            accepted.append(1)
            while asked := self.request.recv(65536):
                is_script = b"EVAL" in asked
                self.request.sendall(b"-%s\r\n" % said.encode() if is_script else b"+OK\r\n" * asked.count(b"SETINFO"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        there = link.Link(parse(f"redis://127.0.0.1:{server.server_address[1]}"), "x")
        for calls in (1, 2):
            with pytest.raises(EngineUnavailable, match="Redis "):
                there.run("turn", ["x"])
            assert len(accepted) == calls
        there.close()
        server.shutdown()


def test_a_full_server_refuses_new_jobs_loses_none_and_lets_old_ones_be_deleted(own: Redis) -> None:
    engine = RedisEngine(own.url)
    add(engine, *(new_job(id=f"j{number}") for number in range(100)))
    [claim] = take(engine, 1)
    before = finish(engine.find(Where(limit=None)))
    verbs = [
        lambda: add(engine),
        lambda: take(engine),
        lambda: finish(engine.turn("w1", [settle(claim, Succeeded(b"1"), Retry())], [], lease=1.0)),
        lambda: finish(engine.pulse(WorkerCard(id="w1"), [Pulse(claim.lease)], lease=1.0)),
        lambda: finish(engine.move(Where(), CANCEL)),
        lambda: finish(engine.adopt([replace(before[0], id="moved")])),
    ]
    with own.config(maxmemory=1):
        for verb in verbs:
            with pytest.raises(StorageFull, match="maxmemory"):
                verb()
            assert finish(engine.find(Where(limit=None))) == before
        assert finish(engine.delete(Where(ids=("j50",)))) == 1
    assert len(take(engine, 200)) == 98
    assert finish(engine.turn("w1", [settle(claim, Succeeded(b"1"), Retry())], [], lease=1.0)).refused == []
    finish(engine.close())


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("-OOM command not allowed when used memory > 'maxmemory'.", StorageFull),
        ("-READONLY You can't write against a read only replica.", EngineUnavailable),
        ("-NOREPLICAS Not enough good replicas to write.", EngineUnavailable),
    ],
)
def test_what_a_script_ran_into_is_told_apart_from_how_redis_before_7_wraps_it(
    said: str, meant: type[EngineError]
) -> None:
    wrapped = f"Error running script (call to f_c3e6): @user_script:244: @user_script: 244: {said}"
    assert type(translate(ResponseError(wrapped, status_code="ERR"), "here")) is meant


def test_a_replica_is_no_place_for_jobs(own: Redis) -> None:
    engine = RedisEngine(own.url)
    add(engine)
    engine._link.command("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(EngineUnavailable, match="replica"):
            add(engine)
        assert engine._link._idle == []  # the next call looks for the primary, wherever that is by then
    finally:
        engine._link.command("REPLICAOF", "NO", "ONE")
    add(engine)
    finish(engine.close())


class Node(Redis):
    """A node of a cluster. The others speak to it at its port and 10,000."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--cluster-enabled", "yes"]


@pytest.fixture
def nodes(own: Redis) -> Iterator[list[Node]]:
    """Two of them, who know each other, with half of the slots each."""
    undertaker = Undertaker()
    nodes = [Node(undertaker), Node(undertaker)]
    for node in nodes:
        node.start()
    clients = [Link(parse(node.unix_url), "x") for node in nodes]
    for client, slots in zip(clients, (range(8192), range(8192, 16384)), strict=True):
        client.command("CLUSTER", "ADDSLOTS", *slots)
    clients[0].command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
    for client in clients:
        until(lambda client=client: b"cluster_state:ok" in client.command("CLUSTER", "INFO"))
        client.close()
    yield nodes
    for node in nodes:
        node.close()
    undertaker.dismiss()


def test_a_cluster_keeps_a_namespace_on_one_node_and_is_asked_there(nodes: list[Node]) -> None:
    for node in nodes:  # one of them is the wrong one
        engine = RedisEngine(node.url)
        finish(engine.open())
        add(engine, new_job(key=f"k{node.port}", owner="me", tags=("t",)), new_job(delay=3))
        [claim] = take(engine)
        finish(engine.turn("w1", [settle(claim, Succeeded(b"1"), Retry())], [], lease=1.0))
        jobs, _ = finish(engine.scan(0, 100))
        finish(engine.delete(Where(ids=(jobs[-1].id,))))
        assert finish(engine.adopt(jobs)) == [jobs[-1].id]
        assert finish(engine.close()) is None
    assert finish(engine.count(Where(states=(State.COMPLETED,)))) == 2
    finish(engine.close())


# the doctor


@pytest.mark.parametrize(
    ("options", "level", "said"),
    [
        ({}, "warn", "none: appendonly is off"),
        ({"save": "60 1"}, "warn", "none between snapshots"),
        ({"appendonly": "yes", "appendfsync": "always"}, "ok", "fsync before every answer"),
        ({"appendonly": "yes", "appendfsync": "everysec"}, "ok", "up to 1-2 s"),
        ({"appendonly": "yes", "appendfsync": "no"}, "warn", "left to the operating system"),
    ],
)
def test_the_doctor_tells_the_durability_really_configured(
    own: Redis, options: dict[str, str], level: str, said: str
) -> None:
    engine = RedisEngine(own.url)
    with own.config(**options):
        [(found, text)] = [(each[0], each[2]) for each in finish(engine.doctor()) if each[1] == "durability"]
        assert found == level
        assert said in text
        assert finish(engine.durability()) == text
    finish(engine.close())


def test_the_doctor_warns_of_a_server_that_may_throw_jobs_away(own: Redis) -> None:
    engine = RedisEngine(own.url)
    with own.config(maxmemory="100mb", maxmemory_policy="allkeys-lru"):
        assert any(level == "warn" and "allkeys-lru" in text for level, _, text in finish(engine.doctor()))
    finish(engine.close())


def test_a_user_with_no_more_rights_than_needed_can_do_everything(own: Redis) -> None:
    admin = Link(parse(own.url), "x")
    keys = "~{jobsworth}:* resetchannels &{jobsworth}:*"
    rights = f"on >pw {keys} -@all +@read +@write +@scripting +@pubsub +@connection +time"
    admin.command("ACL", "SETUSER", "worker", *rights.split())
    engine = RedisEngine(own.url.replace("redis://", "redis://worker:pw@"))
    finish(engine.open())
    add(engine)
    assert len(take(engine)) == 1
    texts = {subject: (level, text) for level, subject, text in finish(engine.doctor())}
    assert texts["durability"][0] == texts["memory"][0] == "warn"
    assert "may not read" in texts["durability"][1]
    finish(engine.close())
    admin.command("ACL", "DELUSER", "worker")
    admin.close()


# the bell


def test_another_process_is_told_that_something_changed(server: Redis | Given) -> None:
    name = f"bell-{next(_numbers)}"
    here, there = (RedisEngine(server.url, namespace=name) for _ in range(2))
    rung = threading.Event()
    stop = here.listen(rung.set)
    assert rung.wait(10)  # it listens now
    for _ in range(5):  # the second comes too soon after the first to be told with it, and is told all the same
        rung.clear()
        add(there)
        assert rung.wait(10)
    stop()
    for engine in (here, there):
        finish(engine.close())


def test_a_storm_of_changes_is_no_storm_of_rings(server: Redis | Given) -> None:
    engine = RedisEngine(server.url, namespace=f"storm-{next(_numbers)}")
    finish(engine.open())

    def published() -> int:
        stats = engine._link.command("INFO", "commandstats").decode()
        return int(stats.partition("cmdstat_publish:calls=")[2].partition(",")[0] or 0)

    before, started = published(), time.monotonic()
    for _ in range(300):
        add(engine)
    took = time.monotonic() - started
    assert published() - before <= took / doorbell.NEWS + 2
    finish(engine.close())


def test_nobody_wakes_for_a_ring_of_his_own(server: Redis | Given) -> None:
    name = f"own-{next(_numbers)}"
    here, there = (RedisEngine(server.url, namespace=name) for _ in range(2))
    rings: list[str] = []
    heard = threading.Event()
    stop = here.listen(lambda: (rings.append(threading.current_thread().name), heard.set())[0])
    assert heard.wait(10)
    rings.clear()
    add(here)
    heard.clear()
    until(lambda: here._doorbell._owed is None)
    add(there)
    assert heard.wait(10)
    assert rings.count("jobsworth-redis-ear") == 1
    stop()
    for engine in (here, there):
        finish(engine.close())


def test_a_doorbell_that_is_off_says_and_hears_nothing(server: Redis | Given) -> None:
    engine = RedisEngine(f"{server.url}?doorbell=off&namespace=off-{next(_numbers)}")
    stop = engine.listen(lambda: None)
    add(engine)
    assert engine._doorbell._listener is None
    assert engine._doorbell._teller is None
    stop()
    finish(engine.close())


def test_who_listens_listens_again_after_the_server_was_away(own: Redis) -> None:
    here, there = (RedisEngine(own.url) for _ in range(2))
    rung = threading.Event()
    stop = here.listen(rung.set)
    assert rung.wait(10)
    rung.clear()
    own.kill()
    own.start()
    assert rung.wait(20)  # once after each reconnect, for what was missed
    rung.clear()
    add(there)
    assert rung.wait(10)
    stop()
    for engine in (here, there):
        finish(engine.close())


def test_a_mistake_of_ours_in_listening_is_told_once_and_it_goes_on(
    server: Redis | Given, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(doorbell, "BACKOFF", (0.001, 0.01))
    engine = RedisEngine(server.url, namespace=f"broken-{next(_numbers)}")
    tried, rung, subscribe = 0, threading.Event(), doorbell.Doorbell._subscribe

    def broken(bell: doorbell.Doorbell) -> Any:
        nonlocal tried
        tried += 1
        if tried < 4:
            raise AttributeError("a mistake")
        return subscribe(bell)

    monkeypatch.setattr(doorbell.Doorbell, "_subscribe", broken)
    stop = engine.listen(rung.set)
    assert rung.wait(10)
    stop()
    finish(engine.close())
    assert [record.name for record in caplog.records if "bell" in record.getMessage()] == ["jobsworth.redis"]


def test_the_listener_ends_when_nobody_listens_and_comes_back_when_somebody_does(server: Redis | Given) -> None:
    engine = RedisEngine(server.url, namespace=f"ears-{next(_numbers)}")
    for _ in range(2):
        rung = threading.Event()
        stop = engine.listen(rung.set)
        assert rung.wait(10)
        stop()
        until(lambda: engine._doorbell._listener is None)
    finish(engine.close())


# processes


def test_a_forked_child_has_connections_of_its_own(engine: RedisEngine) -> None:
    add(engine, new_job(id="parent"))
    child = os.fork()
    if child == 0:
        try:
            add(engine, new_job(id="child"))
            os._exit(0)
        finally:
            os._exit(1)
    add(engine, *(new_job() for _ in range(50)))
    assert os.waitpid(child, 0)[1] == 0
    assert finish(engine.count(Where())) == 52


def test_changing_very_many_jobs_is_done_in_parts_that_hold_nobody_up(engine: RedisEngine) -> None:
    for start in range(0, 3_000, 1_000):
        add(engine, *(new_job(id=f"j{start + number}") for number in range(1_000)))
    assert len(finish(engine.move(Where(limit=None), CANCEL))) == 3_000
    assert finish(engine.count(Where(states=(State.CANCELLED,)))) == 3_000
    assert finish(engine.delete(Where(beyond=1_000, limit=None))) == 2_000
    assert {job.id for job in finish(engine.find(Where(limit=None)))} == {
        f"j{number}" for number in range(2_000, 3_000)
    }


def test_of_very_many_ended_jobs_the_longest_ended_are_deleted(
    engine: RedisEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_LISTED", 100)
    add(engine, *(new_job(id=f"j{number:03}") for number in range(300)))
    endings = [settle(claim, Succeeded(b"1"), Retry()) for claim in take(engine, 300)]
    for at in range(0, 300, 50):
        finish(engine.turn("w1", endings[at : at + 50], [], lease=1.0))
    completed = (State.COMPLETED,)
    assert finish(engine.delete(Where(queue="mail", states=completed, beyond=280, limit=500))) == 20
    assert finish(engine.delete(Where(queue="mail", states=completed, finished_for=0.0, limit=50))) == 50
    left = sorted(job.id for job in finish(engine.find(Where(limit=None))))
    assert left == [f"j{number:03}" for number in range(70, 300)]
    # What is looked for among too many to list is found by walking them all.
    assert finish(engine.count(Where(states=completed, task="send"))) == 230
    assert [job.id for job in finish(engine.find(Where(states=completed, limit=2)))] == ["j299", "j298"]
