"""Connections to the server that are lent to coroutines: each is used in the event loop that it was opened in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import pq

from .lines import ANSWER_WITHIN, HOW, IDLE, bounded, readable
from .silence import Silence

T = TypeVar("T")


class LoopedLine(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that gives up on a server that takes a statement and never answers."""

    answer_within = ANSWER_WITHIN
    patient = False

    async def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        # Silence is only timed here: to ask the server on a second connection would keep the loop waiting.
        return await super().wait(bounded(gen, Silence(self, None)), *args, **options)


class LoopedLines:
    """All such connections of one engine in one process. Nobody waits for one: whoever finds none idle connects."""

    def __init__(self, conninfo: str, where: str) -> None:
        self._conninfo = conninfo
        self.where = where
        self._lock = threading.Lock()
        self._idle: list[tuple[asyncio.AbstractEventLoop, LoopedLine]] = []

    async def take(self) -> LoopedLine:
        """An idle connection of this loop, else a new one. Raises psycopg's errors."""
        loop = asyncio.get_running_loop()
        while (line := self._idle_in(loop)) is not None:
            # Nobody speaks to an idle connection but a server that says good-bye.
            if not line.closed and not readable([line.fileno()], 0):
                return line
            hang_up(line)
        made: LoopedLine = await LoopedLine.connect(self._conninfo, **HOW)
        return made

    def _idle_in(self, loop: asyncio.AbstractEventLoop) -> LoopedLine | None:
        """One of this loop's. Those of loops that have closed are closed too: nobody will ask for them again."""
        with self._lock:
            idle, self._idle = self._idle, []
            found = None
            for home, line in idle:
                if home.is_closed():
                    hang_up(line)
                elif found is None and home is loop:
                    found = line
                else:
                    self._idle.append((home, line))
            return found

    def give_back(self, line: LoopedLine) -> None:
        """Keep it for the next one, unless it is in any state but a fresh one."""
        if not line.closed and line.info.transaction_status == pq.TransactionStatus.IDLE:
            with self._lock:
                if len(self._idle) < IDLE:
                    self._idle.append((asyncio.get_running_loop(), line))
                    return
        hang_up(line)

    def hang_up(self) -> None:
        """Close what nobody uses. From any thread."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, line in idle:
            hang_up(line)

    def forget(self) -> None:
        """In a forked child: the connections are the parent's; psycopg leaves them alone there."""
        self._lock = threading.Lock()
        self._idle = []


def hang_up(line: LoopedLine) -> None:
    """What its close() does, for those who cannot await: that does not wait for anything either."""
    line.pgconn.finish()
