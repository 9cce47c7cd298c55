"""Why a job is not running, or what it does instead: from what an engine shows at one look to sentences.

Pure: values in, sentences out. Texts hold names and messages from data as they are; who shows them makes them harmless.
The words are stable, for programs; the sentences are for people and may change.

    unreachable                                        the engine does not answer
    scheduled, retry, snoozed                          its time has not come
    paused, no-worker, not-served, silent, stopping,
    unknown-task                                       nobody would take it
    crashed, busy, ahead                               others come first
    expires, expired                                   its time to start is limited; or was
    starting                                           nothing is in its way
    running, cancelling, worker-lost                   a worker has it
    completed, failed, cancelled, key-held             it has ended; why it cannot be tried again
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from .engine import SILENT_AFTER, QueueStatus, WorkerCard
from .errors import EngineUnavailable
from .job import FINAL, HELD, Job, JobId, State
from .snapshot import error_line, moment
from .wording import count, duration

START = "jobsworth worker"  # how a worker is started, where nobody says better
NOBODY = frozenset({"paused", "no-worker", "not-served", "silent", "stopping", "unknown-task"})  # would take it
_SOON = 5.0  # seconds that a job may be ready beside a free slot before that is odd
_NAMED = 3  # jobs or workers named in one sentence


class Finding(msgspec.Struct, frozen=True):
    """One reason. word: short and stable; text: what is so; do: what to do now."""

    word: str
    text: str
    do: str


class Why(msgspec.Struct, frozen=True):
    """Everything there is to say, the most important first; never empty. state: None if the engine did not answer."""

    job_id: JobId
    state: State | None
    findings: list[Finding]

    @property
    def words(self) -> list[str]:
        """The findings' words alone."""
        return [finding.word for finding in self.findings]

    def __str__(self) -> str:
        return "\n".join(f"{finding.text}; {finding.do}" for finding in self.findings)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine showed of a job and of what is around it.

    now:       the engine's moment.
    ahead:     jobs that are given out before it; None unless it is queued.
    queue:     its queue, with out_rate.
    workers:   all live workers.
    holders:   the jobs of its queue that workers hold, or the oldest so many.
    crashed:   jobs of any queue that workers hold and that have taken a process down before.
    rival:     the live job that holds this one's key.
    """

    job: Job
    now: float
    ahead: int | None
    queue: QueueStatus
    workers: Sequence[WorkerCard] = ()
    holders: Sequence[Job] = ()
    crashed: Sequence[Job] = ()
    rival: Job | None = None


def unreachable(job_id: JobId, exc: EngineUnavailable) -> Why:
    """Nobody can start it, or know of it, while the engine is away."""
    do = exc.hint or "bring it back; `jobsworth doctor` looks at it. Workers wait for it, and nothing stored is lost"
    return Why(job_id, None, [Finding("unreachable", f"the engine does not answer: {exc.message}", do)])


def explain(scene: Scene, start: str = START) -> Why:
    """Say why. start: the command that starts a worker here."""
    return Why(scene.job.id, scene.job.state, list(_findings(scene, start)))


def _findings(scene: Scene, start: str) -> Iterator[Finding]:
    job = scene.job
    if job.state in FINAL:
        yield from _ended(scene)
    elif job.state in HELD:
        yield from _held(scene, start)
    elif job.state is State.SCHEDULED and (job.run_at or 0.0) > scene.now:
        yield _not_yet(scene)
        yield from _nobody(scene, start)
        yield from _limited(scene)
    else:
        yield from _waiting(scene, start)


# Its time has not come.


def _not_yet(scene: Scene) -> Finding:
    job = scene.job
    when = f"in {duration((job.run_at or 0.0) - scene.now)}, at {_clock(job.run_at)}"
    do = f"wait, or have it tried now: jobsworth retry {job.id}"
    last = job.attempts[-1] if job.attempts else None
    if last is not None and last.outcome == "snoozed":
        return Finding("snoozed", f"its handler asked to be called again later: {when}", do)
    if last is not None and last.error is not None and last.outcome != "released":
        lost = f"it has taken its process down {_times(job.crashes)}" if last.outcome == "lost" else ""
        left = f"{job.errors} of {count(job.max_attempts, 'attempt')} used up by errors"
        ended = f"attempt {last.number} {_WORDS.get(last.outcome or '', 'ended')}: {error_line(last.error)}"
        return Finding("retry", f"{ended}; the next one begins {when} ({lost or left})", do)
    return Finding("scheduled", f"it is scheduled: it may start {when}", do)


_WORDS = {"failed": "failed", "timed_out": "ran out of time", "lost": "was lost with its process"}


# It waits in line.


def _waiting(scene: Scene, start: str) -> Iterator[Finding]:
    """Whoever would not take it at all goes before whoever is busy; how many are before it goes by their number."""
    found = list(_nobody(scene, start))
    if not found:
        taken, line = list(_slots(scene, start)), list(_ahead(scene, start))
        if not taken and (scene.ahead or 0) < _free(scene):
            line = []  # they are given out together with it
        found = line + taken if (scene.ahead or 0) > scene.queue.slots else taken + line
    else:
        found += _ahead(scene, start)
    yield from found
    yield from _limited(scene)
    if not found:
        yield _starting(scene)


def _nobody(scene: Scene, start: str) -> Iterator[Finding]:
    """What keeps every worker from taking it: the queue's own switch, and then the first thing workers lack."""
    job, name = scene.job, scene.job.queue
    if scene.queue.paused:
        yield Finding("paused", f'queue "{name}" is paused', f"let it go on: jobsworth queues resume {name}")
    serving = [card for card in scene.workers if name in card.queues]
    heard = [card for card in serving if card.beat <= SILENT_AFTER]
    open_ones = [card for card in heard if not card.stopping]
    if not scene.workers:
        yield Finding("no-worker", f'no worker is live, so none is listening on "{name}"', f"start one: {start}")
    elif not serving:
        others = _some([card.id for card in scene.workers])
        text = f'no worker is listening on "{name}": {others} {_do(scene.workers)} not serve it'
        yield Finding("not-served", text, f"start one that does: {start} --queues {name}")
    elif not heard:
        silence = duration(min(card.beat for card in serving))
        text = f'no worker of "{name}" has been heard of for {silence}: {_some([card.id for card in serving])}'
        yield Finding("silent", text, f"see whether they were killed, paused or cut off, or start another: {start}")
    elif not open_ones:
        text = f'every worker of "{name}" is stopping: {_some([card.id for card in heard])}'
        yield Finding("stopping", text, f"start a new one: {start}")
    elif not any(job.task in card.tasks for card in open_ones):
        text = f'warn[W301]: no live worker of "{name}" knows the task "{job.task}"; it waits, nothing is lost'
        yield Finding("unknown-task", text, "restart the workers with a program that declares it")


def takers(scene: Scene) -> list[WorkerCard]:
    """The workers that would take the job when they have a free slot."""
    return [
        card
        for card in scene.workers
        if scene.job.queue in card.queues
        and scene.job.task in card.tasks
        and card.beat <= SILENT_AFTER
        and not card.stopping
    ]


def _slots(scene: Scene, start: str) -> Iterator[Finding]:
    """The rule that a process runs one once-crashed job at a time, and the slots."""
    job, cards = scene.job, takers(scene)
    blamed = {each.worker: each for each in scene.crashed if each.id != job.id}
    if job.crashes and all(card.id in blamed for card in cards):
        others = _some([f"{each.id} on {each.worker}" for each in blamed.values()])
        text = (
            f"it took its process down {_times(job.crashes)}, and a worker process runs one once-crashed job at a time:"
            f" {others} {'runs' if len(blamed) == 1 else 'run'} now"
        )
        yield Finding("crashed", text, f"wait for {'it' if len(blamed) == 1 else 'them'}, or add a worker: {start}")
    if _free(scene) <= 0:
        yield _busy(scene, sum(card.queues[job.queue] for card in cards), start)


def _free(scene: Scene) -> int:
    """Slots that could take the job now. Jobs of a worker that is gone hold none."""
    name, cards = scene.job.queue, takers(scene)
    slots = sum(card.queues[name] for card in cards)
    held = sum(scene.queue.counts.get(state, 0) for state in HELD)
    if len(scene.holders) >= held:
        by_worker = Counter(each.worker for each in scene.holders)
        held = sum(min(by_worker[card.id], card.queues[name]) for card in cards)
    return slots - held


def _busy(scene: Scene, slots: int, start: str) -> Finding:
    workers = {card.id for card in takers(scene)}
    holders = [each for each in scene.holders if each.worker in workers]
    held = sorted(holders, key=lambda each: each.started_at or scene.now)
    named = [f"{each.id} {each.task} for {duration(_since(each.started_at, scene.now))}" for each in held]
    whose = f'its slot in "{scene.job.queue}" is' if slots == 1 else f'all {slots} slots of "{scene.job.queue}" are'
    text = f"{whose} held by {_some(named)}" if named else f"{whose} held"
    stop = f"; or stop one: jobsworth cancel {held[0].id}" if held else ""
    return Finding("busy", text, f"wait, or add slots: {start} --queues {scene.job.queue}:{slots + 1}{stop}")


def _ahead(scene: Scene, start: str) -> Iterator[Finding]:
    if not scene.ahead:
        return
    job = scene.job
    kind = "once-crashed job" if job.crashes else "job"
    text = f'{count(scene.ahead, kind)} of "{job.queue}" {"is" if scene.ahead == 1 else "are"} given out before it'
    if scene.queue.out_rate and not job.crashes and not scene.queue.paused:
        left = duration(60.0 * scene.ahead / scene.queue.out_rate)
        text += f"; at the pace of the last minute ({scene.queue.out_rate:,} ended) its turn comes in about {left}"
    yield Finding("ahead", text, f"wait, or add slots: {start} --queues {job.queue}:{max(scene.queue.slots, 1) * 2}")


def _limited(scene: Scene) -> Iterator[Finding]:
    """It must not start later than a moment its program named."""
    job = scene.job
    if job.expires_at is None:
        return
    left = job.expires_at - scene.now
    if left > 0:
        text = f"it must start within {duration(left)} (by {_clock(job.expires_at)}), or it ends as expired"
    else:
        text = f"its time to start has passed {duration(-left)} ago: who takes it next will end it as expired"
    yield Finding("expires", text, "if it still matters, enqueue it again with a later `expires`")


def _starting(scene: Scene) -> Finding:
    job = scene.job
    ready = _since(job.run_at, scene.now) or 0.0
    free = _some([card.id for card in takers(scene)])
    if ready <= _SOON:
        return Finding("starting", f"nothing is in its way: {free} can take it", f"follow it: jobsworth watch {job.id}")
    text = f"nothing is in its way, yet it has been ready for {duration(ready)} and {free} did not take it"
    return Finding("starting", text, "see what that worker says: it may be starved, or cut off; jobsworth doctor")


# A worker has it.


def _held(scene: Scene, start: str) -> Iterator[Finding]:
    job = scene.job
    card = next((each for each in scene.workers if each.id == job.worker), None)
    if card is None or card.beat > SILENT_AFTER:
        silence = "gone" if card is None else f"silent for {duration(card.beat)}"
        rescuers = [each for each in scene.workers if each is not card and each.beat <= SILENT_AFTER]
        if rescuers:
            after, do = "another one takes it over when its lease runs out", "wait some seconds"
        else:
            after, do = "no live worker is there to take it over", f"start one: {start}"
        yield Finding("worker-lost", f"its worker {job.worker} is {silence}; {after}", do)
    since = duration(_since(job.started_at, scene.now))
    where = f"attempt {job.attempt} of {job.max_attempts} on {job.worker}, for {since}"
    if job.state is State.CANCELLING:
        asked = f": {job.cancel_reason}" if job.cancel_reason else ""
        text = f"it was asked to stop{asked}, and still runs: {where}"
        do = 'a handler stops at its next check_cancelled() or await; isolation="process" can be stopped by force'
        yield Finding("cancelling", text, do)
    else:
        do = f"follow it: jobsworth watch {job.id}; stop it: jobsworth cancel {job.id}"
        yield Finding("running", f"it runs: {where}", do)


# It has ended.


def _ended(scene: Scene) -> Iterator[Finding]:
    job = scene.job
    again = f"to run it again: jobsworth retry {job.id}"
    ago = f"{duration(_since(job.finished_at, scene.now))} ago"
    after = f", after {count(job.attempt, 'attempt')}" if job.attempt > 1 else ""
    reason = job.failure.reason if job.failure is not None else ""
    if job.state is State.COMPLETED:
        text = f"it is done: it ended {ago}{after}"
        yield Finding("completed", text, f"its result: jobsworth show {job.id}; {again}")
    elif job.state is State.FAILED:
        text = f"it was given up {ago}{after} ({reason}): {error_line(job.failure)}"
        yield Finding("failed", text, f"mend the cause (jobsworth show {job.id}); then {again}")
    elif reason == "expired":
        yield Finding("expired", f"it was not started in time, and ended {ago}", again)
    else:
        why = f": {job.failure.message}" if job.failure is not None and job.failure.message != "cancelled" else ""
        yield Finding("cancelled", f"it was cancelled {ago}{why}", again)
    if scene.rival is not None:
        text = f"its key {job.key!r} is held by the live job {scene.rival.id} ({scene.rival.state.value})"
        do = f"it can be tried again when that one has ended: jobsworth watch {scene.rival.id}"
        yield Finding("key-held", text, do)


# Words.


def _since(then: float | None, now: float) -> float | None:
    return None if then is None else max(0.0, now - then)


def _clock(seconds: float | None) -> str:
    """2026-01-31 08:00:00 UTC"""
    return (moment(seconds) or "-")[:19].replace("T", " ") + " UTC"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _do(those: Sequence[object]) -> str:
    return "does" if len(those) == 1 else "do"


def _some(names: Sequence[str]) -> str:
    """a; a and b; a, b, c and 4 more"""
    shown = list(names[:_NAMED])
    if len(names) > _NAMED:
        shown.append(f"{len(names) - _NAMED:,} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "nobody"
