"""The office: one thread, with its own loop, that talks to the engine for a worker.

User code never runs here, so whatever a handler does to the worker's loop or threads, leases are renewed, endings are
written down and cancellations are heard. A dead process loses all of that within one lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from jobsworth.engine import Engine, Heard, Pulse, Turn, Want, WorkerCard
from jobsworth.errors import EngineError
from jobsworth.events import AttemptEnded, EngineBack, EngineLost, Fault, LeaseTaken, Listener
from jobsworth.job import Claim
from jobsworth.lifecycle import gives_up

from .chores import Chores
from .endings import Ending
from .lost import lose
from .news import Told, gather, take_back
from .outage import ALL_BACK, Outage
from .resident import resident_bytes
from .run import may_take_us_down
from .shop import Shop
from .strays import Strays
from .upkeep import Upkeep

if TYPE_CHECKING:
    from jobsworth.queue import Queue
    from jobsworth.task import Task

POLL = 1.0  # seconds between looks when nothing rings: hints may be lost, facts may not
NEWS_EVERY = 0.2  # seconds between pulses that carry news
HEAR_EVERY = 0.1  # seconds between looks for cancellations when something rings


class Office:
    """The engine's side of a worker. `slots` by queue bound what is claimed; nothing is held that has no slot."""

    def __init__(
        self,
        engine: Engine,
        card: WorkerCard,
        slots: Mapping[str, int],
        queues: Mapping[str, Queue],
        tasks: Mapping[str, Task[..., Any]],
        lease: float,
        tell: Listener,
    ) -> None:
        self._engine = engine
        self._card = card
        self._free = dict(slots)
        self._queues = queues
        self._tasks = tasks
        self._names = {
            queue: tuple(sorted(task.name for task in tasks.values() if task.runs_in(queue))) for queue in slots
        }
        self._lease = lease
        self._tell = tell
        self._upkeep = Upkeep(engine, card.id, queues, tasks, lease, tell, self._after_settling)
        self._chores = Chores(engine, queues, tell)
        self._strays = Strays(engine, card.id)
        self._thread = threading.Thread(target=self._run, name="jobsworth-office", daemon=True)
        self._started = threading.Event()
        self.on_death: Callable[[], None] = lambda: None  # called in the shop's loop if the thread fails
        self._failed: BaseException | None = None
        self._unopened: BaseException | None = None  # it failed before it had started
        self._rung = False
        self._bell = False  # the engine rang
        self._unheard = False  # ... and we have not asked yet who was cancelled
        self._deaf = False  # inside our own turn: its rings are no news
        self._accepting = True
        self._quiet = asyncio.Event()  # in the shop's loop: claiming has ended
        self._closing = False
        self._crashed = 0  # running jobs that have taken a process down before
        self._unsettled: list[Ending] = []
        self._doubtful: list[Ending] = []  # refused, but perhaps because an answer that was lost had accepted them
        self._given_up: list[Claim] = []  # whose on_exhausted has not been called
        self._next_pulse = self._next_hear = self._next_news = 0.0
        self._outage = Outage()
        self._rounded = -math.inf  # when, on time.monotonic(), the engine last answered everything

    # Called by the worker, from its own thread.
    def start(self, shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; returns when the engine is open. Raises what kept it from opening."""
        self._shop = shop
        self._shop_loop = loop
        self._thread.start()
        self._started.wait()
        if self._unopened is not None:
            raise self._unopened

    async def stop_claiming(self) -> None:
        """Take no more jobs. When this returns, the shop has been given all that it will ever be given."""
        self._accepting = False
        self._card = msgspec.structs.replace(self._card, stopping=True)
        self.ring()
        if self.alive:
            await self._quiet.wait()

    async def finish(self) -> None:
        """Write down what is left, sign off and end the thread."""
        self._closing = True
        self.ring()
        while self._thread.is_alive():  # noqa: ASYNC110 (while Python ends no thread can be had that waits for it)
            await asyncio.sleep(0.002)

    def ring(self) -> None:
        """Something may have changed. From any thread; returns at once."""
        if self._rung:
            return
        self._rung = True
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:  # the office has closed
            return

    def _heard_bell(self) -> None:
        """The engine rang: there may be jobs to claim, or somebody may have asked a running one to stop."""
        if not (self._deaf and threading.get_ident() == self._thread.ident):
            self._bell = True
            self.ring()

    @property
    def alive(self) -> bool:
        """True while the thread lives."""
        return self._thread.is_alive()

    @property
    def last_round_age(self) -> float:
        """Seconds since everything due was last done and answered; infinity before that, and when the thread ended."""
        return time.monotonic() - self._rounded if self.alive else math.inf

    @property
    def failure(self) -> BaseException | None:
        """What ended the thread before its time; None while it lives and after an orderly end."""
        return self._failed

    # The thread.
    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:  # noqa: BLE001 (told to whoever started us, or as a fault)
            self._failed = exc
            if not self._started.is_set():
                self._unopened = exc
            else:
                self._fault("the office stopped", exc)
                with contextlib.suppress(RuntimeError):  # the shop's loop has closed; nobody waits there
                    self._shop_loop.call_soon_threadsafe(self.on_death)
        finally:
            self._accepting = False
            self._started.set()
            self._say_quiet()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        await self._engine.open()
        stop_listening = self._engine.listen(self._heard_bell)
        try:
            try:
                await self._pulse()
                self._rounded = time.monotonic()
            except EngineError as exc:  # the disk is full, say: it could be opened, so this passes
                self._engine_failed(exc)
            self._started.set()
            while not (self._closing and not self._owes_something()):
                pause = await self._once()
                if pause > 0:
                    await self._sleep(pause)
                if self._closing and self._outage.lasted(self._loop.time()) > self._lease:
                    break  # the leases have run out meanwhile: others will find these jobs
            await self._sign_off()
        finally:
            await self._chores.leave()
            stop_listening()
            if not self._engine.blocking:  # a blocking one is shared with the program
                await self._engine.close()

    async def _once(self) -> float:
        """One round of everything that is due. Returns how long there may be nothing to do."""
        try:
            pause = await self._round()
        except EngineError as exc:
            return self._engine_failed(exc)
        except Exception as exc:  # noqa: BLE001 (a mistake of ours must not stop the heartbeats)
            if not self._outage:
                self._fault("the office", exc)
            return self._engine_failed(exc)
        finally:
            self._say_quiet()
        if self._outage:
            self._tell(EngineBack(self._outage.lasted(self._loop.time())))
            self._outage.end()
        self._rounded = time.monotonic()
        return pause

    def _say_quiet(self) -> None:
        """Once claiming has ended: this comes after whatever was handed over before."""
        if not self._accepting:
            with contextlib.suppress(RuntimeError):  # the shop's loop has closed; nobody waits there
                self._shop_loop.call_soon_threadsafe(self._quiet.set)

    def _owes_something(self) -> bool:
        return bool(self._unsettled or self._doubtful or self._given_up) or self._shop.has_endings

    async def _round(self) -> float:
        now = self._loop.time()
        self._rung = False
        self._wake.clear()
        self._unheard = self._unheard or self._bell
        self._bell = False
        if now >= self._next_pulse or self._outage:
            # Before anything is reclaimed: a process that was paused may still be in time to keep its own leases.
            # After a failure in any case: a full worker would ask for nothing else, and take that for an answer.
            await self._pulse()
        elif self._shop.news and now >= self._next_news:
            await self._tell_news()
        elif self._unheard and self._shop.runs and now >= self._next_hear:
            self._next_hear = now + HEAR_EVERY
            self._unheard = False
            self._heed(await self._engine.hear([run.claim.lease for run in list(self._shop.runs.values())]))
        if now >= self._upkeep.next:
            await self._upkeep.rescue(now)
        self._chores.look_after(now, accepting=self._accepting)
        self._unsettled += await self._strays.find(now)
        due = await self._turn()
        if self._doubtful:
            await self._resolve_doubts()
        if self._given_up:
            await self._upkeep.exhausted(self._given_up, self._hand_over)
            self._given_up = []
        pause = min(POLL, self._next_pulse - now, self._upkeep.next - now)
        if self._shop.news:
            pause = min(pause, self._next_news - now)
        if self._unheard and self._shop.runs:
            pause = min(pause, self._next_hear - now)
        return max(0.0, pause if due is None or not self._accepting else min(pause, due))

    async def _turn(self) -> float | None:
        """Write down the endings that have come in and take the next jobs. Returns seconds until one is due."""
        for queue in self._shop.take_freed():
            self._free[queue] += 1
        self._unsettled += self._shop.take()
        endings = self._unsettled
        free = self._free
        freed = Counter([ending.slot for ending in endings if ending.slot is not None])
        crashed = sum([ending.was_crashed for ending in endings])
        want: list[Want] = []
        if self._accepting:
            # One once-crashed job at a time in this process: if it crashes again, it alone is to blame.
            alone = self._crashed == crashed
            for queue, slots in free.items():
                room = slots + freed[queue]
                if room > 0 and self._names[queue]:
                    want.append(Want(queue, room, self._names[queue], alone))
        if not endings and not want:
            return None
        answer = await self._ask(endings, want)
        self._unsettled = []
        for queue, slots in freed.items():
            free[queue] += slots
        for queue, slots in Counter([claim.queue for claim in answer.claims]).items():
            free[queue] -= slots
        if endings:
            self._crashed -= crashed
            self._strays.known.difference_update([ending.key for ending in endings])
            self._after_settling(endings, answer.refused)
        if answer.claims:
            self._crashed += sum(
                claim.crashes > 0 and may_take_us_down(claim, self._tasks[claim.task]) for claim in answer.claims
            )
            runs = self._shop.take_in(answer.claims)
            self._strays.known.update([run.key for run in runs])
            # Last: from here on the shop's thread wants to run.
            self._shop_loop.call_soon_threadsafe(self._shop.start, runs)
        return answer.next_due

    async def _ask(self, endings: list[Ending], want: list[Want]) -> Turn:
        self._deaf = True
        sent = self._loop.time()
        try:
            settle = [
                ending.with_news() if ending.has_news else ending.settlement
                for ending in endings
                if ending.settled is None
            ]
            return await self._engine.turn(self._card.id, settle, want, lease=self._lease)
        except BaseException:
            for ending in endings:
                ending.in_doubt = True
            self._strays.unanswered(sent, self._loop.time())
            raise
        finally:
            self._deaf = False

    async def _resolve_doubts(self) -> None:
        """Tell endings that an unanswered turn had written from those of a lease that was taken."""
        refused = await self._upkeep.not_written(self._doubtful)
        doubtful, self._doubtful = self._doubtful, []
        for ending in doubtful:
            ending.in_doubt = False
        self._after_settling(doubtful, refused)

    async def _pulse(self) -> None:
        """Renew every lease, with whatever is new."""
        now = self._loop.time()
        self._next_news = now + NEWS_EVERY
        self._next_hear = now + HEAR_EVERY
        self._unheard = self._shop.news = False
        self._unsettled += self._shop.take()  # their leases too, or we rescue from ourselves what has ended already
        told = gather(list(self._shop.runs.values()), silent_too=True)
        ended = [Pulse(ending.claim.lease) for ending in self._unsettled if ending.settled is None]
        await self._send(len(told) + len(ended), told, ended)
        self._next_pulse = now + self._lease / 3

    async def _tell_news(self) -> None:
        """Carry what is new; leases that say nothing new are left for the next full pulse."""
        self._next_news = self._loop.time() + NEWS_EVERY
        self._shop.news = False
        told = gather(list(self._shop.runs.values()), silent_too=False)
        if told:
            await self._send(len(self._shop.runs), told, [])

    async def _send(self, running: int, told: Told, others: list[Pulse]) -> None:
        card = msgspec.structs.replace(self._card, running=running, rss=resident_bytes())
        try:
            pulses = [pulse for _, pulse in told] + others
            heard = await self._engine.pulse(card, pulses, lease=self._lease)
        except BaseException:
            self._shop.news = take_back(told) or self._shop.news
            raise
        self._heed(heard)

    def _heed(self, heard: Heard) -> None:
        if heard.cancelled:
            self._shop_loop.call_soon_threadsafe(self._shop.cancel, heard.cancelled)
        if heard.lost:
            self._shop_loop.call_soon_threadsafe(lose, self._shop, heard.lost, self._tell)

    def _after_settling(self, endings: list[Ending], refused: list[str]) -> None:
        """Tell who listens, and remember what was given up for its on_exhausted."""
        late = set(refused)
        for ending in endings:
            if ending.settled is not None:  # also one that was asked to end while it committed: that came first
                self._tell(AttemptEnded(ending.claim, ending.settled))
            elif ending.claim.lease.job_id not in late:
                self._tell(AttemptEnded(ending.claim, ending.settlement))
                if gives_up(ending.settlement) and ending.claim.queue in self._queues:
                    self._given_up.append(ending.claim)
            elif ending.in_doubt:
                self._doubtful.append(ending)
            elif not ending.told:
                self._tell(LeaseTaken(ending.claim, ended=True))

    def _hand_over(self, call: Callable[[Shop], None]) -> None:
        self._shop_loop.call_soon_threadsafe(call, self._shop)

    async def _sign_off(self) -> None:
        try:
            await self._engine.sign_off(self._card.id)
        except EngineError as exc:
            self._engine_failed(exc)

    def _engine_failed(self, exc: BaseException) -> float:
        """Seconds until the next try. The outage is told once."""
        now = self._loop.time()
        if not self._outage:
            self._tell(EngineLost(str(exc)))
        pause = self._outage.failed(now)
        if self._outage.lasted(now) > self._lease / 2:
            # Others could not renew their leases either: what has run out meanwhile is not lost for that.
            self._upkeep.next = max(self._upkeep.next, now + ALL_BACK)
        return pause

    async def _sleep(self, seconds: float) -> None:
        """Until something rings, at most so long."""
        if self._outage:
            await asyncio.sleep(seconds)
            return
        timer = self._loop.call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _fault(self, where: str, exc: BaseException) -> None:
        self._tell(Fault(where, f"{type(exc).__name__}: {exc}", "".join(traceback.format_exception(exc))))
