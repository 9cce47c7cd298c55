"""The hub: one per process and program. It looks at the store for everybody who looks on, and tells each what is new.

One thread, only while somebody looks on. A ring of the engine makes it look, at most five times a second; without
rings it looks once a second. However many browsers watch a job, it is read once and told in the same bytes.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from jobsworth.engine import Engine, Where
from jobsworth.errors import EngineError
from jobsworth.job import FINAL, LIVE, Job
from jobsworth.snapshot import error_line, progress_part, said_to_users
from jobsworth.statistics import Eta

from .forecast import Forecast, part, renews
from .mailbox import AWAY, Event, Mailbox, gone
from .refusal import TooManyStreams

if TYPE_CHECKING:
    import asyncio

    from jobsworth.bridge import Bridge

LOOK_EVERY = 0.2  # seconds between two looks: at most five events a second of one job
POLL = 1.0  # seconds between looks when nothing rings
STATS_EVERY = 0.5  # seconds between two looks at the store as a whole
AT_ONCE = 500  # jobs asked for in one question
OWNED = 500  # live jobs of one owner that are watched
JUST_ENDED = 60.0  # seconds for which an owner's ended jobs are still told
ASKED = 2  # tasks whose earlier runs are asked for in one look, so that no event waits for all of them
ETA_AGE = 5.0  # seconds after which who has just come is told another forecast than those before them
_log = logging.getLogger("jobsworth.web")
_hubs: weakref.WeakSet[Hub] = weakref.WeakSet()


class Hub:
    """Everybody who looks on from this process.

    most: onlookers at once.
    """

    def __init__(self, bridge: Bridge, forecast: Forecast | None = None, *, most: int = 2_000) -> None:
        self._bridge = bridge
        self._forecast = forecast or Forecast()
        self._most = most
        self._start()
        _hubs.add(self)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._boxes: set[Mailbox] = set()
        self._fresh: set[Mailbox] = set()  # that have not been looked for yet
        self._thread: threading.Thread | None = None
        self._rung = threading.Event()
        self._known: dict[str, _Told] = {}  # what was last told of each watched job
        self._may_ask = 0
        self._stats = b""
        self._next_stats = 0.0
        self._away = False

    def __len__(self) -> int:
        return len(self._boxes)

    def open(self, box: Mailbox) -> None:
        """Look for this onlooker from now on. Raises TooManyStreams (E610)."""
        with self._lock:
            if len(self._boxes) >= self._most:
                raise TooManyStreams(
                    f"{self._most} onlookers are connected to this process already",
                    hint="try again later; Site(streams=...) admits more",
                )
            self._boxes.add(box)
            self._fresh.add(box)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobsworth-hub", daemon=True)
                self._thread.start()
        self._rung.set()

    def close(self, box: Mailbox) -> None:
        """Look for this onlooker no longer."""
        box.closed = True
        with self._lock:
            self._boxes.discard(box)
            self._fresh.discard(box)
            if not self._boxes:
                self._rung.set()

    def look_again(self, box: Mailbox, *, anew: bool = False) -> None:
        """This onlooker looks at other things than before. anew: at the store as a whole, and knows nothing of it."""
        if anew:
            with self._lock:
                self._fresh |= {box} & self._boxes
        self._rung.set()

    def stop(self) -> None:
        """Look for nobody any longer; returns when the thread has ended."""
        with self._lock:
            boxes, thread = list(self._boxes), self._thread
        for box in boxes:
            self.close(box)
        _wake(boxes)
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        stop_listening: Callable[[], None] | None = None
        looked = 0.0
        try:
            while self._goes_on():
                self._rung.wait(POLL)
                early = looked + LOOK_EVERY - time.monotonic()
                if early > 0 and not self._fresh:
                    time.sleep(min(early, LOOK_EVERY))
                self._rung.clear()
                if stop_listening is None:
                    stop_listening = self._bridge.engine.listen(self._rung.set)
                looked = time.monotonic()
                self._look()
        finally:
            if stop_listening is not None:
                stop_listening()

    def _goes_on(self) -> bool:
        """False, once and for all for this thread, when nobody looks on any more."""
        with self._lock:
            if self._boxes:
                return True
            self._thread = None
            self._known.clear()
            return False

    def _look(self) -> None:
        with self._lock:
            boxes, fresh = list(self._boxes), self._fresh
            self._fresh = set()
        woken: list[Mailbox] = []
        try:
            self._tell(boxes, fresh, woken)
        except Exception as exc:  # noqa: BLE001 (whatever it is, onlookers are told, and it is tried again)
            if not self._away:
                self._away = True
                _log.warning(
                    "cannot look at the jobs that are watched: %s", exc, exc_info=not isinstance(exc, EngineError)
                )
                woken += [box for box in boxes if box.put(AWAY)]
            with self._lock:
                self._fresh |= fresh & self._boxes
            time.sleep(POLL / 2)
        else:
            if self._away:
                self._away = False
                _log.info("the jobs that are watched can be looked at again")
        _wake(woken)

    def _tell(self, boxes: Sequence[Mailbox], fresh: set[Mailbox], woken: list[Mailbox]) -> None:
        by_job: dict[str, list[Mailbox]] = defaultdict(list)
        by_owner: dict[str, list[Mailbox]] = defaultdict(list)
        for box in boxes:
            if box.waits_for_resync:
                continue
            if box.owner is not None:
                by_owner[box.owner].append(box)
            for job_id in box.ids:
                by_job[job_id].append(box)
        found = self._jobs(by_job, by_owner)
        self._may_ask = ASKED
        seen: set[str] = set()
        for job, owned in found:
            seen.add(job.id)
            told = self._told(job, anew=bool(fresh))
            for box in by_owner.get(job.owner or "", ()) if owned else by_job.get(job.id, ()):
                serves = box.queues is None or job.queue in box.queues
                # Who names a job may see it, whichever queue it is in: that was judged when they asked.
                if (serves or not owned) and box.put(told.operators if box.details and serves else told.users):
                    woken.append(box)
        for job_id in by_job.keys() - seen:
            event = gone(job_id)
            woken += [box for box in by_job[job_id] if box.put(event)]
        self._known = {job_id: known for job_id, known in self._known.items() if job_id in seen}
        if onlookers := [box for box in boxes if box.everything and not box.waits_for_resync]:
            self._tell_stats(onlookers, fresh, woken)

    def _jobs(self, by_job: Iterable[str], by_owner: Iterable[str]) -> Iterator[tuple[Job, bool]]:
        """What is watched, as it stands now; True beside what was found by its owner."""
        ids = iter(by_job)
        while some := tuple(islice(ids, AT_ONCE)):
            yield from ((job, False) for job in self._find(Where(ids=some, limit=None)))
        for owner in by_owner:
            live = self._find(Where(owner=owner, states=tuple(LIVE), limit=OWNED))
            ended = self._find(Where(owner=owner, states=tuple(FINAL), finished_within=JUST_ENDED, limit=OWNED))
            yield from ((job, True) for job in (*live, *ended))

    def _find(self, where: Where) -> list[Job]:
        async def find(engine: Engine) -> list[Job]:
            return await engine.find(where)

        return self._bridge.call(find)

    def _told(self, job: Job, *, anew: bool) -> _Told:
        """What is told of a job. anew: there are some whom nothing has been told yet."""
        known, now = self._known.get(job.id), time.monotonic()
        if known is None or known.version != job.version or (anew and now >= known.good_until):
            eta = self._eta(job)
            users = changed(job, eta)
            operators = users if job.failure is None else changed(job, eta, details=True)
            known = _Told(job.version, users, operators, math.inf if eta is None else now + ETA_AGE)
            self._known[job.id] = known
        return known

    def _eta(self, job: Job) -> Eta | None:
        if not renews(job):
            return None
        if self._may_ask > 0 and self._forecast.lacks(job):
            self._may_ask -= 1
            self._bridge.call(lambda engine: self._forecast.learn(engine, job))
        return self._forecast.told(job)

    def _tell_stats(self, onlookers: Sequence[Mailbox], fresh: set[Mailbox], woken: list[Mailbox]) -> None:
        """For those who look at the store as a whole: its queues in numbers, when these have changed."""
        now = time.monotonic()
        if now < self._next_stats and fresh.isdisjoint(onlookers):
            return
        self._next_stats = now + STATS_EVERY

        async def read(engine: Engine) -> list[Any]:
            return await engine.queues(brief=True)

        queues = [
            {"queue": each.queue, "paused": each.paused, "oldest": each.oldest, "slots": each.slots,
             "workers": each.workers, "counts": {state.value: count for state, count in each.counts.items()}}
            for each in self._bridge.call(read)
        ]  # fmt: skip
        stats = msgspec.json.encode(queues)
        for box in onlookers:
            if stats != self._stats or box in fresh:
                mine = [each for each in queues if box.queues is None or each["queue"] in box.queues]
                box.put(Event("stats", msgspec.json.encode({"queues": mine})))
                woken.append(box)
        self._stats = stats


class _Told(NamedTuple):
    version: int
    users: Event
    operators: Event
    good_until: float  # a moment of time.monotonic()


def changed(job: Job, eta: Eta | None = None, *, details: bool = False) -> Event:
    """What onlookers are told of a job: never its arguments or its result. details: exceptions too, for operators."""
    told: dict[str, Any] = {
        "job_id": job.id, "queue": job.queue, "status": job.state.value, "progress": progress_part(job.progress),
        "version": job.version,
    }  # fmt: skip
    if job.progress is not None and job.progress.message is not None:
        told["message"] = job.progress.message
    error = error_line(job.failure) if details else said_to_users(job.failure)
    if error:
        told["error"] = error
    if eta is not None:
        told["eta"] = part(eta)
    return Event("job.changed", _on_one_line(told), job.id, job.version, final=job.state in FINAL)


def _on_one_line(told: dict[str, Any]) -> bytes:
    """As JSON in which nothing ends a line for anybody, for there are readers to whom more than \\n does that."""
    data = msgspec.json.encode(told)
    if not data.isascii():
        for sign in ("\x85", "\u2028", "\u2029"):
            data = data.replace(sign.encode(), f"\\u{ord(sign):04x}".encode())
    return data


def _wake(boxes: Iterable[Mailbox]) -> None:
    """Wake everybody who reads these; each loop once, for that is what waking costs."""
    loops: dict[asyncio.AbstractEventLoop, list[Mailbox]] = {}
    for box in set(boxes):
        if box.loop is None:
            box.wake()
        else:
            loops.setdefault(box.loop, []).append(box)
    for loop, some in loops.items():
        try:
            loop.call_soon_threadsafe(_wake_all, some)
        except RuntimeError:  # the loop has closed; nobody reads there any more
            continue


def _wake_all(boxes: Iterable[Mailbox]) -> None:
    for box in boxes:
        box.wake()


def _after_fork() -> None:
    """The parent's onlookers are not the child's."""
    for hub in list(_hubs):
        hub._start()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
