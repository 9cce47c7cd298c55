"""The Redis engine keeps the contract, and lives every life as the memory engine does."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from jobsworth.clock import Clock, ManualClock
from jobsworth.conformance import EngineContract, twin_of
from jobsworth.conformance.door import Run
from jobsworth.engine import Engine
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.redis import RedisEngine

pytest.importorskip("redis")
_numbers = itertools.count()


class Server:
    """A private redis-server on a socket of its own, started on first use, ended by its pid."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="jobsworth-redis-")
        self.socket = Path(self._folder.name) / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start it, or start it again; returns when it answers."""
        if self._process is not None:
            return
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("redis-server is not installed: no test of the Redis engine is run")
        command = [program, "--port", "0", "--unixsocket", str(self.socket), "--dir", self._folder.name, "--save", ""]
        self._process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        self.wait()

    def wait(self) -> None:
        """Until it answers."""
        import redis

        deadline = time.monotonic() + 20
        while True:
            try:
                with redis.Redis(unix_socket_path=str(self.socket)) as client:
                    client.ping()
                return
            except redis.RedisError:
                assert time.monotonic() < deadline, "redis-server does not answer"
                time.sleep(0.01)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End it and forget everything."""
        if self._process is not None:
            self.kill()
        self._folder.cleanup()


_SERVER = Server()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server that all these tests share; each has a namespace of its own."""
    _SERVER.start()
    yield _SERVER
    _SERVER.stop()


class TestRedisEngine(EngineContract):
    @pytest.fixture
    def engine(self, clock: ManualClock, run: Run, server: Server) -> Iterator[Engine]:
        engine = RedisEngine(server.url, namespace=f"contract-{next(_numbers)}", clock=clock)
        run(engine.open())
        yield engine
        run(engine.close())


def _twin(clock: Clock) -> Engine:
    _SERVER.start()
    engine = RedisEngine(_SERVER.url, namespace=f"twin-{next(_numbers)}", clock=clock)
    engine._link.command("FLUSHALL")  # the history before this one is over
    return engine


TestRedisBesideMemory = twin_of(MemoryEngine, _twin)
TestRedisBesideMemory.settings = settings(  # type: ignore[attr-defined]
    max_examples=int(os.environ.get("HISTORIES", "40")),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRedisBesideMemory.pytestmark = [  # type: ignore[attr-defined]
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("server"),
]
