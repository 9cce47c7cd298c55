"""What happens to the jobs of the demo: one is cancelled halfway, and one loses its worker halfway."""

from __future__ import annotations

import time
from collections.abc import Sequence

from app import jobs
from crew import LEASE, Crew, Hand
from rich.markup import escape
from screen import Row, Screen

from jobsworth import Job, State

HALFWAY = (0.4, 0.65)  # shares of the work done between which a job counts as "halfway"
LOOK = 0.1  # seconds between two looks at the store
STALL = 45  # seconds without any news after which something must be wrong; a lost job is silent for a lease
FINAL = (State.COMPLETED, State.FAILED, State.CANCELLED)


class DemoFailed(Exception):
    """The demo could not be played to its end. The message is for people."""


class Story:
    """The two accidents, staged as soon as a job is where they should happen, and who was in them."""

    def __init__(self, crew: Crew, screen: Screen) -> None:
        self.cancelled: str | None = None  # the job that somebody did not want any more
        self.bereaved: str | None = None  # the job whose worker was killed
        self.killed: Hand | None = None
        self.hands: dict[str, Hand] = {}  # worker id -> process
        self._announced: set[str] = set()
        self._crew = crew
        self._screen = screen

    def muster(self, seconds: float) -> None:
        """Wait until all workers are at work, so that each gets its part of the jobs."""
        deadline = time.monotonic() + seconds
        while self._meet() < len(self._crew.hands):
            self._keep_going(deadline, f"the workers were not at work within {seconds:.0f} s")
            time.sleep(LOOK)

    def watch(self, ids: Sequence[str], seconds: float) -> list[Job]:
        """Watch until every job has ended; return them in the order of their ids."""
        deadline = time.monotonic() + seconds
        moved, known = time.monotonic(), [-1]
        while True:
            found = self._look(ids)
            self._screen.show([self._row(job) for job in found])
            for job in found:
                self._announce(job)
            if all(job.state in FINAL for job in found):
                return found
            self._stage_accidents(found)
            versions = [job.version for job in found]
            if versions != known:
                moved, known = time.monotonic(), versions
            self._keep_going(deadline, f"the jobs were not finished within {seconds:.0f} s")
            self._keep_going(moved + STALL, f"nothing has moved for {STALL} s, see the workers' logs")
            time.sleep(LOOK)

    def worker_of(self, worker: str | None) -> str:
        """A worker's name as people know it; "" for none."""
        hand = self.hands.get(worker or "")
        return hand.name if hand else worker or ""

    def _keep_going(self, deadline: float, too_late: str) -> None:
        for hand in self._crew.deserters():
            raise DemoFailed(f"{hand.name} ended by itself, see {hand.log}")
        if time.monotonic() > deadline:
            raise DemoFailed(too_late)

    def _meet(self) -> int:
        """Find out which worker is which process; returns how many are at work."""
        cards = jobs.workers()
        for card in cards:
            hand = self._crew.hand_of(card.pid)
            if hand is not None:
                self.hands[card.id] = hand
        return len(cards)

    def _look(self, ids: Sequence[str]) -> list[Job]:
        self._meet()
        found = {job.id: job for job in jobs.find(ids=ids, limit=None)}
        return [found[each] for each in ids]

    def _row(self, job: Job) -> Row:
        progress, hand = job.progress, self.hands.get(job.worker or "")
        done = (progress.current or 0) if progress else 0
        total = (progress.total or 1) if progress else 1
        remark = (progress.message or "") if progress else ""
        state = job.state.value
        if job.state is State.RUNNING and hand is not None and hand.killed:
            state, remark = "lost", "killed; its lease runs out"
        elif job.state is State.COMPLETED:
            remark = ""
        elif job.state in (State.FAILED, State.CANCELLED) and job.failure:
            remark = job.failure.message
        elif job.attempts and job.attempts[-1].outcome == "lost":
            remark = f"{self.worker_of(job.attempts[-1].worker)} lost, waits again"
        worker = hand.name if hand and job.state not in (State.QUEUED, State.SCHEDULED) else ""
        return Row(job.label or job.id, state, done, total, remark, worker, job.attempt)

    def _stage_accidents(self, found: Sequence[Job]) -> None:
        now = {job.id: job for job in found}
        if self.cancelled and now[self.cancelled].state is State.COMPLETED:
            self._screen.say("it was faster than the cancel: another one, then")
            self.cancelled = None
        halfway = [job for job in found if job.state is State.RUNNING and _is_halfway(job)]
        for job in halfway:
            hand = self.hands.get(job.worker or "")
            if hand is None or hand.killed:
                continue
            if self.cancelled is None:
                self._cancel(job)
            elif self.killed is None and hand is not self.hands.get(now[self.cancelled].worker or ""):
                self._kill(job, hand)

    def _cancel(self, job: Job) -> None:
        if jobs.handle(job.id).cancel(reason="stopped halfway"):
            self.cancelled = job.id
            self._screen.say(f"[magenta]cancel[/] {_named(job)}, {_share(job)} done: it is asked to stop")

    def _kill(self, job: Job, hand: Hand) -> None:
        self._crew.kill(hand)
        self.killed, self.bereaved = hand, job.id
        self._screen.say(f"[red]kill -9[/] {hand.name} (pid {hand.pid}) while {_named(job)} has {_share(job)} done")
        fresh = self._crew.hire()
        self._screen.say(f"{fresh.name} (pid {fresh.pid}) starts; after {LEASE} s of silence the lost jobs go on")

    def _announce(self, job: Job) -> None:
        """Say once what became of a job that somebody may have missed on its line."""
        if job.id in self._announced:
            return
        if job.state is State.FAILED:
            why = job.failure.message if job.failure else ""
            self._screen.say(f"[red]dead letter[/] {escape(why)}")
        elif job.state is State.RUNNING and job.crashes:
            worker = self.worker_of(job.worker)
            self._screen.say(f"[yellow]worker lost -> attempt {job.attempt}[/] {_named(job)} runs again on {worker}")
        else:
            return
        self._announced.add(job.id)


def _is_halfway(job: Job) -> bool:
    low, high = HALFWAY
    return job.attempt == 1 and job.progress is not None and low <= (job.progress.percent or 0) / 100 <= high


def _named(job: Job) -> str:
    return f"[bold]{escape(job.label or job.id)}[/]"


def _share(job: Job) -> str:
    assert job.progress is not None
    return f"{job.progress.current:.0f} of {job.progress.total:.0f} steps"
