"""The shop: runs jobs in the loop, in threads and in child processes. Knows no engine.

It is given claims and gives back endings, whole batches at a time; everything here but `end` belongs to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from jobsworth.context import Begin, CurrentJob
from jobsworth.errors import Cancelled, Interrupted, LeaseLost, TimedOut
from jobsworth.events import Afterthought, Fault, Listener, Stuck
from jobsworth.job import CancelRequest, Claim, Job
from jobsworth.journal import OFF
from jobsworth.lifecycle import gives_up, settle
from jobsworth.outcome import Lost, Outcome, Released, Snoozed, Stopped
from jobsworth.runners.ending import stopped
from jobsworth.runners.loop import run_in_loop
from jobsworth.runners.thread import Threads, run_in_thread
from jobsworth.snapshot import error_line

from .endings import Ending
from .letters import with_letter
from .run import AGAIN, Key, Run, afterthought

if TYPE_CHECKING:
    from jobsworth.queue import QueueService
    from jobsworth.runners.process import ChildProcess
    from jobsworth.task import Task

START_AGAIN = 1.0  # seconds after which a job is offered again that could not be started here
LEAVE_AFTER = 1.0  # seconds that a forced coroutine gets before it is left behind at shutdown


class Shop:
    """Runs claims side by side. `tasks` by name; `deliver` hears that endings are waiting, from any thread.

    capture_logs: what handlers log is kept with their jobs, as far as their tasks say so.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        deliver: Callable[[], None],
        tell: Listener,
        spec: str | None,
        begin: Begin | None = None,
        *,
        capture_logs: bool = False,
    ) -> None:
        self._begin = begin
        self._log_levels = {name: task.log_level if capture_logs else OFF for name, task in tasks.items()}
        self._tasks = tasks
        self._deliver = deliver
        self._tell = tell
        self._spec = spec
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._threads = Threads()
        self._children: list[ChildProcess] = []  # idle ones
        self._endings: list[Ending] = []
        self._delivering = False
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_at = 0.0
        self._left_behind: Counter[str] = Counter()  # threads, by queue, that go on although their job was ended
        self._freed: list[str] = []
        self._empty = asyncio.Event()
        self._empty.set()
        self._hurried = asyncio.Event()
        self._hooks: set[Future[None]] = set()  # calls of on_exhausted that have not ended
        self.runs: dict[Key, Run] = {}
        self.news = False  # some run has progress or lines that have not travelled

    def take_in(self, claims: Sequence[Claim]) -> list[Run]:
        """From the office: these are ours from now on, so their leases are renewed however long the loop is blocked."""
        tasks, levels, note, begin, now = self._tasks, self._log_levels, self._note, self._begin, time.monotonic()
        runs = [
            Run(claim, tasks[claim.task], CurrentJob(claim, note, begin, now, levels[claim.task])) for claim in claims
        ]
        for run in runs:
            self.runs[run.key] = run
        return runs

    # In: runs and requests, always in the loop.
    def start(self, runs: Sequence[Run]) -> None:
        """Run these. Each holds a slot until its ending is taken."""
        self._empty.clear()
        for run in runs:
            run.begin()
            try:
                self._start(run)
            except Exception as exc:  # noqa: BLE001 (no thread to be had, say: this job waits, the others go on)
                self._fault(f"starting job {run.claim.lease.job_id}", exc)
                self.end(run, Released(START_AGAIN))
            if run.due is not None:
                self._sweep_by(run.due)

    def _start(self, run: Run) -> None:
        claim, isolation = run.claim, run.task.isolation
        if claim.expired:
            self.end(run, Stopped(expired=True))
        elif claim.cancelling:
            self.end(run, Stopped(claim.cancel_reason))
        elif (hold := run.task.hold) is not None and (wait := hold(claim.lease.job_id)) > 0:
            self.end(run, Snoozed(wait))
        elif isolation == "loop":
            run.aio = self._loop.create_task(self._in_loop(run))  # `runs` keeps it from being forgotten
        elif isolation == "thread":
            self._threads.submit(lambda: self._in_thread(run))
        else:
            run.aio = self._loop.create_task(self._in_child(run))

    def cancel(self, requests: Iterable[CancelRequest]) -> None:
        """Somebody asked these to stop."""
        asked = {request.job_id: request for request in requests}
        for run in list(self.runs.values()):
            request = asked.get(run.claim.lease.job_id)
            if request is not None and (run.asked_at is None or request.grace is not None):
                self._stop(run, Cancelled(request.reason), request.grace)

    def lose(self, job_ids: Iterable[str]) -> list[Claim]:
        """These leases are another's: what their runs do counts for nothing. Returns the claims this is news of."""
        gone = set(job_ids)
        found = [
            run
            for run in list(self.runs.values())
            # One that completes its job itself gives its lease up by that.
            if run.claim.lease.job_id in gone and not run.lost and run.context.settling is None
        ]
        for run in found:
            run.lost = True
            self._stop(run, LeaseLost(f"job {run.claim.lease.job_id} was taken over by another attempt"))
        return [run.claim for run in found]

    # Out: endings.
    def end(self, run: Run, outcome: Outcome, *, slot_free: bool = True) -> bool:
        """A run has ended. Safe from any thread; the first ending of a run is the one that counts. False if late."""
        if self.runs.pop(run.key, None) is None:
            return False
        claim = run.claim
        settlement = run.context.settled or settle(claim, outcome, run.task.retry)
        if run.context.settled is not None and (what := afterthought(run.context.settled, outcome)):
            self._tell(Afterthought(claim, what))
        if gives_up(settlement):
            settlement = with_letter(claim, settlement, self._tasks, self._tell)
        slot, context = claim.queue if slot_free else None, run.context
        self._endings.append(Ending(claim, settlement, slot, run.crashed_before, run.lost, context))
        if threading.get_ident() == self._loop_thread:
            if not self._delivering:
                # At the end of this round of the loop, so that jobs that end together are written down together.
                self._delivering = True
                self._loop.call_soon(self._deliver_now)
        else:
            self._deliver()
            if not self.runs:
                self._soon(self._check_empty)
        return True

    def _soon(self, call: Callable[..., object], *args: object) -> None:
        """In the loop, soon; from any thread. Not at all when the worker has ended meanwhile."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)

    def _deliver_now(self) -> None:
        self._delivering = False
        self._deliver()
        self._check_empty()

    def _check_empty(self) -> None:
        if not self.runs:
            self._empty.set()

    @property
    def has_endings(self) -> bool:
        """True while the office has endings to take."""
        return bool(self._endings)

    def take(self) -> list[Ending]:
        """The endings since the last call. For the office."""
        endings = self._endings
        # Appending from other threads goes on meanwhile: take a length, then exactly so many.
        count = len(endings)
        taken = endings[:count]
        del endings[:count]
        return taken

    def exhausted(self, queue: QueueService, job: Job) -> None:
        """Call a queue's on_exhausted, in a thread; what it raises is told, not raised."""

        called: Future[None] = Future()

        def call() -> None:
            try:
                queue.on_exhausted(job, error_line(job.failure))
            except BaseException as exc:  # noqa: BLE001 (a user's hook)
                self._fault(f"on_exhausted of queue {queue.name!r}", exc)
            finally:
                called.set_result(None)

        self._hooks.add(called)
        called.add_done_callback(self._hooks.discard)
        self._threads.submit(call)

    async def drain(self, grace: float) -> None:
        """Wait for what runs; after `grace` seconds ask it to stop and hand it back; leave behind what does not."""
        if not await self._becomes_empty(grace) and self.runs:
            for run in list(self.runs.values()):
                self._stop(run, Interrupted("the worker shuts down"), 0.0 if run.child else None)
            await self._becomes_empty(LEAVE_AFTER)
        left = list(self.runs.values())
        for run in left:
            if run.child is not None:
                run.child.kill()
            self.end(
                run, Released() if run.asked_at is None else stopped(run.context.why or Interrupted(), run.context)
            )
        for run in left:
            if run.aio is not None:
                run.aio.cancel()
        for child in self._children:
            child.kill()
        self._children.clear()
        if self._sweep is not None:
            self._sweep.cancel()

    async def close(self, patience: float) -> None:
        """Wait for hooks that are being called, at most `patience` seconds, and let the threads go."""
        hooks = [asyncio.wrap_future(called) for called in list(self._hooks)]
        if hooks:
            await asyncio.wait(hooks, timeout=patience)
        self._threads.close()

    def hurry(self) -> None:
        """Cut the grace of a drain() short."""
        self._hurried.set()

    async def _becomes_empty(self, seconds: float) -> bool:
        """Wait until nothing runs, at most so long, and not at all once hurried."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._empty, self._hurried)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not self.runs

    # The three ways to run.
    async def _in_loop(self, run: Run) -> None:
        run.started = True
        if run.context.why is not None:
            self.end(run, stopped(run.context.why, run.context))
            return
        self.end(run, await run_in_loop(run.task, run.claim, run.context))

    def _in_thread(self, run: Run) -> None:
        why = run.context.why
        outcome = stopped(why, run.context) if why else run_in_thread(run.task, run.claim, run.context)
        if not self.end(run, outcome) and run.left_behind is not None:
            self._soon(self._came_back, run)  # it was ended without waiting for it; now its thread is really free

    async def _in_child(self, run: Run) -> None:
        from jobsworth.runners.process import ChildFailed, ChildProcess, failed_to_start

        run.started = True
        try:
            child = self._idle_child() or await ChildProcess.start(self._spec or "")
        except ChildFailed as exc:
            self.end(run, failed_to_start(exc))
            return
        except OSError as exc:  # no memory or no descriptors for another process, say
            self._fault(f"starting a child process for job {run.claim.lease.job_id}", exc)
            self.end(run, Released(START_AGAIN))
            return
        if run.context.why is not None:
            self._children.append(child)
            self.end(run, stopped(run.context.why, run.context))
            return
        run.child = child
        try:
            outcome = await child.run(run.claim, run.context)
        except Exception as exc:  # noqa: BLE001 (it spoke nonsense: nothing it says can be trusted any more)
            self._fault(f"the child process of job {run.claim.lease.job_id}", exc)
            child.kill()
            outcome = Lost(f"its child process sent nonsense: {exc}")
        run.child = None
        if child.alive:
            self._children.append(child)
        self.end(run, outcome)

    def _idle_child(self) -> ChildProcess | None:
        while self._children:
            child = self._children.pop()
            if child.alive:  # one may have died while it had nothing to do; that is no job's fault
                return child
        return None

    def _note(self) -> None:
        if not self.news:  # else the office knows, and comes for it
            self.news = True
            self._deliver()

    # What must happen at some moment: timeouts, repeated cancellation, force.
    def _stop(self, run: Run, why: Cancelled | LeaseLost, grace: float | None = None) -> None:
        run.stop(why, grace)
        if run.due is not None:
            self._sweep_by(run.due)

    def _sweep_by(self, moment: float) -> None:
        if self._sweep is not None:
            if self._sweep_at <= moment:
                return
            self._sweep.cancel()
        self._sweep_at = moment
        self._sweep = self._loop.call_later(max(0.0, moment - time.monotonic()), self._act)

    def _act(self) -> None:
        """Do what is due, and come back for what is due next."""
        self._sweep = None
        now = time.monotonic()
        for run in list(self.runs.values()):
            if run.due is not None and run.due <= now:
                self._act_on(run, now)
        dues = [run.due for run in list(self.runs.values()) if run.due is not None]
        if dues:
            self._sweep_by(min(dues))

    def _act_on(self, run: Run, now: float) -> None:
        if run.asked_at is None:
            run.expire()
            return
        if run.force_at is not None and now >= run.force_at:
            self._force(run, now)
        else:
            run.nudge(now)

    def _force(self, run: Run, now: float) -> None:
        """The grace is over. Kill a child; end a timed-out thread's job without it; go on asking a coroutine."""
        if run.child is not None:
            run.child.kill()
            run.due = None
            return
        if run.task.isolation == "process":  # its child still starts; it looks for itself when it has
            run.due = None
            return
        if not run.stuck:
            run.stuck = True
            self._tell(Stuck(run.claim, now - (run.asked_at or now), run.task.isolation))
        if run.aio is not None:
            run.aio.cancel()
            run.due = now + AGAIN
            return
        run.due = None
        why = run.context.why
        if isinstance(why, TimedOut | LeaseLost):
            # Its thread goes on, so its slot is given to another thread, but not for ever: a queue whose threads all
            # hang must not grow without bound.
            queue = run.claim.queue
            room = self._left_behind[queue] < run.task.queue.worker_count
            run.left_behind = room
            if self.end(run, stopped(why, run.context), slot_free=room):
                self._left_behind[queue] += room

    def _came_back(self, run: Run) -> None:
        queue = run.claim.queue
        if run.left_behind:
            self._left_behind[queue] -= 1
        else:
            self._freed.append(queue)
            self._deliver()

    def take_freed(self) -> list[str]:
        """Queues whose slot a stuck thread has given back since the last call. For the office."""
        count = len(self._freed)
        freed = self._freed[:count]
        del self._freed[:count]
        return freed

    def _fault(self, where: str, exc: BaseException) -> None:
        self._tell(Fault(where, f"{type(exc).__name__}: {exc}", "".join(traceback.format_exception(exc))))
