"""A network that misbehaves on demand: a TCP proxy in a thread of the test, between a client and a server.

It passes on every byte, in order, or none: as with a real network, what is held up arrives later, and what is cut off
never does. What it is told is so when the telling method returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

Direction = Literal["to_server", "to_client"]
PIECE = 65536


class Proxy:
    """Listens on a free port of 127.0.0.1 until `close()`, and passes on to `host`:`port`.

    A client whose connection the server does not take is reset.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.seen: dict[Direction, int] = {"to_server": 0, "to_client": 0}  # bytes that came in, to go this way
        self.forwarded: dict[Direction, int] = {"to_server": 0, "to_client": 0}  # bytes that went out
        self.accepted = 0  # connections, ever
        self.cuts = 0  # times that `cut_after` has cut
        self._target = (host, port)
        self._delay = 0.0
        self._silent: tuple[Direction, ...] = ()
        self._left: dict[Direction, int] = {}
        self._live: dict[asyncio.Task[None], bool] = {}  # each connection, and whether it ends with a reset
        self._stranded: set[asyncio.Task[None]] = set()
        self._servers: dict[asyncio.Task[None], socket.socket] = {}  # each connection's far end
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._listening = self._loop.create_task(self._listen())
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._listening], name="proxy")
        self._thread.start()

    def through(self, url: str) -> str:
        """The URL of the server, by way of this proxy."""
        parts = urlsplit(url)
        who, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{who}{at}127.0.0.1:{self.port}").geturl()

    @property
    def live(self) -> int:
        """Connections there are now."""
        return len(self._live)

    def pass_through(self) -> None:
        """Pass on everything at once, also what was held up so far."""
        self._do(self._become)

    def delay(self, seconds: float) -> None:
        """Pass on each piece this much later than it came, in both directions; new connections wait as long first."""
        self._do(lambda: self._become(delay=seconds))

    def cut_after(self, n_bytes: int, direction: Direction) -> None:
        """Pass on exactly this many more bytes in this direction, over all connections, and then close them all.

        With 0 they are closed when the next byte comes, which is not passed on. New connections pass through again.
        """
        self._do(lambda: self._become(left={direction: n_bytes}))

    def black_hole(self, *directions: Direction) -> None:
        """Hold up everything, the ends of connections too; or what goes in this direction.

        New connections are accepted, and hear nothing.
        """
        self._do(lambda: self._become(silent=directions or ("to_server", "to_client")))

    def strand(self) -> None:
        """Nothing comes through the live connections any more, ever, not even their end. New ones are as they were."""
        self._do(lambda: self._stranded.update(self._live))

    def bury(self) -> None:
        """The server gives up the stranded connections, as its keepalive would some day; their clients hear nothing."""
        self._do(self._bury)

    def reset(self) -> None:
        """Reset the live connections (RST, to both sides). What happens to new ones stays as it is."""
        self._do(lambda: self._end_all(reset=True))

    def close(self) -> None:
        """End the live connections and the proxy."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._listening.cancel)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # Everything below runs in the proxy's own thread.

    def _do(self, what: Callable[[], object]) -> None:
        async def there() -> None:
            what()
            ending = [task for task in self._live if task.cancelling()]
            await asyncio.gather(*ending, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(there(), self._loop).result(10)

    def _become(
        self, delay: float = 0.0, silent: tuple[Direction, ...] = (), left: dict[Direction, int] | None = None
    ) -> None:
        self._delay, self._silent, self._left = delay, silent, left or {}
        self._changed.set()
        self._changed = asyncio.Event()

    def _end_all(self, reset: bool) -> None:
        for task in self._live:
            self._live[task] = reset
            task.cancel()

    def _bury(self) -> None:
        for task in self._stranded & self._servers.keys():
            with contextlib.suppress(OSError):  # it has ended there already
                self._servers[task].shutdown(socket.SHUT_RDWR)

    async def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)
        with self._listener, contextlib.suppress(asyncio.CancelledError):
            try:
                await self._loop.create_future()
            finally:
                self._loop.remove_reader(self._listener)
        self._end_all(reset=False)
        await asyncio.gather(*self._live, return_exceptions=True)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:  # whoever knocked has gone again
            return
        self.accepted += 1
        server = socket.socket()
        task = self._loop.create_task(self._connect(client, server))
        self._live[task] = False
        # Not at the end of the coroutine: one that is cancelled before it has begun has no end.
        task.add_done_callback(lambda task: self._gone(task, client, server))

    async def _connect(self, client: socket.socket, server: socket.socket) -> None:
        me = asyncio.current_task()
        assert me is not None
        try:
            for each in (client, server):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._may_pass(me, "to_server")
            await self._loop.sock_connect(server, self._target)
            self._servers[me] = server
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(me, client, server, "to_server"))
                both.create_task(self._pump(me, server, client, "to_client"))
        except* OSError:  # one side was reset, so the other is too
            self._live[me] = True

    def _gone(self, task: asyncio.Task[None], client: socket.socket, server: socket.socket) -> None:
        reset = self._live.pop(task)
        self._servers.pop(task, None)
        self._stranded.discard(task)
        for each in (client, server):
            _end(each, reset)

    async def _pump(
        self, whose: asyncio.Task[None], source: socket.socket, sink: socket.socket, direction: Direction
    ) -> None:
        while piece := await self._next(whose, source, direction):
            self.seen[direction] += len(piece)
            await self._may_pass(whose, direction)
            left = self._left.get(direction)
            if left is not None:
                piece = piece[:left]
                self._left[direction] = left = left - len(piece)
            self.forwarded[direction] += len(piece)  # first, so that who has received it finds it counted
            await self._loop.sock_sendall(sink, piece)
            if left == 0:
                self._cut()
                return
        await self._may_pass(whose, direction)
        sink.shutdown(socket.SHUT_WR)

    async def _next(self, whose: asyncio.Task[None], source: socket.socket, direction: Direction) -> bytes:
        try:
            return await self._loop.sock_recv(source, PIECE)
        except OSError:
            await self._may_pass(whose, direction)  # a black hole tells nobody of a reset
            raise

    async def _may_pass(self, whose: asyncio.Task[None], direction: Direction) -> None:
        """Return when what came now may go on; the rules may change meanwhile."""
        came = self._loop.time()
        while (held := direction in self._silent or whose in self._stranded) or self._loop.time() < came + self._delay:
            wait = None if held else came + self._delay - self._loop.time()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait)

    def _cut(self) -> None:
        self._become()
        self._end_all(reset=False)
        self.cuts += 1


def _end(wire: socket.socket, reset: bool) -> None:
    """Close a socket: with a FIN after all that was sent, or at once with an RST."""
    if reset:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        with contextlib.suppress(OSError):  # it never was connected, or is not any more
            wire.shutdown(socket.SHUT_RDWR)
    wire.close()
