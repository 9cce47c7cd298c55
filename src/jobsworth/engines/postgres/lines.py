"""Connections to the server: lent to one thread at a time, opened when they are needed, never waited on for ever.

Not psycopg's own pool: that one reconnects on its own schedule, with pauses that grow, and after an outage a caller
waits for it. Here whoever comes first after an outage connects, at once or not at all.
"""

from __future__ import annotations

import contextlib
import math
import select
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import pq

from .faults import PARTED, translate
from .silence import Silence

T = TypeVar("T")
CONNECT_WITHIN = 3  # seconds
ANSWER_WITHIN = 10.0  # seconds a server may leave any of our statements unanswered; they take milliseconds
SECOND_WITHIN = (2, 1.5)  # seconds to connect, and to answer, for who only asks whether the server lives
IDLE = 4  # connections kept open while nobody uses them
HOW: dict[str, Any] = {
    "autocommit": True, "prepare_threshold": None, "connect_timeout": CONNECT_WITHIN, "application_name": "jobsworth",
    "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000,
}  # fmt: skip


class Line(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up on a server that takes a statement and never answers."""

    answer_within = ANSWER_WITHIN
    patient = False  # a statement may take longer while the server is seen at work on it
    second: Callable[[], Line] | None = None  # how to ask the server about this connection

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        # To a handler it is lent without bounds.
        silence = Silence(self, None if math.isinf(self.answer_within) else self.second)
        try:
            return super().wait(bounded(gen, silence), *args, **options)
        finally:
            silence.end()


def bounded(gen: Generator[Any, Any, T], silence: Silence) -> Generator[Any, Any, T]:
    """What psycopg waits with: it asks for a state of the socket and is told every 0.1 s that there is none yet."""
    answer = None
    while True:
        try:
            wanted = gen.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value
        answer = yield wanted
        if answer:
            silence.broken()
            continue
        try:
            silence.goes_on()
        except BaseException:
            gen.close()
            raise


def readable(handles: list[int], seconds: float) -> list[int]:
    """Those of these that have something to read, as soon as one has. Not select(): that one ends at handle 1023."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    return [handle for handle, _ in poll.poll(max(0.0, seconds) * 1000)]


class Lines:
    """All connections of one engine in one process."""

    def __init__(self, conninfo: str, where: str) -> None:
        self._conninfo = conninfo
        self.where = where
        self._lock = threading.Lock()
        self._idle: list[Line] = []

    @contextlib.contextmanager
    def line(self, *, patient: bool = False) -> Iterator[Line]:
        """A connection in autocommit. One that an error may have left in any state is closed, not used again."""
        try:
            line = self.take()
            line.patient = patient
            try:
                yield line
            except psycopg.DatabaseError as exc:
                if self.parted(exc):
                    line.close()
                self.give_back(line)
                raise
            except BaseException:
                line.close()
                raise
            self.give_back(line)
        except psycopg.Error as exc:
            raise translate(exc, self.where) from exc

    def connect(self) -> Line:
        """A new connection, for somebody who keeps it. Raises psycopg's errors."""
        line = self._connect(CONNECT_WITHIN)
        line.second = self._second
        return line

    def _second(self) -> Line:
        to_connect, to_answer = SECOND_WITHIN
        line = self._connect(to_connect)
        line.answer_within = to_answer
        return line

    def _connect(self, within: int) -> Line:
        line: Line = Line.connect(self._conninfo, **{**HOW, "connect_timeout": within})
        return line

    def parted(self, exc: BaseException) -> bool:
        """True for an error after which none of our connections is of use; those that nobody uses are closed.

        What broke one has broken the others, and a server that only reads now is not the one we want any more.
        """
        gone = isinstance(exc, PARTED) or (isinstance(exc, psycopg.OperationalError) and exc.sqlstate is None)
        if gone:
            self.hang_up()
        return gone

    def hang_up(self) -> None:
        """Close what nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.close()

    def forget(self) -> None:
        """In a forked child: the connections are the parent's; psycopg leaves them alone there."""
        self._lock = threading.Lock()
        self._idle = []

    def take(self) -> Line:
        """An idle connection, else a new one. Raises psycopg's errors."""
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None:
                return self.connect()
            # Nobody speaks to an idle connection but a server that says good-bye.
            if not line.closed and not readable([line.fileno()], 0):
                return line
            line.close()

    def give_back(self, line: Line) -> None:
        """Keep it for the next one, unless it is in any state but a fresh one."""
        if line.closed or line.info.transaction_status != pq.TransactionStatus.IDLE:
            line.close()
            return
        with self._lock:
            if len(self._idle) < IDLE:
                self._idle.append(line)
                return
        line.close()
