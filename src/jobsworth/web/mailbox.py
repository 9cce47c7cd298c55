"""What one onlooker has not read yet: the newest event of each job, and no more than that however slowly they read.

The hub puts events in from its thread; whoever serves the onlooker takes them out, in a coroutine or in a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    import asyncio

MOST_UNREAD = 512  # jobs with something unread; who falls further behind is told to begin anew


class Event(NamedTuple):
    """One thing to tell. `data` is JSON, made once for all onlookers.

    kind:    job.changed, end, resync, away, stats or changed.
    version: of the job; None where there is none.
    final:   nothing more comes of this job unless somebody retries it.
    """

    kind: str
    data: bytes
    job_id: str | None = None
    version: int | None = None
    final: bool = False


RESYNC = Event("resync", b"{}")  # forget what you know; what follows is how things stand
AWAY = Event("away", b'{"engine":"unavailable"}')  # the store does not answer; what you know may be old


def gone(job_id: str) -> Event:
    """There is no such job, or none that this onlooker may see."""
    return Event("end", msgspec.json.encode({"job_id": job_id, "status": "gone"}), job_id, 1 << 62, final=True)


class Mailbox:
    """The unread events of one onlooker.

    ids, owner, everything: what they look at: these jobs, or all jobs of an owner, or the store as a whole.
    queues: only jobs of these; None: of all.
    details: they are told of exceptions, too: operators are (of their queues).
    since:  versions they know already, by job. Only newer ones are put in.
    loop:   of the coroutine that reads; None: a thread does.
    """

    def __init__(
        self,
        ids: Collection[str] = (),
        owner: str | None = None,
        *,
        everything: bool = False,
        queues: frozenset[str] | None = None,
        details: bool = False,
        since: dict[str, int] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.ids = frozenset(ids)
        self.owner = owner
        self.everything = everything
        self.queues = queues
        self.details = details
        self.loop = loop
        self.closed = False
        self._lock = threading.Lock()
        self._known = dict(since or {})
        self._unread: dict[str, Event] = {}
        self._resync = False
        self._flag = _flag_for(loop)

    def put(self, event: Event) -> bool:
        """Keep it until it is read, in place of an older one of the same job. True if that is news to the onlooker."""
        key = event.job_id or event.kind
        with self._lock:
            if self.closed or self._resync:
                return False
            if event.version is not None:
                if self._known.get(key, -1) >= event.version:
                    return False
                self._known[key] = event.version
            if key not in self._unread and len(self._unread) >= MOST_UNREAD:
                self._begin_anew()
                return True
            self._unread[key] = event
        return True

    def watch(self, ids: Collection[str], owner: str | None = None, *, everything: bool = False) -> None:
        """Look at these, too. How they stand is told anew, also of those that were looked at already."""
        with self._lock:
            for job_id in ids:
                self._known.pop(job_id, None)
            self.ids |= frozenset(ids)
            self.owner = owner or self.owner
            self.everything = everything or self.everything

    def unwatch(self, ids: Collection[str]) -> None:
        """Look at these no longer, unless they are the owner's."""
        with self._lock:
            self.ids -= frozenset(ids)
            if self.owner is None:
                for job_id in ids:
                    self._known.pop(job_id, None)
                    self._unread.pop(job_id, None)

    def take(self) -> list[Event]:
        """All that is unread, oldest first; RESYNC alone after too much was: what follows comes with the next look."""
        with self._lock:
            events = list(self._unread.values())
            self._unread.clear()
            if self._resync:
                self._resync = False
                events = [RESYNC]
            self._flag.clear()
        return events

    def _begin_anew(self) -> None:
        self._unread.clear()
        self._known.clear()
        self._resync = True

    @property
    def waits_for_resync(self) -> bool:
        """True from when too much was unread until that has been told."""
        return self._resync

    def wake(self) -> None:
        """Let whoever reads come back to take(). In the reader's own loop or from any thread.

        Nothing is done where it was all taken meanwhile: that would look like a long silence that has ended.
        """
        if self._unread or self._resync or self.closed:
            self.call()

    def call(self) -> None:
        """Let them come back for something else that they have to tell."""
        self._flag.set()

    async def wait(self, seconds: float) -> bool:
        """Until something is unread, at most so long; in the reader's loop."""
        import asyncio

        assert isinstance(self._flag, asyncio.Event)
        if self._flag.is_set():
            return True
        timer = asyncio.get_running_loop().call_later(seconds, self._flag.set)
        try:
            await self._flag.wait()
        finally:
            timer.cancel()
        return bool(self._unread) or self._resync

    def wait_here(self, seconds: float) -> bool:
        """The same in the reader's thread."""
        assert isinstance(self._flag, threading.Event)
        return self._flag.wait(seconds)


def _flag_for(loop: asyncio.AbstractEventLoop | None) -> asyncio.Event | threading.Event:
    if loop is None:
        return threading.Event()
    import asyncio

    return asyncio.Event()
