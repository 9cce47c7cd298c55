"""Tells other processes that something changed, and hears them tell. Only a hint: every path is correct without it.

What is published carries nothing but who rang, so that nobody wakes for a ring of its own.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from typing import Any

from ...bell import Bell
from ...errors import JobsworthError
from .keys import key
from .link import Link

# Seconds between rings, so that a storm of changes is no storm of rings. The first rings at once, the last one late.
NEWS, ENDINGS = 0.01, 0.05  # new work is waited for by idle workers; who waits for a result looks by himself too
BACKOFF = (0.1, 5.0)  # seconds between tries to listen again: first, longest
SILENCE = 10.0  # seconds after which a silent connection is asked whether it is still there
LOOK = 1.0  # seconds after which a listener looks whether anybody still listens
_log = logging.getLogger("jobsworth.redis")


class Doorbell:
    """One per engine. `bell` rings in this process."""

    def __init__(self, link: Link, namespace: str, bell: Bell, *, on: bool) -> None:
        self._link = link
        self._bell = bell
        self._on = on
        self._channel = key(namespace, "BELL").encode()
        self._me = os.urandom(6).hex().encode()
        self._lock = threading.Lock()
        self._rang = float("-inf")
        self._owed: float | None = None  # when the ring that is owed is due
        self._owing = threading.Condition(self._lock)
        self._teller: threading.Thread | None = None
        self._listener: threading.Thread | None = None
        self._closed = False

    # telling

    def ring_with(self, gap: float) -> tuple[bytes, bytes] | None:
        """What to publish along with a change; None if others rang for it a moment ago."""
        if not self._on:
            return None
        now = time.monotonic()
        with self._lock:
            if now - self._rang < gap:
                return None
            self._rang, self._owed = now, None
        return self._channel, self._me

    def owe(self, gap: float) -> None:
        """Something changed and was not told: tell it as soon as the gap allows."""
        if not self._on:
            return
        with self._lock:
            due = self._rang + gap
            if self._owed is not None and self._owed <= due:
                return
            self._owed = due
            if self._teller is None and not self._closed:
                self._teller = threading.Thread(target=self._tell, name="jobsworth-redis-teller", daemon=True)
                self._teller.start()
            self._owing.notify()

    def _tell(self) -> None:
        while True:
            with self._lock:
                while self._owed is None and not self._closed:
                    self._owing.wait()
                if self._closed:
                    self._teller = None
                    return
                pause = (self._owed or 0.0) - time.monotonic()
                if pause > 0:
                    self._owing.wait(pause)
                    continue
                self._rang, self._owed = time.monotonic(), None
            try:
                self._link.command("PUBLISH", self._channel, self._me)
            except JobsworthError:
                continue  # a hint that is lost; the verbs report what is wrong

    # hearing

    def listen(self) -> None:
        """Start to listen unless that is already so."""
        if not self._on:
            return
        with self._lock:
            self._closed = False
            if self._listener is None:
                self._listener = threading.Thread(target=self._hear, name="jobsworth-redis-ear", daemon=True)
                self._listener.start()

    def close(self) -> None:
        """End both threads; not waited for, they end within a second."""
        with self._lock:
            self._closed = True
            self._owed = None
            self._owing.notify_all()

    def reopen(self) -> None:
        """After close(): tell again, and go on listening if somebody does."""
        with self._lock:
            self._closed = False
        if self._bell:
            self.listen()

    def _hear(self) -> None:
        tries, told = 0, False
        while self._wanted():
            try:
                connection = self._subscribe()
            except Exception as exc:  # noqa: BLE001 (for ever: without the bell the engine goes on by polling)
                told = told or self._tell_mistake(exc)
                tries += 1
                self._pause(tries)
                continue
            try:
                self._bell.ring()  # whatever was missed
                self._attend(connection)
                tries, told = 0, False
            except Exception as exc:  # noqa: BLE001 (as above)
                told = told or self._tell_mistake(exc)
                tries = 1
                self._pause(tries)
            finally:
                connection.disconnect()

    def _tell_mistake(self, exc: Exception) -> bool:
        """True if this had to be told. That the server is away is not: whoever asks it for something says so."""
        from redis import RedisError

        if isinstance(exc, (JobsworthError, RedisError, OSError)):
            return False
        _log.error("the bell is not heard, and changes are found by polling; trying again", exc_info=exc)
        return True

    def _subscribe(self) -> Any:
        connection = self._link.connect()
        try:
            connection.send_command("SUBSCRIBE", self._channel, check_health=False)
            connection.read_response()
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _attend(self, connection: Any) -> None:
        heard = time.monotonic()
        asked = False
        while self._wanted():
            if connection.can_read(LOOK):
                message = connection.read_response()
                heard, asked = time.monotonic(), False
                if message[0] == b"message" and message[2] != self._me:
                    self._bell.ring()
            elif time.monotonic() - heard > 2 * SILENCE:
                return  # cut off without a word: listen anew
            elif time.monotonic() - heard > SILENCE and not asked:
                asked = True
                connection.send_command("PING", check_health=False)

    def _pause(self, tries: int) -> None:
        first, longest = BACKOFF
        pause = min(longest, first * 2 ** min(tries, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
        deadline = time.monotonic() + pause
        while self._wanted() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))

    def _wanted(self) -> bool:
        with self._lock:
            if self._closed or not self._bell:
                self._listener = None
            return self._listener is threading.current_thread()
