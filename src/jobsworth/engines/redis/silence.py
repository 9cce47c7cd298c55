"""What a server's silence means, while a request waits for its answer.

A server that is busy and a network that has swallowed the request, or the answer to it, look the same from here. But
Redis does one thing after the other: if it runs a script for who came later, it has done ours, or never had it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..unsent import unsent

PATIENCE = 1.5  # seconds of silence after which another connection is tried
AGAIN = 0.2  # seconds between tries
AT_ONCE = 16_384  # bytes that the system takes without waiting
RATE = 1_000_000  # bytes a second: what a long message may at least take, out of sight, from a proxy to the server
Lives = Callable[[], bool]  # whether the server runs scripts for others


def listen_briefly(connection: Any, within: float) -> None:
    """For a new connection: `Silence` wants to hear of silence soon."""
    connection._sock.settimeout(min(PATIENCE, within))  # noqa: SLF001 (the driver has one limit for greeting and answers)


class Silence:
    """One exchange. `within`: seconds that the server may be silent, whatever the reason."""

    def __init__(self, connection: Any, lives: Lives, within: float, theirs: Any) -> None:
        self._connection = connection
        self._wire = connection._sock  # noqa: SLF001 (the driver does not tell what it has sent of a long message)
        self._lives = lives
        self._within = within
        self._theirs = theirs
        self._since = time.monotonic()
        self._long = 0.0  # seconds more, for a long message
        self._unsent = -1
        self._gone = False

    def send(self, packed: bytes) -> None:
        """All of it. Raises the driver's errors, or OSError."""
        if len(packed) <= AT_ONCE:
            self._connection.send_packed_command((packed,), check_health=False)
            return
        self._long = len(packed) / RATE
        left = memoryview(packed)
        while left:
            try:
                left = left[self._wire.send(left) :]
                self._broken()
            except TimeoutError:
                self._goes_on()

    def read(self) -> Any:
        """The next answer. Raises the driver's errors; after all but an answer that is one, it is disconnected."""
        try:
            while True:
                try:
                    return self._connection.read_response(disconnect_on_error=False)
                except self._theirs.TimeoutError:
                    self._goes_on()
                    while not self._connection.can_read(AGAIN):
                        self._goes_on()
        except self._theirs.ResponseError:
            raise
        except BaseException:
            self._connection.disconnect()
            raise

    def _broken(self) -> None:
        self._since, self._gone = time.monotonic(), False

    def _goes_on(self) -> None:
        if self._gone:  # the answer had a moment more to come
            raise self._theirs.ConnectionError("the server answers others, and not here: the connection is dead")
        now = unsent(self._wire.fileno())
        if now != self._unsent:
            self._unsent = now
            self._broken()
        silent = time.monotonic() - self._since
        self._gone = silent >= self._long and self._lives()
        if not self._gone and silent > self._within:
            raise self._theirs.TimeoutError(f"silent for {self._within:g} seconds")
