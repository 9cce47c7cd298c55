"""The real servers of one test run: PostgreSQL, Redis and PgBouncer, each started when it is first asked for.

They are private to the run and may be killed. JOBSWORTH_TEST_POSTGRES_URL and JOBSWORTH_TEST_REDIS_URL name servers to
use instead; those are never killed, stopped or configured: a test that wants to is skipped, and says so.

JOBSWORTH_SERVERS=required (or CI) makes a missing server a failure; otherwise its tests are skipped, loudly.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from private_server import Given, Missing, Server
from undertaker import Undertaker

S = TypeVar("S")
LOUD = "NOT TESTED: "


def required() -> bool:
    """True where a missing server is a failure."""
    return os.environ.get("CI", "") not in ("", "0", "false") or os.environ.get("JOBSWORTH_SERVERS") == "required"


def hire(ask: Callable[..., S], **wishes: Any) -> S:
    """What `ask` returns. If it is not on this machine the test fails, or is skipped with a line nobody overlooks."""
    try:
        return ask(**wishes)
    except Missing as missing:
        if required():
            pytest.fail(f"{missing}, and must be here", pytrace=False)
        pytest.skip(f"{LOUD}{missing}")


class Databases:
    """What is done with a running PostgreSQL."""

    url: str

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"jobsworth_test_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name}")
        self._created = [*getattr(self, "_created", []), name]
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def _execute(self, statement: str) -> None:
        import psycopg

        with contextlib.closing(psycopg.connect(self.url, autocommit=True)) as connection:
            connection.execute(statement)


class Postgres(Databases, Server):
    """Trusts everybody who reaches it, and only this machine does. Durable: an answered commit is on the disk."""

    name = "PostgreSQL"
    programs = ("postgres",)
    package = formula = "postgresql"
    politely = signal.SIGINT  # "fast": does not wait for its clients to leave
    refuses_root = True

    @property
    def url(self) -> str:  # type: ignore[override]
        return f"postgresql://jobsworth@127.0.0.1:{self.port}/postgres"

    def close(self) -> None:
        if not self.running:
            self._remove_shared_memory()
        super().close()

    def _prepare(self) -> None:
        words = "--auth=trust --username=jobsworth --encoding=UTF8 --locale=C --no-sync --pgdata=data"
        command = [str(self.program.with_name("initdb")), *words.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._surroundings())
        assert done.returncode == 0, done.stdout + done.stderr

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder,
            "max_connections": 100, "fsync": self.durable, "synchronous_commit": self.durable,
            "full_page_writes": self.durable, "dynamic_shared_memory_type": "mmap",  # files in its own folder
            "log_min_messages": "warning", "lc_messages": "C",
        }  # fmt: skip
        return [str(self.program), "-D", "data", *(f"--{name}={value}" for name, value in settings.items())]

    def _answers(self) -> bool:
        lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _remove_shared_memory(self) -> None:
        """The one thing outside its folder that a killed PostgreSQL leaves, where it is not started again."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
            subprocess.run(["ipcrm", "-m", lines[6].split()[1]], capture_output=True, check=False)


class GivenPostgres(Databases, Given):
    variable = "JOBSWORTH_TEST_POSTGRES_URL"

    def close(self) -> None:
        for name in getattr(self, "_created", []):
            self._execute(f"DROP DATABASE IF EXISTS {name}")


class Keys:
    """What is done with a running Redis, or Valkey."""

    url: str

    def new_namespace(self) -> str:
        """The URL of a new, empty namespace."""
        name = f"jobsworth-test-{uuid.uuid4().hex}"
        self._named = [*getattr(self, "_named", []), name]
        return f"{self.url}{'&' if '?' in self.url else '?'}namespace={name}"

    def flush(self) -> None:
        """Empty the database that the URL names."""
        with self._client() as client:
            client.flushdb()

    def config(self, **settings: object) -> contextlib.ExitStack:
        """Change settings now (`maxmemory_policy=` for maxmemory-policy); after a `with` they change back."""
        undo = contextlib.ExitStack()
        with self._client() as client:
            for word, value in settings.items():
                name = word.replace("_", "-")
                before = client.config_get(name)[name]
                client.config_set(name, str(value))
                undo.callback(self._set, name, before)
        return undo

    def _set(self, name: str, value: str) -> None:
        with self._client() as client:
            client.config_set(name, value)

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        import redis

        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            yield client
            client.connection_pool.disconnect()


class Redis(Keys, Server):
    """Durable: an answered write is on the disk. Otherwise what it knew dies with it."""

    name = "Redis"
    programs = ("redis-server", "valkey-server")
    package, formula = "redis-server", "redis"

    @property
    def url(self) -> str:  # type: ignore[override]
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.folder}/socket?db=0"

    def _command(self) -> list[str]:
        kept = ["yes", "--appendfsync", "always"] if self.durable else ["no"]
        words = f"--bind 127.0.0.1 --port {self.port} --daemonize no --dir".split()
        return [str(self.program), *words, str(self.folder), "--unixsocket", str(self.folder / "socket"),
                "--save", "", "--appendonly", *kept]  # fmt: skip

    def _answers(self) -> bool:
        """It is this one that answers, and it has read its data."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.port), 1)) as wire:
            wire.settimeout(1)
            wire.sendall(b"INFO server\r\nPING\r\n")
            said = b""
            while not said.endswith((b"PONG\r\n", b"in memory\r\n")):
                piece = wire.recv(65536)
                if not piece:
                    return False
                said += piece
        return b"+PONG" in said and f"process_id:{self.pid}\r\n".encode() in said


class GivenRedis(Keys, Given):
    variable = "JOBSWORTH_TEST_REDIS_URL"

    def close(self) -> None:
        with self._client() as client:
            for name in getattr(self, "_named", []):
                for key in client.scan_iter(f"{{{name}}}:*", 1000):
                    client.delete(key)

    def config(self, **settings: object) -> contextlib.ExitStack:
        self._leave_alone("configured")


class PgBouncer(Server):
    """A pooler in front of a PostgreSQL, in transaction mode: the next transaction may run on another connection."""

    name = "PgBouncer"
    programs = ("pgbouncer",)
    package = formula = "pgbouncer"
    refuses_root = True

    def __init__(self, undertaker: Undertaker, behind: Databases) -> None:
        super().__init__(undertaker)
        self.behind = behind

    @property
    def url(self) -> str:
        return self.through(self.behind.url)

    def through(self, url: str) -> str:
        """The same database, by way of the pooler."""
        return f"postgresql://jobsworth@127.0.0.1:{self.port}{urlsplit(url).path}"

    def new_database(self) -> str:
        """The URL, by way of the pooler, of a new, empty database."""
        return self.through(self.behind.new_database())

    def _command(self) -> list[str]:
        from psycopg.conninfo import conninfo_to_dict

        given = conninfo_to_dict(self.behind.url)
        known = {word: given[word] for word in ("host", "port", "user", "password") if given.get(word)}
        target = " ".join(f"{word}='{str(value).replace(chr(39), chr(39) * 2)}'" for word, value in known.items())
        lines = ["[databases]", f"* = {target}", "[pgbouncer]", "listen_addr = 127.0.0.1",
                 f"listen_port = {self.port}", f"unix_socket_dir = {self.folder}", "auth_type = any",
                 "pool_mode = transaction", "default_pool_size = 5", "server_idle_timeout = 10"]  # fmt: skip
        if self._version() >= (1, 21):  # which can keep prepared names; be the pooler that cannot
            lines.append("max_prepared_statements = 0")
        (self.folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        (self.folder / "pgbouncer.ini").chmod(0o644)
        return [str(self.program), "pgbouncer.ini"]

    def _version(self) -> tuple[int, ...]:
        said = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout
        return tuple(map(int, re.findall(r"\d+", said)[:2]))

    def _answers(self) -> bool:
        socket.create_connection(("127.0.0.1", self.port), 1).close()
        return True


class Servers:
    """The servers of one test run: each is started when it is first asked for, and stays until the end."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}
        self._undertaker: Undertaker | None = None

    def postgres(self, *, durable: bool = False) -> Postgres | GivenPostgres:
        url = os.environ.get(GivenPostgres.variable)
        if url:
            return self._the("postgres", lambda _: GivenPostgres(url))
        return self._the(f"postgres{durable}", lambda undertaker: Postgres(undertaker, durable=durable))

    def redis(self, *, durable: bool = False) -> Redis | GivenRedis:
        url = os.environ.get(GivenRedis.variable)
        if url:
            return self._the("redis", lambda _: GivenRedis(url))
        return self._the(f"redis{durable}", lambda undertaker: Redis(undertaker, durable=durable))

    def pgbouncer(self) -> PgBouncer:
        behind = self.postgres()
        return self._the("pgbouncer", lambda undertaker: PgBouncer(undertaker, behind))

    def revive(self) -> None:
        """Start again what a test left dead."""
        for server in self._known.values():
            server.start()

    def close(self) -> None:
        """End them, the last one first."""
        while self._known:
            self._known.popitem()[1].close()
        if self._undertaker is not None:
            self._undertaker.dismiss()
            self._undertaker = None

    def _the(self, name: str, make: Callable[[Undertaker], S]) -> S:
        if name not in self._known:
            self._undertaker = self._undertaker or Undertaker()
            server: Any = make(self._undertaker)
            server.start()
            self._known[name] = server
        return self._known[name]
