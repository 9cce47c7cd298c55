"""The ways to a server other than plain TCP: TLS, and a socket in the file system. All goes through, nothing hangs."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from commandline import APP, run_here, running
from jobsworth.conformance.door import finish, new_job
from jobsworth.engines import from_url
from jobsworth.engines.redis import RedisEngine, link
from jobsworth.errors import EngineUnavailable
from private_server import Given, free_port
from servers import Postgres, Redis, required
from waiting import until

_numbers = itertools.count()
TRUST = "SSL_CERT_FILE"  # OpenSSL's own name for the certificates a program trusts


def _missing(what: str) -> NoReturn:
    if required():
        pytest.fail(what, pytrace=False)
    pytest.skip(f"NOT TESTED: {what}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the name localhost that nobody trusts unless told to, and its key."""
    return _certified(tmp_path_factory.mktemp("certificate"))


def _certified(folder: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        _missing("openssl is not on this machine")
    cert, key = folder / "cert.pem", folder / "key.pem"
    extensions = ("subjectAltName=DNS:localhost", "keyUsage=critical,digitalSignature,keyCertSign")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         *(word for each in extensions for word in ("-addext", each)), "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def secure_redis(redis: Redis | Given, certificate: tuple[Path, Path]) -> Iterator[int]:
    """The port where Redis speaks TLS meanwhile."""
    assert redis.pid
    assert isinstance(redis, Redis)
    with redis._client() as client:
        if "tls-port" not in client.config_get("tls-port"):
            _missing("this Redis was built without TLS")
    cert, key = certificate
    port = free_port()
    with redis.config(tls_cert_file=cert, tls_key_file=key, tls_auth_clients="no", tls_port=port):
        yield port


@pytest.fixture
def secure_postgres(postgres: Postgres | Given, certificate: tuple[Path, Path]) -> Iterator[str]:
    """The host and port where PostgreSQL speaks TLS too meanwhile."""
    assert postgres.pid
    assert isinstance(postgres, Postgres)
    for name, source in zip(("cert.pem", "key.pem"), certificate, strict=True):
        shutil.copy(source, postgres.folder / name)
        (postgres.folder / name).chmod(0o600)
        os.chown(postgres.folder / name, postgres.folder.stat().st_uid, -1)
    settings = {"ssl_cert_file": "cert.pem", "ssl_key_file": "key.pem", "ssl": "on"}
    with psycopg.connect(f"{postgres.url}?sslmode=disable", autocommit=True) as line:
        for name, value in settings.items():
            path = postgres.folder / value
            line.execute(f"ALTER SYSTEM SET {name} = '{path if path.exists() else value}'")
        _reload(line, "on")
        yield f"localhost:{postgres.port}"
        for name in settings:
            line.execute(f"ALTER SYSTEM RESET {name}")
        _reload(line, "off")


def _reload(line: psycopg.Connection[tuple[object, ...]], ssl: str) -> None:
    line.execute("SELECT pg_reload_conf()")
    until(lambda: line.execute("SHOW ssl").fetchone() == (ssl,))


@pytest.fixture(params=["rediss", "valkeys", "unix", "postgresql, TLS", "postgresql, unix"])
def url(request: pytest.FixtureRequest, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """Where nobody has been yet, by one of the other ways."""
    way = request.param
    monkeypatch.setenv(TRUST, str(certificate[0]))
    if "postgresql" in way:
        server = request.getfixturevalue("postgres")
        assert server.folder
        url = urlsplit(server.new_database())
        if "unix" in way:
            query = f"host={quote(str(server.folder), safe='')}&port={server.port}"
            return url._replace(netloc=f"{url.username}@", query=query).geturl()
        place = request.getfixturevalue("secure_postgres")
        query = f"sslmode=verify-full&sslrootcert={certificate[0]}"
        return url._replace(netloc=f"{url.username}@{place}", query=query).geturl()
    namespace = f"wire-{next(_numbers)}"
    if way == "unix":
        return f"{request.getfixturevalue('redis').unix_url}&namespace={namespace}"
    return f"{way}://localhost:{request.getfixturevalue('secure_redis')}/0?namespace={namespace}"


def test_commands_and_workers_meet_there(url: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running(tmp_path, "worker", JOBSWORTH_URL=url) as worker:
        until(lambda: "started" in worker.err, 30, "the worker's first line")
        assert url in worker.err
        done = run_here(tmp_path, "run", "add", "1", "2", "--url", url)
        assert (done.code, done.out) == (0, "3\n"), done.err
    doctor = run_here(tmp_path, "doctor", "--url", url)
    assert f"✓ storage     {url} answers in" in doctor.out


def test_the_bell_is_heard_there(url: str) -> None:
    here, there = from_url(url), from_url(url)
    finish(here.open())
    rung = threading.Event()
    stop = here.listen(rung.set)
    assert rung.wait(10)  # it listens now
    for _ in range(3):
        rung.clear()
        finish(there.enqueue([[new_job()]]))
        assert rung.wait(10)
    stop()
    for engine in (here, there):
        finish(engine.close())


def test_a_connection_is_used_again_and_one_that_was_cut_costs_nobody_a_call(
    secure_redis: int, redis: Redis, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, str(certificate[0]))
    engine = RedisEngine(f"rediss://localhost:{secure_redis}/0?doorbell=off", namespace=f"wire-{next(_numbers)}")
    with redis._client() as client:

        def connected() -> int:
            return int(client.info("stats")["total_connections_received"])

        finish(engine.open())
        before = connected()
        for _ in range(5):
            finish(engine.enqueue([[new_job()]]))
        assert connected() == before
        client.client_kill_filter(_type="normal", skipme=True)
        finish(engine.enqueue([[new_job()]]))
        assert connected() == before + 1
    finish(engine.close())


def test_a_connection_to_postgresql_is_used_again(
    secure_postgres: str, postgres: Postgres, certificate: tuple[Path, Path]
) -> None:
    database = urlsplit(postgres.new_database()).path
    engine = from_url(f"postgresql://jobsworth@{secure_postgres}{database}?sslmode=require&doorbell=off")
    finish(engine.open())

    def encrypted() -> list[int]:
        with psycopg.connect(f"{postgres.url}?sslmode=disable") as line:
            found = line.execute("SELECT pid FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl ORDER BY pid")
            return [pid for (pid,) in found]

    before = encrypted()
    assert before
    for _ in range(5):
        finish(engine.enqueue([[new_job()]]))
    assert encrypted() == before
    finish(engine.close())


# what can be wrong


def _told(url: str, folder: Path) -> str:
    """What is said of it, by commands that end in bounded time."""
    (folder / "app.py").write_text(APP)
    for command in ("worker", "enqueue add 1 2"):
        started = time.monotonic()
        done = run_here(folder, *command.split(), "--url", url)
        assert time.monotonic() - started < 20
        said = done.err + done.out
        assert done.code == 3, said
        assert "Traceback" not in said
    assert "error[E201]" in done.err
    return done.err


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
def test_a_certificate_nobody_vouches_for_is_refused(secure_redis: int, scheme: str, tmp_path: Path) -> None:
    said = _told(f"{scheme}://localhost:{secure_redis}/0", tmp_path)
    assert "this machine does not trust its certificate" in said
    assert TRUST in said


def test_a_certificate_for_another_name_is_refused(
    secure_redis: int, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, str(certificate[0]))
    said = _told(f"rediss://127.0.0.1:{secure_redis}/0", tmp_path)
    assert "this machine does not trust its certificate" in said
    assert "127.0.0.1" in said


def test_tls_spoken_to_a_redis_that_does_not_speak_it_is_told(
    redis: Redis | Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_TIMEOUT", 0.5)  # it waits for the rest of what it takes for a command
    assert "does it speak TLS at this port?" in _told(f"rediss://localhost:{redis.port}/0", tmp_path)


def test_tls_spoken_to_one_who_answers_something_else_is_told() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def answer() -> None:
            with contextlib.suppress(ConnectionError), listening.accept()[0] as wire:
                wire.recv(4096)
                wire.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                wire.recv(4096)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(EngineUnavailable, match="does not speak TLS as we do") as told:
            finish(RedisEngine(f"rediss://127.0.0.1:{listening.getsockname()[1]}").open())
        assert "redis://" in (told.value.hint or "")


def test_no_tls_spoken_to_one_who_does_is_told(secure_redis: int, tmp_path: Path) -> None:
    assert "rediss://" in _told(f"redis://localhost:{secure_redis}/0", tmp_path)


def test_one_who_never_says_a_word_of_tls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(link, "CONNECT_TIMEOUT", 0.3)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        started = time.monotonic()
        with pytest.raises(EngineUnavailable):
            finish(RedisEngine(f"rediss://127.0.0.1:{deaf.getsockname()[1]}").open())
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_postgresql_refuses_a_certificate_that_is_not_vouched_for_or_has_another_name(
    host: str, secure_postgres: str, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    trusted = certificate[0] if host == "127.0.0.1" else _certified(tmp_path)[0]  # the latter: somebody else
    port = secure_postgres.rpartition(":")[2]
    said = _told(f"postgresql://jobsworth@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={trusted}", tmp_path)
    assert ("certificate verify failed" if host == "localhost" else "does not match host name") in said
    assert "no secure connection" in said
    assert "sslrootcert" in said


def test_postgresql_without_tls_is_told_where_it_is_wanted(postgres: Postgres | Given, tmp_path: Path) -> None:
    said = _told(f"{postgres.url}?sslmode=require", tmp_path)
    assert "no secure connection" in said
    assert "sslmode" in said
