"""The private server of one sample: PostgreSQL or Redis, on a free port of this machine, its data in the sample's own
folder on a real disk. It ends with the process that started it, however that ends (Linux).

Every system in a part has the same one with the same settings; they are written in `about`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from bench import process


class Missing(Exception):
    """A server's program is not on this machine."""


PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/sbin")  # beside PATH; of several the last


def find(name: str) -> Path:
    """The program of that name. Raises Missing."""
    found = shutil.which(name)
    if found:
        return Path(found)
    for place in PLACES:
        for folder in sorted(Path("/").glob(place.lstrip("/")), reverse=True):
            if os.access(folder / name, os.X_OK):
                return folder / name
    raise Missing(f"{name} is not on this machine")


def synced() -> None:
    """What was written so far must not fall into the measurement. A quick run shows no figures and does not wait."""
    if "BENCH_QUICK" not in os.environ:
        os.sync()


def copied(template: Path, data: Path) -> None:
    subprocess.run(["cp", "-a", template, data], check=True)  # owners too
    synced()


class Server:
    """One private server, with its data in `home`/server."""

    program: ClassVar[str]
    politely: ClassVar[signal.Signals] = signal.SIGTERM
    about: ClassVar[str]

    def __init__(self, home: Path) -> None:
        self._program = find(self.program)
        self._folder = home / "server"
        self._folder.mkdir()
        self._log = home / f"{self.program}.log"
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as trial:
            self.port: int = trial.getsockname()[1]

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start it and return when it takes work."""
        with self._log.open("ab") as log:
            self._process = started = subprocess.Popen(
                self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self._folder,
                start_new_session=True, preexec_fn=process.ends_with_me(self.politely), **self._user(),
            )  # fmt: skip
        until = time.monotonic() + 300  # a Redis with much to read takes its time
        while not self._answers():
            if started.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.program} does not start: {self._log.read_text(errors='replace')[-300:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it in good order; killed with all its processes if it does not within half a minute."""
        if self._process is None:
            return
        self._process.send_signal(self.politely)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # the session it leads
            self._process.wait()
        self._process = None

    def keep(self, template: Path) -> None:
        """Move its data there. It is stopped afterwards."""
        self.settle()
        self.stop()
        shutil.move(self.data, template)

    def restore(self, template: Path) -> None:
        """Start it anew on a copy of that data."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        copied(template, self.data)
        self.start()

    def settle(self) -> None:
        """After filling: leave no tidying up to the measurement."""

    def questions(self) -> contextlib.AbstractContextManager[Callable[[], int]]:
        """Count what clients ask meanwhile."""
        raise NotImplementedError

    def cpu_seconds(self) -> float:
        return process.cpu_seconds(self._process.pid) if self._process else 0.0

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _user(self) -> dict[str, Any]:
        return {}


class Postgres(Server):
    """Durable: an answered commit is on the disk."""

    program = "postgres"
    politely = signal.SIGINT  # "fast": does not wait for its clients
    about = (
        "PostgreSQL: fsync and synchronous_commit on, shared_buffers 512 MB, max_wal_size 4 GB, else its defaults; "
        "VACUUM ANALYZE and CHECKPOINT after filling"
    )
    _settings = {
        "listen_addresses": "127.0.0.1", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
        "shared_buffers": "512MB", "max_wal_size": "4GB", "max_connections": "200", "lc_messages": "C",
    }  # fmt: skip

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        if os.geteuid() == 0:  # whom it refuses
            home.chmod(0o711)
            os.chown(self._folder, self._user()["user"], -1)
        empty = Path(os.environ.get("BENCH_TEMPLATES", home)) / "postgres"
        if empty.exists():
            copied(empty, self.data)
            return
        words = "--auth=trust --username=bench --encoding=UTF8 --locale=C --no-sync --pgdata=data"
        command = [str(find("initdb")), *words.split()]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False, **self._user()
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"initdb: {(done.stderr or done.stdout)[-300:]}")
        empty.parent.mkdir(parents=True, exist_ok=True)
        copied(self.data, empty)

    @property
    def url(self) -> str:
        return f"postgresql://bench@127.0.0.1:{self.port}/postgres"

    def settle(self) -> None:
        for statement in ("vacuum analyze", "checkpoint"):
            execute(statement)

    @contextlib.contextmanager
    def questions(self) -> Iterator[Callable[[], int]]:
        """Statements, each begin and commit too: the server writes them down meanwhile."""
        self._say("all")
        before = self._statements()
        try:
            yield lambda: self._statements() - before
        finally:
            self._say("none")

    def _say(self, which: str) -> None:
        execute(f"alter system set log_statement = '{which}'")
        execute("select pg_reload_conf()")
        time.sleep(0.2)  # until its processes have heard of it

    def _statements(self) -> int:
        said = self._log.read_text(errors="replace")
        return said.count("LOG:  statement: ") + said.count("LOG:  execute ")

    def _command(self) -> list[str]:
        settings = {**self._settings, "port": self.port, "unix_socket_directories": self._folder}
        return [str(self._program), "-D", "data", *(f"--{name}={value}" for name, value in settings.items())]

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def _user(self) -> dict[str, Any]:
        if os.geteuid():
            return {}
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                user = pwd.getpwnam(name)
                return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        raise Missing('PostgreSQL refuses root, and there is no user "postgres" or "nobody"')


class Redis(Server):
    """What it acknowledged in its last second may be lost in a power cut: the same for everybody."""

    program = "redis-server"
    about = (
        "Redis: appendonly yes, appendfsync everysec, no snapshots, else its defaults; its file rewritten after filling"
    )

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.data.mkdir()

    def settle(self) -> None:
        """Its file is written anew, so that it does not begin to in the middle of a measurement."""
        ask(self.url, "BGREWRITEAOF")
        while "aof_rewrite_in_progress:0" not in (told := ask(self.url, "INFO", "persistence")) or (
            "aof_rewrite_scheduled:0" not in told
        ):
            time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @contextlib.contextmanager
    def questions(self) -> Iterator[Callable[[], int]]:
        """Commands, a whole script being one."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.port))) as wire:
            wire.sendall(b"MONITOR\r\n")
            lines = wire.makefile("rb")
            assert lines.readline() == b"+OK\r\n"
            asked: list[bytes] = []

            def listen() -> None:
                with contextlib.suppress(OSError, ValueError):  # the connection was closed: it is over
                    asked.extend(line for line in lines if b" lua] " not in line)

            threading.Thread(target=listen, daemon=True).start()
            yield lambda: len(asked)
            wire.shutdown(socket.SHUT_RDWR)

    def _command(self) -> list[str]:
        words = f"--bind 127.0.0.1 --port {self.port} --dir data --appendonly yes --appendfsync everysec".split()
        return [str(self._program), *words, "--save", ""]

    def _answers(self) -> bool:
        try:
            return bool(ask(self.url, "PING") == "PONG")
        except OSError:
            return False


STORES: dict[str, type[Server] | None] = {"sqlite": None, "postgres": Postgres, "redis": Redis}
_current: list[Server] = []


@contextlib.contextmanager
def running(store: str, home: Path) -> Iterator[None]:
    """The store's server, if it has one; this process and its children find it in BENCH_STORE and BENCH_URL."""
    os.environ["BENCH_STORE"] = store
    kind = STORES[store]
    if kind is None:
        yield
        return
    server = kind(home)
    os.environ["BENCH_URL"] = server.url
    _current.append(server)
    try:
        server.start()
        yield
    finally:
        _current.remove(server)
        server.stop()


def current() -> Server:
    """The server of this sample."""
    return _current[0]


def cpu_seconds() -> float:
    """What the server of this sample has used so far; nothing where there is none."""
    return sum(server.cpu_seconds() for server in _current)


def settle() -> None:
    """Let the server of this sample, if there is one, tidy up after filling."""
    for server in _current:
        server.settle()


def url() -> str:
    """Where this sample's server is."""
    return os.environ["BENCH_URL"]


def store() -> str:
    """What this sample keeps its jobs in: a name of STORES."""
    return os.environ.get("BENCH_STORE", "sqlite")


def execute(statement: str) -> int:
    """One statement by a connection of its own; the number it answers with, else 0."""
    import psycopg

    with contextlib.closing(psycopg.connect(url(), autocommit=True)) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return int(row[0]) if row else 0


def command(*words: str | int) -> Any:
    """One command to this sample's Redis by a connection of its own."""
    return ask(url(), *words)


def ask(address: str, *words: str | int) -> Any:
    """The same to any. Needs no driver, of which the systems under test want different versions."""
    host, port = address.split("//")[1].split("/")[0].split(":")
    pieces = [str(word).encode() for word in words]
    with socket.create_connection((host, int(port)), 10) as wire, wire.makefile("rb") as lines:
        sent = [b"*%d\r\n" % len(pieces), *(b"$%d\r\n%b\r\n" % (len(piece), piece) for piece in pieces)]
        wire.sendall(b"".join(sent))
        head = lines.readline().rstrip()
        kind, rest = head[:1], head[1:]
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return lines.read(int(rest)).decode() if int(rest) >= 0 else None
        if kind == b"-" and not rest.startswith(b"LOADING"):
            raise RuntimeError(rest.decode())
        return rest.decode()
