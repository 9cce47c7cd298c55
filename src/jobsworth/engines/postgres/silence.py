"""What a server's silence means, while one of our statements waits for its answer.

A server that is busy and a network that has swallowed the statement, or the answer to it, look the same from here. So
a second connection is opened, and the server asked whether it is at work on anything of ours: a slow server is waited
for, a dead connection is given up within seconds of the moment when the network lets new ones through.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg

from ..unsent import unsent

if TYPE_CHECKING:
    from .lines import Line
    from .looped import LoopedLine

PATIENCE = 1.5  # seconds of silence after which the server is asked
AGAIN = (0.2, 1.0)  # seconds until it is asked again: where it could not be asked, where it was at work
SLACK = 1.0  # seconds that a statement may have taken to arrive
# Does this connection lead to the server itself? Then: what does the backend at the other end of the silent one wait
# for? A pooler tells a number that is nobody's; there, anything of ours that has run for so long may be our statement.
LOOK = """
SELECT coalesce(bool_or(kind IS DISTINCT FROM 'Client'), false),
       coalesce(bool_or(kind IS NULL OR NOT (kind IN ('Client', 'Lock') OR event = 'SyncRep')), false)
  FROM (
    SELECT it.wait_event_type AS kind, it.wait_event AS event
      FROM pg_catalog.pg_stat_activity AS it
     WHERE CASE WHEN pg_backend_pid() = %s::integer
                THEN it.pid = %s::integer
                ELSE it.usename = session_user AND it.datname = current_database() AND it.pid <> pg_backend_pid()
                     AND it.state NOT LIKE 'idle%%'
                     AND it.query_start <= clock_timestamp() - make_interval(secs => %s::double precision)
            END
  ) AS ours
"""


class Swallowed(psycopg.OperationalError):
    """The server answers others and knows nothing of our statement."""


class Silence:
    """One wait for an answer. `connect`: how to reach the server a second time; None: silence is only timed."""

    def __init__(self, line: Line | LoopedLine, connect: Callable[[], Line] | None) -> None:
        self._line = line
        self._connect = connect
        self._second: Line | None = None
        self._since = self._sent = time.monotonic()
        self._next = 0.0
        self._unsent = -1
        self._gone = self._working = False

    def broken(self) -> None:
        """Something was sent or received."""
        self._since = time.monotonic()
        self._gone = self._working = False

    def goes_on(self) -> None:
        """Nothing was, for a moment. Raises psycopg.OperationalError when there is nothing to wait for any more."""
        if self._gone:  # the answer had a moment more to come
            raise Swallowed("the server answers others, and works on nothing of ours: the connection is dead")
        now_unsent = unsent(self._line.fileno())
        if now_unsent != self._unsent:  # a long statement on a slow way
            self._unsent = now_unsent
            self.broken()
        now = time.monotonic()
        if self._connect is not None and now - self._since >= PATIENCE and now >= self._next:
            self._ask(self._connect)
        if now - self._since > self._line.answer_within and not (self._line.patient and self._working):
            raise psycopg.OperationalError("the server took a statement and did not answer")

    def end(self) -> None:
        """The wait is over."""
        if self._second is not None:
            self._second.close()

    def _ask(self, connect: Callable[[], Line]) -> None:
        theirs = self._line.info.backend_pid
        try:
            self._second = second = self._second or connect()
            waited = max(0.0, time.monotonic() - self._sent - SLACK)
            found = second.execute(LOOK, (second.info.backend_pid, theirs, waited)).fetchone()
        except psycopg.Error:  # the server is not to be asked, as far as we can tell: it is too early to say
            self.end()
            self._second, found = None, None
        if found is not None:
            self._gone, self._working = not found[0], found[1]
        self._next = time.monotonic() + AGAIN[found is not None]
