"""The servers that the tests run privately: they come back with their data, disturb nobody, and are gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis as client

import undertaker
from private_server import find
from servers import GivenPostgres, GivenRedis, PgBouncer, Postgres, Redis, Servers
from undertaker import Undertaker, alive, children, kill_family
from waiting import until

HERE = Path(__file__).parent


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def keys(url: str) -> Any:
    return contextlib.closing(client.Redis.from_url(url, decode_responses=True))


@pytest.fixture
def servers() -> Iterator[Servers]:
    """The servers of another test run, as it were."""
    servers = Servers()
    yield servers
    servers.close()


def test_a_killed_postgresql_comes_back_with_what_it_acknowledged(durable_postgres: Postgres) -> None:
    url = durable_postgres.new_database()
    query(url, "CREATE TABLE kept (n int)")
    for n in range(3):
        query(url, f"INSERT INTO kept VALUES ({n})")
        family = [durable_postgres.pid, *children(durable_postgres.pid)]
        assert len(family) > 3
        with contextlib.closing(psycopg.connect(url)):
            durable_postgres.kill()
        assert not any(alive(pid) for pid in family)
        with pytest.raises(psycopg.OperationalError):
            query(url, "SELECT 1")
        durable_postgres.start()
        assert durable_postgres.pid != family[0]
        assert query(url, "SELECT count(*) FROM kept") == [(n + 1,)]
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert query(url, f"SHOW {setting}") == [("on",)]


def test_a_killed_durable_redis_comes_back_with_what_it_acknowledged(durable_redis: Redis) -> None:
    durable_redis.flush()
    for n in range(3):
        with keys(durable_redis.url) as redis:
            redis.rpush("kept", n)
            durable_redis.kill()
            with pytest.raises(client.ConnectionError):
                redis.ping()
        durable_redis.start()
        with keys(durable_redis.unix_url) as redis:
            assert redis.lrange("kept", 0, -1) == [str(each) for each in range(n + 1)]
    with keys(durable_redis.url) as redis:
        assert redis.config_get("append*")["appendfsync"] == "always"


def test_a_server_that_was_stopped_starts_again_where_it_was(postgres: Postgres, redis: Redis) -> None:
    url = postgres.new_database()
    query(url, "CREATE TABLE kept (n int)")
    for server in (postgres, redis):
        before = server.url, server.pid
        server.stop()
        assert not server.running
        server.start()
        server.start()  # it runs already
        assert server.url == before[0]
        assert server.pid != before[1]
    assert query(url, "SELECT count(*) FROM kept") == [(0,)]


def test_new_databases_do_not_know_each_other(postgres: Postgres) -> None:
    first, second = postgres.new_database(), postgres.new_database()
    query(first, "CREATE TABLE mine (n int)")
    query(second, "CREATE TABLE mine (n int)")


def test_settings_of_redis_last_as_long_as_the_block(redis: Redis) -> None:
    with keys(redis.url) as wire:
        wire.set("a", 1)
        redis.flush()
        assert wire.get("a") is None
        with redis.config(maxmemory_policy="allkeys-lru", appendonly="yes"):
            assert wire.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
        assert wire.config_get("maxmemory-policy", "appendonly") == {
            "maxmemory-policy": "noeviction",
            "appendonly": "no",
        }


def test_the_pooler_keeps_nothing_between_transactions(pgbouncer: PgBouncer) -> None:
    url = pgbouncer.new_database()
    with contextlib.ExitStack() as stack:
        # More clients than the pooler has connections: only one that pools by the transaction serves them all.
        crowd = [
            stack.enter_context(contextlib.closing(psycopg.connect(url, autocommit=True, connect_timeout=5)))
            for _ in range(12)
        ]
        backends = {one.execute("SELECT pg_backend_pid()").fetchone()[0] for one in crowd}
        assert len(backends) <= 5
        pgbouncer.kill()
        with pytest.raises(psycopg.OperationalError):
            crowd[0].execute("SELECT 1")
    pgbouncer.start()
    assert query(url, "SELECT 1") == [(1,)]


def test_two_test_runs_do_not_collide(servers: Servers, postgres: Postgres, redis: Redis) -> None:
    for ours, theirs in ((postgres, servers.postgres()), (redis, servers.redis())):
        assert ours.port != theirs.port
        assert ours.folder != theirs.folder
        theirs.kill()
        assert ours.running
    servers.revive()
    with keys(redis.url) as mine, keys(servers.redis().url) as other:
        mine.set("whose", "mine")
        assert other.get("whose") is None
    ours = [postgres, redis]
    before = [server.pid for server in ours]
    servers.close()
    assert [server.running and server.pid for server in ours] == before


def test_a_port_that_somebody_took_meanwhile_is_no_obstacle(
    servers: Servers, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([redis.port, redis.port, 0])
    monkeypatch.setattr("private_server.free_port", lambda free=sys.modules["private_server"].free_port: (
        next(ports) or free()
    ))  # fmt: skip
    theirs = servers.redis()
    assert theirs.port != redis.port
    assert theirs.running


def test_a_given_server_is_used_and_left_alone(
    servers: Servers, postgres: Postgres, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSWORTH_TEST_POSTGRES_URL", postgres.url)
    monkeypatch.setenv("JOBSWORTH_TEST_REDIS_URL", redis.url)
    given = [servers.postgres(durable=True), servers.redis(durable=True)]
    assert [type(server) for server in given] == [GivenPostgres, GivenRedis]
    assert [server.url for server in given] == [postgres.url, redis.url]
    for server in given:
        with pytest.raises(pytest.skip.Exception, match=r"NOT TESTED: .*_URL is not ours to be killed"):
            server.kill()
    with pytest.raises(pytest.skip.Exception, match="configured"):
        given[1].config(appendonly="yes")
    made = given[0].new_database()
    assert query(made, "SELECT 1") == [(1,)]
    behind = servers.pgbouncer()
    assert query(behind.through(made), "SELECT current_database()")[0][0] in made
    servers.close()
    assert postgres.running
    assert redis.running
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        query(made, "SELECT 1")


def test_the_newest_postgresql_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("private_server.PLACES", [f"{tmp_path}/*/bin"])
    assert find("postgres") is None
    for version in ("9", "17", "16"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "postgres").touch(0o755)
    (tmp_path / "18" / "bin").mkdir(parents=True)
    assert find("valkey", "postgres") == tmp_path / "17" / "bin" / "postgres"


# ── whole test runs ──────────────────────────────────────────────────────────────────────────────────────────────────
RUN = """
import os, time
from pathlib import Path
from undertaker import children

def test_one(postgres, redis, pgbouncer, durable_redis):
    servers = [postgres, redis, pgbouncer, durable_redis]
    family = [pid for server in servers for pid in [server.pid, *children(server.pid)]]
    durable_redis.kill()
    postgres.kill()

def test_two(postgres, redis, pgbouncer, durable_redis):
    servers = [postgres, redis, pgbouncer, durable_redis]
    assert all(server.running for server in servers)  # what the test before killed, and left so
    family = [pid for server in servers for pid in [server.pid, *children(server.pid)]]
    if HOW == "unrevived":
        postgres.kill()
        durable_redis.kill()
    told = Path("told.new")
    told.write_text("\\n".join([" ".join(map(str, family)), *(str(server.folder) for server in servers)]))
    told.rename("told")
    while HOW.startswith("SIG"):
        time.sleep(0.05)
    assert HOW != "failed"
"""


def run_tests(folder: Path, text: str, **environment: str) -> subprocess.Popen[str]:
    """A test run of its own, with our fixtures, of one file; without plugins, which take longer than all the rest."""
    shutil.copy(HERE / "conftest.py", folder / "conftest.py")
    (folder / "test_it.py").write_text(text)
    ours = {name: value for name, value in os.environ.items() if name not in UNSET}
    ours |= {
        "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **environment,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "."],
        cwd=folder, env=ours, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["passed", "failed", "unrevived", "SIGINT", "SIGTERM", "SIGKILL"])
def test_what_a_test_run_started_is_gone_however_it_ended(
    tmp_path: Path, how: str, postgres: Postgres, redis: Redis, pgbouncer: PgBouncer
) -> None:
    assert len({postgres.pid, redis.pid, pgbouncer.pid}) == 3  # skips where we were given servers
    run = run_tests(tmp_path, f"HOW = {how!r}\n{RUN}")
    try:
        told = tmp_path / "told"
        until(lambda: told.exists() or run.poll() is not None, 60, "the servers run")
        if how.startswith("SIG"):
            run.send_signal(getattr(signal, how))
        said, _ = run.communicate(timeout=60)
    finally:
        run.kill()
        run.wait()
    assert told.exists(), said
    family, *folders = told.read_text().split("\n")
    assert len(folders) == 4
    until(lambda: not any(alive(int(pid)) for pid in family.split()), what="their processes are gone")
    until(lambda: not any(Path(folder).exists() for folder in folders), what="their folders are gone")
    assert run.returncode == {"failed": 1, "SIGINT": 2, "SIGTERM": -15, "SIGKILL": -9}.get(how, 0), said


MISSING = """
import pytest
def test_one(postgres): pass
def test_two(postgres): pass
def test_three(durable_redis): pass
def test_four(redis): pass
def test_five(): pass
"""
UNSET = ("CI", "JOBSWORTH_SERVERS", "JOBSWORTH_TEST_POSTGRES_URL", "JOBSWORTH_TEST_REDIS_URL")
NOWHERE = "import private_server\nprivate_server.PLACES = []\n"


def test_a_missing_server_skips_its_tests_and_says_so_loudly(tmp_path: Path) -> None:
    said, _ = run_tests(tmp_path, NOWHERE + MISSING, PATH=str(tmp_path)).communicate(timeout=60)
    assert "1 passed, 4 skipped" in said
    loud = [line for line in said.splitlines() if line.startswith("NOT TESTED")]
    assert [line.partition(" is not on this machine (Debian: ")[::2] for line in loud] == [
        ("NOT TESTED: PostgreSQL", "apt-get install postgresql; macOS: brew install postgresql) [2 tests skipped]"),
        ("NOT TESTED: Redis", "apt-get install redis-server; macOS: brew install redis) [2 tests skipped]"),
    ]


@pytest.mark.parametrize("where", [{"CI": "true"}, {"JOBSWORTH_SERVERS": "required"}])
def test_a_missing_server_fails_where_it_is_required(tmp_path: Path, where: dict[str, str]) -> None:
    said, _ = run_tests(tmp_path, NOWHERE + MISSING, PATH=str(tmp_path), **where).communicate(timeout=60)
    assert "1 passed, 4 errors" in said
    assert "PostgreSQL is not on this machine" in said
    assert "NOT TESTED" not in said


def test_the_undertaker_leaves_alone_what_it_was_told_to_forget(tmp_path: Path) -> None:
    undertaker = Undertaker()
    sleepers = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2)]
    try:
        for sleeper in sleepers:
            undertaker.process(sleeper.pid, signal.SIGTERM)
        undertaker.folder(tmp_path)
        undertaker.forget(sleepers[0].pid)
        undertaker.forget(tmp_path)
        undertaker.dismiss()
        assert sleepers[1].wait(10) == -signal.SIGTERM
        assert sleepers[0].poll() is None
        assert tmp_path.exists()
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def test_the_undertaker_kills_what_does_not_end_when_asked() -> None:
    stubborn = subprocess.Popen(
        [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print(); time.sleep(600)"],
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert stubborn.stdout is not None
    with stubborn.stdout:
        stubborn.stdout.readline()
        undertaker = Undertaker()
        undertaker.process(stubborn.pid, signal.SIGTERM)
        asked = time.monotonic()
        undertaker.dismiss()
    assert stubborn.wait(1) == -signal.SIGKILL
    assert time.monotonic() - asked >= 1.9


ORPHANS = """
import os, signal, subprocess, sys, time
from undertaker import dies_with_us
for stopped in (False, True):
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    dies_with_us(sleeper.pid)
    if stopped:
        sleeper.send_signal(signal.SIGSTOP)
    print(sleeper.pid, flush=True)
time.sleep(600)
"""


def test_what_is_to_die_with_a_run_that_is_killed_dies_even_if_it_was_stopped() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ORPHANS]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pids = [int(run.stdout.readline()) for _ in range(2)]
        assert all(alive(pid) for pid in pids)
        run.kill()
    until(lambda: not any(alive(pid) for pid in pids), what="they are dead")


def test_who_has_the_pid_of_one_that_was_to_die_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        monkeypatch.setattr(undertaker, "_listen", lambda _: ({sleeper.pid: (signal.SIGKILL, "long ago")}, set()))
        undertaker.main(os.getpid())
        assert alive(sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_family_dies_with_its_children_even_those_in_groups_of_their_own() -> None:
    program = "import subprocess as s; a = ['sleep', '600']; s.Popen(a); s.Popen(a, start_new_session=True); s.run(a)"
    parent = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    try:
        until(lambda: len(children(parent.pid)) == 3)
        family = children(parent.pid)
    finally:
        kill_family(parent.pid)
    assert parent.wait(5) == -signal.SIGKILL
    assert not any(alive(pid) for pid in family)
