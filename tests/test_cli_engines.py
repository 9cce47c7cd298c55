"""Every command speaks with every engine in the same words, and says plainly what is wrong with a server or a URL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import psycopg
import pytest

from commandline import APP, COMMAND, Done, Running, clean_environment, run, run_here, running
from jobsworth.conformance.door import finish
from jobsworth.engine import Engine
from jobsworth.engines import from_url, redacted
from jobsworth.engines.postgres.faults import translate
from jobsworth.engines.redis import RedisEngine
from jobsworth.errors import BadUrl
from private_server import Given
from servers import Postgres, Redis
from waiting import until

TABLES = ("sqlite", "postgres")
NEWEST = {"sqlite": 3, "postgresql": 3, "redis": 1}  # layouts
ENGINES = (*TABLES, "redis")


@dataclass
class Place:
    """A folder with an app whose jobs live at `url`."""

    folder: Path
    url: str

    def __call__(self, *arguments: str, **options: str) -> Done:
        return run_here(self.folder, *arguments, "--url", self.url, **options)


def new_url(request: pytest.FixtureRequest, engine: str, folder: Path) -> str:
    if engine == "sqlite":
        return f"sqlite:///{folder / 'jobs.db'}"
    server = request.getfixturevalue(engine)
    return server.new_namespace() if "redis" in engine else server.new_database()


def keys(url: str) -> list[bytes]:
    """What is in a namespace of Redis."""
    link = RedisEngine(url)._link
    found: list[bytes] = link.command("KEYS", link.prefix + b"*")
    link.close()
    return found


def new_place(request: pytest.FixtureRequest, engine: str, folder: Path) -> Place:
    (folder / "app.py").write_text(APP)
    return Place(folder, new_url(request, engine, folder))


@pytest.fixture(scope="module", params=ENGINES)
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return new_place(request, request.param, tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def worker(at: Place) -> Iterator[Running]:
    """A worker that is told by the environment where to work."""
    with running(at.folder, "worker", "--queues", "default,slow,images", JOBSWORTH_URL=at.url) as command:
        until(lambda: "started" in command.err, what="the worker's first line")
        yield command


@pytest.fixture(params=ENGINES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Nobody has been here yet."""
    return new_place(request, request.param, tmp_path)


@pytest.fixture(params=TABLES)
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The same, where there are tables to be made."""
    return new_place(request, request.param, tmp_path)


# a job's life, command by command


def test_run_brings_the_result(at: Place, worker: Running) -> None:
    done = run(at.folder, "run", "add", "1", "2", JOBSWORTH_URL=at.url)
    assert (done.code, done.out) == (0, "3\n")
    assert at("run", "greet", "you").out == '"Hello you"\n'


def test_a_failing_job_becomes_a_dead_letter_that_can_be_tried_again(at: Place, worker: Running) -> None:
    assert at("run", "boom", "way").code == 1
    [dead] = at("dead", "list", "--text", "no way", "--json").json
    assert dead["error"]["message"] == "no way"
    assert "no way" in at("show", dead["id"]).out
    assert at("retry", dead["id"]).code == 0
    assert at("watch", dead["id"], "--timeout", "30").code == 1
    assert len(at("show", dead["id"], "--json").json["job"]["attempts"]) == 4
    assert at("dead", "redrive", "--text", "no way", "--yes").code == 0
    assert at("watch", dead["id"], "--timeout", "30").code == 1


def test_a_running_job_is_watched_and_cancelled(at: Place, worker: Running) -> None:
    job_id = at("enqueue", "slow", "60", "--owner", "user:7", "--tag", "long").out.strip()
    until(lambda: at("show", job_id, "--json").json["job"]["status"] == "running", what="the job runs")
    assert [job["id"] for job in at("list", "--owner", "user:7", "--state", "running", "--json").json] == [job_id]
    assert at("cancel", job_id, "--reason", "enough").code == 0
    watched = at("watch", job_id, "--json")
    assert watched.code == 1
    assert '"cancelled"' in watched.out


def test_the_tables_of_queues_and_workers_name_them(at: Place, worker: Running) -> None:
    assert "slow" in at("queues").out
    [card] = at("workers", "--json").json
    assert card["pid"] == worker.pid
    assert "started" in worker.err


def test_a_paused_queue_waits_until_it_is_resumed(at: Place, worker: Running) -> None:
    assert at("run", "images", "a=1").code == 0
    assert at("queues", "pause", "images").code == 0
    job_id = at("enqueue", "images", "a=2").out.strip()
    done = at("watch", job_id, "--timeout", "0.5")
    assert done.code == 4
    assert at("status", "--json").json["warnings"]
    assert at("queues", "purge", "images", "--dry-run").out == "would delete 1 waiting job of images\n"
    assert at("queues", "resume", "images").code == 0
    assert at("watch", job_id, "--timeout", "30").code == 0


def test_waiting_jobs_are_purged_and_cancelled_by_filter(at: Place) -> None:
    for _ in range(3):
        at("enqueue", "stuck", "--tag", "batch")
    assert at("cancel", "--tag", "batch", "--dry-run").out == 'would cancel 3 jobs with tag "batch"\n'
    assert at("cancel", "--tag", "batch", "--yes", "--json").json["count"] == 3
    at("enqueue", "stuck", "--delay", "1h")
    assert at("queues", "purge", "stuck", "--yes").out == "deleted 1 waiting job of stuck\n"


def test_status_and_doctor_say_which_engine_where_and_how_durable(at: Place, worker: Running) -> None:
    facts = at("status", "--json").json["engine"]
    assert facts["engine"] == urlsplit(at.url).scheme
    assert facts["schema"] == NEWEST[facts["engine"]]
    assert facts["bytes"] > 10_000
    first = at("status").out.splitlines()[0]
    assert facts["durability"] in first
    assert facts["durability"] in worker.err
    done = at("doctor")
    assert "durability" in done.out
    assert "schema" in done.out


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("postgres", "fsync is off"),
        ("durable_postgres", "on disk before it returns (synchronous_c"),
        ("redis", "none: appendonly is off"),
        ("durable_redis", "fsync before every answer (appendonly yes"),
    ],
)
def test_the_banner_says_how_durable_the_server_really_is(
    request: pytest.FixtureRequest, tmp_path: Path, server: str, said: str
) -> None:
    if isinstance(request.getfixturevalue(server), Given):
        pytest.skip("a given server is configured by others")
    at = new_place(request, server, tmp_path)
    with running(at.folder, "worker", JOBSWORTH_URL=at.url) as command:
        until(lambda: "started" in command.err, what="the worker's first line")
        [line] = [line for line in command.err.splitlines() if line.startswith("engine")]
    assert said in line
    assert line.startswith(f"engine   {at.url} · ")


def test_several_worker_processes_share_the_engine(at: Place) -> None:
    job_id = at("enqueue", "images", "a=9").out.strip()
    with running(at.folder, "worker", "--queues", "images", "--processes", "2", JOBSWORTH_URL=at.url):
        assert run(at.folder, "watch", job_id, "--timeout", "40", JOBSWORTH_URL=at.url).code == 0


def test_bench_cleans_up_where_it_measured(at: Place) -> None:
    done = at("bench", "--jobs", "60", "--slots", "4", "--json")
    assert done.code == 0, done.err
    assert done.json["drain_per_second"] > 0
    assert at("list", "--task", "nothing", "--json").json == []


# before there is anything


def test_looking_makes_nothing(empty: Place) -> None:
    for command in ("status", "list", "show abc", "cancel abc", "dead", "queues", "workers", "migrate --check"):
        done = empty(*command.split())
        assert done.code == (2 if "migrate" in command else 3), (command, done.err)
        assert "no tables" in done.err + done.out
    assert empty("doctor").code == 0
    assert not (empty.folder / "jobs.db").exists()
    if empty.url.startswith("redis"):
        assert keys(empty.url) == []
    elif empty.url.startswith("postgresql"):
        with psycopg.connect(empty.url) as line:
            [[schemas]] = line.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'jobsworth'").fetchall()
        assert schemas == 0


def test_migrate_makes_the_tables_once(empty: Place) -> None:
    newest = NEWEST[urlsplit(empty.url).scheme]
    assert empty("migrate", "--json").json | {"where": ""} == {
        "where": "", "before": None, "schema": newest, "latest": newest, "due": False,
    }  # fmt: skip
    assert f"schema {newest} already" in empty("migrate").out
    assert empty("migrate", "--check").code == 0
    assert empty("status").code == 0
    assert empty("migrate", "--sql", "--check").code == 2


def test_the_sql_that_migrate_prints_does_what_migrate_does(bare: Place) -> None:
    done = bare("migrate", "--sql")
    assert done.code == 0
    assert bare("migrate", "--check").code == 2
    if bare.url.startswith("sqlite"):
        import sqlite3

        connection = sqlite3.connect(bare.folder / "jobs.db", isolation_level=None)
        connection.executescript(done.out)
        connection.close()
    else:
        with psycopg.connect(bare.url, autocommit=True) as line:
            line.execute(done.out)
    assert bare("migrate", "--check").code == 0
    assert bare("migrate", "--sql").out == ""
    assert bare("enqueue", "add", "1", "2").code == 0
    assert bare("list", "--json").json[0]["task"] == "add"


def test_where_no_sql_makes_the_layout_one_is_told_so(redis: Redis | Given, tmp_path: Path) -> None:
    done = run_here(tmp_path, "migrate", "--sql", "--url", redis.new_namespace())
    assert (done.code, done.out) == (2, "")
    assert "there is no SQL" in done.err
    assert "hint: jobsworth migrate, or the first start" in done.err


def test_eight_programs_may_open_an_empty_database_at_once(empty: Place) -> None:
    children = [
        subprocess.Popen(
            [*COMMAND, "enqueue", "add", "1", "2", "--url", empty.url], cwd=empty.folder, env=clean_environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(8)
    ]  # fmt: skip
    ends = [(child.communicate(timeout=90), child.returncode) for child in children]
    assert [(code, said) for (_, said), code in ends if code] == []
    assert sorted(out.strip() for (out, _), _ in ends) == sorted(job["id"] for job in empty("list", "--json").json)


def test_eight_threads_may_migrate_at_the_very_same_moment(postgres: Postgres | Given) -> None:
    url = postgres.new_database()
    for number in range(8):
        engines = [from_url(f"{url}?schema=at_once_{number}") for _ in range(8)]
        start = threading.Barrier(len(engines))

        def open_it(engine: Engine, start: threading.Barrier = start) -> int | None:
            start.wait(30)
            finish(engine.open())
            return finish(engine.schema_version()).found

        with ThreadPoolExecutor(len(engines)) as threads:
            assert list(threads.map(open_it, engines)) == [NEWEST["postgresql"]] * 8
        for engine in engines:
            finish(engine.close())


def test_a_newer_schema_is_refused_and_left_alone(empty: Place) -> None:
    empty("migrate")
    newer = "UPDATE {} SET version = 999"
    if empty.url.startswith("sqlite"):
        import sqlite3

        with sqlite3.connect(empty.folder / "jobs.db") as connection:
            connection.execute(newer.format("jobsworth_schema"))
        connection.close()
    elif empty.url.startswith("redis"):
        link = RedisEngine(empty.url)._link
        link.command("SET", link.prefix + b"schema", 999)
        link.close()
    else:
        with psycopg.connect(empty.url) as line:
            line.execute(newer.format("jobsworth.schema_version"))
    for command in ("status", "migrate", "migrate --check", "migrate --sql", "enqueue add 1 2"):
        done = empty(*command.split())
        assert done.code == 2, command
        assert "error[E110]" in done.err


# what is wrong with a URL, or a server


@pytest.fixture(scope="session")
def host(postgres: Postgres | Given) -> str:
    return urlsplit(postgres.url).netloc.rpartition("@")[2]


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("postgresql://u:s3cret@nohost.invalid/db", 3, "postgresql://u:***@nohost.invalid/db does not answer"),
        ("postgresql://u:s3cret@127.0.0.1:1/db", 3, "Connection refused"),
        ("postgresql://jobsworth:s3cret@{host}/nodb", 3, 'does not let us in: connection to server at'),
        ("postgresql://jobsworth:s3cret@{host}/nodb", 3, 'database "nodb" does not exist'),
        ("postgresql://nobody:s3cret@{host}/postgres", 3, "hint: check user, password and database"),
        ("postgresql://u:s3/cret@{host}/db", 2, "write @ as %40, / as %2F"),
        ("postgresql://u:s3@cret@{host}/db", 2, "write @ as %40, / as %2F"),
        ("postgresql://u:s3#cret@{host}/db", 2, "write @ as %40, / as %2F"),
        ("postgresql://u:s3?cret@{host}/db", 2, "write @ as %40, / as %2F"),
        ("postgresql://u:s3cret@{host}/db?sslmod=disable", 2, "did you mean 'sslmode'?"),
        ("postgresql://u:s3cret@{host}/db?shema=x", 2, "did you mean 'schema'?"),
        ("postgresql://{host}/db?user=u&password=s3cret&nosuch=1", 2, "there is no option 'nosuch'"),
        ("postgresql://u:s3cret@{host}/db?doorbell=maybe", 2, "doorbell is on or off, not 'maybe'"),
        ("postgresql://u:s3cret@{host}/db?schema=A-b", 2, "'A-b' cannot be the schema's name"),
        ("postgresql:u:s3cret@{host}/db", 2, "two slashes: postgresql://user@host/database"),
        ("postgresql:/{host}/db", 2, "two slashes: postgresql://user@host/database"),
        ("postgressql://u:s3cret@{host}/db", 2, "did you mean 'postgresql'?"),
        ("postgresql+psycopg://u:s3cret@{host}/db", 2, "did you mean 'postgresql'?"),
        ("mysql://u:s3cret@{host}/db", 2, "this version knows sqlite://, postgresql://"),
        ("postgresql://u:s3cret@[::1/db", 2, "is no URL"),
        ("host=x user=u password=s3cret", 2, "this version knows"),
        ("redis://u:s3cret@nohost.invalid/0", 3, "redis://u:***@nohost.invalid/0: no connection to Redis"),
        ("redis://u:s3cret@127.0.0.1:1/0", 3, "redis://u:***@127.0.0.1:1/0: no connection to Redis"),
        ("redis://u:s3/cret@h/0", 2, "write @ as %40, / as %2F"),
        ("redis://u:s3#cret@h/0", 2, "write @ as %40, / as %2F"),
        ("redis://u:s3?cret@h/0", 2, "write @ as %40, / as %2F"),
        ("redis://u:s3cret@h:port/0", 2, "has no port that makes sense"),
        ("redis://u:s3cret@[::1/0", 2, "is no URL"),
        ("redis://u:s3cret@h/0?namspace=x", 2, "did you mean 'namespace'?"),
        ("redis://h/0?password=s3cret", 2, "there is no option 'password'"),
        ("redis://u:s3cret@h/0?doorbell=maybe", 2, "doorbell is on or off, not 'maybe'"),
        ("redis://u:s3cret@h/0?namespace={{x}}", 2, "namespace '{x}' is not allowed"),
        ("redis://u:s3cret@h/jobs", 2, "the database is a number, not 'jobs'"),
        ("redis:u:s3cret@h", 2, "'redis:u:***@h' is no URL of Redis"),
        ("redis:/h/0", 2, "'redis:/h/0' is no URL of Redis"),
        ("redisss://u:s3cret@h", 2, "did you mean 'rediss'?"),
        ("unix://h/path", 2, "three slashes: unix:///run/redis/redis.sock"),
    ],
)  # fmt: skip
def test_a_wrong_url_is_explained_in_a_line_without_its_password(
    tmp_path: Path, host: str, url: str, code: int, said: str
) -> None:
    (tmp_path / "app.py").write_text(APP)
    for command in ("status", "enqueue add 1 2"):
        done = run_here(tmp_path, *command.split(), "--url", url.format(host=host))
        assert done.code == code, done.err
        assert said in done.err
        assert "Traceback" not in done.err
        assert done.out == ""
        assert not any(part in done.err for part in ("s3", "cret@", "cret "))
        assert len([line for line in done.err.splitlines() if line.startswith("error")]) == 1


@pytest.mark.parametrize("command", [
    "status", "list", "show abc", "watch abc", "cancel abc", "retry abc", "dead", "dead redrive --yes", "queues",
    "queues pause x", "queues purge x", "workers", "run add 1 2", "enqueue add 1 2", "migrate", "migrate --sql",
    "doctor", "worker", "worker --processes 2", "bench -n 5",
])  # fmt: skip
@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:{}@127.0.0.1:1/db", " does not answer: connection to server"),
        ("redis://u:{}@127.0.0.1:1/0", ": no connection to Redis"),
    ],
)
def test_every_command_ends_with_3_when_the_server_is_down(tmp_path: Path, command: str, url: str, told: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    done = run_here(tmp_path, *command.split(), "--url", url.format("s3cret"))
    assert done.code == 3, done.err
    said = done.err + done.out
    assert url.format("***") + told in said
    assert "Traceback" not in said
    assert "s3cret" not in said


def test_a_wrong_password_is_said_to_be_one() -> None:
    refused = psycopg.OperationalError(
        'connection failed: connection to server at "h", port 5432 failed: FATAL:  password authentication failed for'
        ' user "u"'
    )
    told = translate(refused, "postgresql://u:***@h/db")
    assert told.code == "E201"
    assert told.message.startswith("postgresql://u:***@h/db does not let us in: connection to server")


def test_a_wrong_url_in_the_environment_is_not_blamed_on_the_app(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    for command in ("status", "worker", "enqueue add 1 2", "migrate"):
        done = run(tmp_path, *command.split(), JOBSWORTH_URL="postgressql://u:s3cret@h/db")
        assert done.code == 2
        assert "error[E103]: no engine for 'postgressql://u:***@h/db'" in done.err
        assert "did you mean 'postgresql'?" in done.err


def test_a_user_who_may_not_make_tables_is_pointed_to_the_sql(postgres: Postgres | Given, tmp_path: Path) -> None:
    url = urlsplit(postgres.new_database())
    with psycopg.connect(url.geturl(), autocommit=True) as line:
        line.execute("DROP ROLE IF EXISTS jobsworth_poor")
        line.execute("CREATE ROLE jobsworth_poor LOGIN PASSWORD 'poor'")
    try:
        poor = url._replace(netloc=f"jobsworth_poor:poor@{url.hostname}:{url.port}").geturl()
        done = run_here(tmp_path, "migrate", "--url", poor)
        assert done.code == 3
        assert "this user may not do that" in done.err
        assert "hint: see `jobsworth migrate --sql`" in done.err
        assert run_here(tmp_path, "migrate", "--sql", "--url", poor).out.startswith("BEGIN;")
    finally:
        with psycopg.connect(url.geturl(), autocommit=True) as line:
            line.execute("DROP ROLE jobsworth_poor")


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path) -> None:
    with mock.patch.dict(sys.modules, {"jobsworth.engines.postgres": None}):
        done = run_here(tmp_path, "status", "--url", "postgresql://u:s3cret@h/db")
    assert done.code == 2
    assert "needs a package that is not installed" in done.err
    assert "hint: pip install 'jobsworth[postgres]'" in done.err
    assert "s3cret" not in done.err


def test_several_hosts_and_a_socket_are_fine_urls() -> None:
    for url in ("postgresql://h1:1,h2:2/db", "postgresql:///db?host=/run/postgresql", "postgresql://", "postgres://h"):
        assert from_url(url).kind == "postgresql"
    assert redacted("sqlite:///a:b@c.db") == "sqlite:///a:b@c.db"
    with pytest.raises(BadUrl):
        from_url("postgresql://h:port/db")
