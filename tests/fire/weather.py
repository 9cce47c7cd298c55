"""Between a worker and its server: a network with outages, a server that stops, callers that go on calling."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fire_app import App
from proxy import Proxy

from jobsworth.errors import EngineUnavailable
from undertaker import children


def new_place(server: Any) -> str:
    """The URL of an empty place on this server."""
    if hasattr(server, "new_database"):
        return str(server.new_database())
    server.flush()
    return str(server.url)


def without_doorbell(url: str) -> str:
    """The same place; whoever uses it sends nothing but its verbs."""
    return f"{url}{'&' if urlsplit(url).query else '?'}doorbell=off"


class Network(Proxy):
    """The proxy to one server, which can also be told that there is no such server for a while."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.port is not None
        super().__init__(parts.port, parts.hostname or "127.0.0.1")
        self._there = self._target
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._nobody: tuple[str, int] = listener.getsockname()

    def refuse(self) -> None:
        """Reset everybody, and everybody who comes."""
        self._target = self._nobody
        self.reset()

    def heal(self) -> None:
        """Everything passes again; what was held up, too."""
        self._target = self._there
        self.pass_through()


Outages = dict[str, tuple[Callable[[Network], object], Callable[[Network], object]]]
OUTAGES: Outages = {
    "a reset": (Proxy.reset, lambda network: None),
    "refused": (Network.refuse, Network.heal),
    "held up": (Network.black_hole, Network.heal),
    "stranded": (Network.black_hole, lambda network: (network.strand(), network.heal())[0]),
    "swallowed": (Network.black_hole, lambda network: (network.heal(), network.reset())[0]),
}  # by name: how it begins and how it ends


@contextlib.contextmanager
def stopped(server: Any) -> Iterator[None]:
    """SIGSTOP for all of its processes: it still has its port and its connections, and answers nobody."""
    family = [server.pid, *children(server.pid)]
    try:
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in reversed(family):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def server_outages(server: Any) -> Outages:
    """What may happen to the server itself; what it has acknowledged is on the disk."""
    asleep = contextlib.ExitStack()
    return {
        "killed": (lambda network: server.kill(), lambda network: server.start()),
        "stopped": (lambda network: asleep.enter_context(stopped(server)), lambda network: asleep.close()),
    }


class Load:
    """Threads that enqueue one job after the other, and go on when the engine does not answer."""

    def __init__(self, url: str, folder: Path, threads: int = 2) -> None:
        self.acked: set[str] = set()
        self.refusals = 0
        self.slowest = 0.0  # seconds until a call was refused
        self._app = App(url, folder)
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(threads)
        self._running = [self._pool.submit(self._enqueue, number) for number in range(threads)]

    def _enqueue(self, number: int) -> None:
        n = number * 10_000_000
        while not self._stopping.is_set():
            called = time.monotonic()
            try:
                self.acked.add(self._app.quick.enqueue(n, 0.005).id)
            except EngineUnavailable:
                self.refusals += 1
                self.slowest = max(self.slowest, time.monotonic() - called)
                self._stopping.wait(0.05)
            n += 1
            self._stopping.wait(0.002)

    def stop(self) -> set[str]:
        """The ids that were acknowledged. Raises what an enqueuer raised that it should not have."""
        self._stopping.set()
        for enqueuer in self._running:
            enqueuer.result(30)
        self._pool.shutdown()
        self._app.jobs.close()
        return self.acked


def call(what: Callable[[], object]) -> Future[tuple[object, float]]:
    """Call it in a thread: what it raised or answered, and after how many seconds."""
    answer: Future[tuple[object, float]] = Future()

    def run() -> None:
        started = time.monotonic()
        found: object
        try:
            found = what()
        except Exception as exc:
            found = exc
        answer.set_result((found, time.monotonic() - started))

    threading.Thread(target=run, daemon=True).start()
    return answer


def in_a_loop(app: App) -> object:
    """Enqueue from a coroutine; its loop must go on turning meanwhile, half as often at least as a thread beside it."""
    beats = Counter[str]()
    over = threading.Event()

    def beat_beside() -> None:
        while not over.wait(0.05):
            beats["thread"] += 1

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.05)
            beats["loop"] += 1

    async def main() -> object:
        beating = asyncio.ensure_future(beat())
        beside = threading.Thread(target=beat_beside)
        beside.start()
        try:
            return await app.quick.aenqueue(1)
        finally:
            beating.cancel()
            over.set()
            beside.join()
            assert beats["loop"] * 2 + 1 >= beats["thread"], f"the loop was blocked: {beats}"

    return asyncio.run(main())
