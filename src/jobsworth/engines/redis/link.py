"""Connections to Redis: few, shared by all threads, bounded in time, made anew after any trouble.

redis-py connects, authenticates and speaks the protocol. Its pool and its retries are not used: what may be sent again
after a broken connection is decided here, for a script whose answer was lost may have run.
"""

from __future__ import annotations

import functools
import importlib
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from . import faults
from .keys import prefix
from .scripts import Script, script
from .silence import Lives, Silence, listen_briefly
from .url import Address

CONNECT_TIMEOUT = 3.0  # seconds, and as many to be greeted
ANSWER_TIMEOUT = 10.0  # seconds
SECOND_TIMEOUT = 1.5  # seconds to connect, and to answer, for who only asks whether the server lives
KEPT = 8  # idle connections
# They only look, or change only what is as it was looked at (pack): sending them again is right. All others may have
# run, and are the caller's to repeat: an enqueue is idempotent by its jobs' ids and an ending is fenced, but a lost
# receipt or claim would be told wrongly or given twice.
_HARMLESS = frozenset({"hear", "read", "list", "walk", "figures", "arrivals", "place", "workers", "tell", "pack"})
Value = str | bytes | int | float


class Link:
    """Runs scripts and commands. Safe to share between threads; not across a fork: make another one there."""

    def __init__(self, address: Address, namespace: str) -> None:
        self.address = address
        self.prefix = prefix(namespace).encode()
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._moved: tuple[str, int] | None = None  # the node of a cluster that keeps our keys
        self._closed = 0  # how often; a connection from before is not kept

    def run(self, name: str, values: Sequence[Value], ring: tuple[bytes, bytes] | None = None) -> Any:
        """A script's answer. `ring`: a channel and what to publish there with it, in the same round trip."""
        known = script(name)
        return self._ask(("EVALSHA", known.digest, 1, self.prefix, *values), known, ring, again=name in _HARMLESS)

    def command(self, *words: Value, again: bool = False) -> Any:
        """A plain command's answer. `again`: it may be sent twice."""
        return self._ask(words, None, None, again=again)

    def close(self) -> None:
        """Let go of every idle connection; those in use follow. More are made when they are needed."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._closed += 1
        for connection in idle:
            connection.disconnect()

    def _ask(
        self, words: tuple[Value, ...], known: Script | None, ring: tuple[bytes, bytes] | None, *, again: bool
    ) -> Any:
        theirs = _exceptions(self.address.shown)
        for last_try in (False, True):
            closed = self._closed
            connection = self._take(theirs)
            try:
                answer = _exchange(connection, words, known, ring, theirs, self._lives)
            except theirs.MovedError as exc:  # nothing was done there
                connection.disconnect()
                self.close()
                if last_try:
                    raise faults.translate(exc, self.address.shown) from exc
                self._moved = (exc.host, exc.port)
            except theirs.ResponseError as exc:
                if faults.parted(exc):
                    connection.disconnect()
                    self._forget_all()
                else:
                    self._give_back(connection, closed)
                raise faults.translate(exc, self.address.shown) from exc
            except (theirs.RedisError, OSError) as exc:
                connection.disconnect()
                self._forget_all()  # the others are as old
                if last_try or not again or isinstance(exc, theirs.TimeoutError):
                    raise faults.translate(exc, self.address.shown) from exc
            else:
                self._give_back(connection, closed)
                return answer
        raise AssertionError("unreachable")

    def _take(self, theirs: Any) -> Any:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self.connect()
            if _is_quiet(connection, theirs):  # one that was cut meanwhile must not cost anybody a call
                return connection
            connection.disconnect()

    def _give_back(self, connection: Any, closed: int) -> None:
        if closed == self._closed and len(self._idle) < KEPT:
            self._idle.append(connection)
        else:
            connection.disconnect()

    def _forget_all(self) -> None:
        self._moved = None
        self.close()

    def connect(self) -> Any:
        """A new connection. The caller disconnects it. Raises EngineUnavailable, or BadUrl without the driver."""
        theirs = _exceptions(self.address.shown)
        last_try = time.monotonic() + ANSWER_TIMEOUT - CONNECT_TIMEOUT
        while True:
            connection, reached = self._make(CONNECT_TIMEOUT, CONNECT_TIMEOUT), False

            def greet(connection: Any) -> None:
                nonlocal reached
                reached = True
                connection.on_connect()

            connection.redis_connect_func = greet
            try:
                connection.connect()
                listen_briefly(connection, ANSWER_TIMEOUT)
            except (theirs.RedisError, OSError) as exc:
                # Somebody took it and did not greet us: slow, or not the server any more. Knock again to find out.
                if reached and isinstance(exc, theirs.TimeoutError) and time.monotonic() < last_try:
                    continue
                self._forget_all()
                raise faults.translate(exc, self.address.shown) from exc
            return connection

    def _lives(self) -> bool:
        """Whether the server runs a script for somebody who comes now."""
        theirs = _exceptions(self.address.shown)
        connection = self._make(SECOND_TIMEOUT, SECOND_TIMEOUT)
        try:
            connection.connect()
            connection.send_command("EVAL", "return 1", 0, check_health=False)
            return bool(connection.read_response() == 1)
        except (theirs.RedisError, OSError):  # it is not to be asked, as far as we can tell: it is too early to say
            return False
        finally:
            connection.disconnect()

    def _make(self, to_connect: float, to_answer: float) -> Any:
        drivers: Any = importlib.import_module("redis.connection")
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        address = self.address
        options: dict[str, Any] = {
            **address.credentials, "db": address.db, "protocol": 2, "retry": Retry(NoBackoff(), 0),
            "socket_timeout": to_answer, "socket_connect_timeout": to_connect,
        }  # fmt: skip
        if address.path is not None:
            return drivers.UnixDomainSocketConnection(path=address.path, **options)
        host, port = self._moved or (address.host, address.port)
        kind = drivers.SSLConnection if address.secure else drivers.Connection
        return kind(host=host, port=port, socket_keepalive=True, socket_keepalive_options=_keepalive(), **options)


def _exchange(
    connection: Any,
    words: tuple[Value, ...],
    known: Script | None,
    ring: tuple[bytes, bytes] | None,
    theirs: Any,
    lives: Lives,
) -> Any:
    silence = Silence(connection, lives, ANSWER_TIMEOUT, theirs)
    packed = _pack(connection, words)
    if ring is not None:
        packed += _pack(connection, ("PUBLISH", *ring))
    silence.send(packed)
    try:
        return silence.read()
    except theirs.NoScriptError:  # the server has restarted, or somebody flushed its scripts: nothing was run
        if known is None:
            raise
        if ring is not None:
            _heard(silence, theirs)
            ring = None
        silence.send(_pack(connection, ("EVAL", known.text, *words[2:])))
        return silence.read()
    finally:
        if ring is not None and connection.is_connected:
            _heard(silence, theirs)


def _pack(connection: Any, words: tuple[Value, ...]) -> bytes:
    """A command as Redis reads it. hiredis does it at once; the driver on top of it looks at every value first."""
    packer = _packer()
    if packer is None:
        return b"".join(connection.pack_command(*words))
    packed: bytes = packer(words)
    return packed


@functools.cache
def _packer() -> Any:
    try:
        return importlib.import_module("hiredis").pack_command
    except (ImportError, AttributeError):  # it is only quicker
        return None


def _heard(silence: Silence, theirs: Any) -> None:
    """Read what became of the ring. It is a hint: a user who may not publish has none, and polls."""
    try:
        silence.read()
    except theirs.ResponseError:
        return


def _is_quiet(connection: Any, theirs: Any) -> bool:
    """True for a connection that is open and says nothing, as it should."""
    try:
        return not connection.can_read(0)
    except (theirs.RedisError, OSError):  # whatever is wrong with it: it is made anew
        return False


def _keepalive() -> dict[int, int]:
    """A peer that has gone without a word is noticed within some 15 seconds, where the system lets us say so."""
    wanted = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 12_000}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def _exceptions(shown: str) -> Any:
    try:
        import redis.exceptions as theirs
    except ImportError as exc:
        raise faults.missing(shown, exc) from exc
    return theirs
