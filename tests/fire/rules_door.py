"""What must be true of the questions and answers at the engine's door, and of the final dump because of them.

A call that was not answered may have been carried out, or not, or later: it excuses, and accuses nobody.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from fire_history import Ended, Event, Held, History

from jobsworth import Job, State
from jobsworth.job import FINAL

SLACK = 0.05  # seconds by which the engine's clock and the recorders' may drift apart during a run


def wrong_at_the_door(history: History) -> Iterator[str]:
    """Invariants that need the calls."""
    if not history.calls:
        return
    by_id: dict[str, list[Event]] = defaultdict(list)
    for event in history.events:
        if event.kind == "start":
            by_id[event.id].append(event)
    for id_, job in history.stored.items():
        leases, endings = history.leases.get(id_, []), history.endings.get(id_, [])
        yield from (f"{id_}: {text}" for text in _wish(job, leases, history))
        yield from (f"{id_}: {text}" for text in _leases(leases, endings, history))
        yield from (f"{id_}: {text}" for text in _stale_writes(id_, leases, endings, history))
        yield from (f"{id_}: {text}" for text in _starts(job, by_id[id_], leases, history))
        yield from (f"{id_}: {text}" for text in _due(job, leases, endings, history))
        yield from (f"{id_}: {text}" for text in _settled(job, leases, endings, history))
        yield from (f"{id_}: {text}" for text in _progress(job, leases, endings, history))
    yield from _cancelled(history, by_id)
    yield from _paused(history)
    yield from _more_than_wanted(history)
    yield from _more_than_slots(history)


def _turns(leases: list[Held]) -> list[Held]:
    return [held for held in leases if held.call.verb == "turn"]


def _wish(job: Job, leases: list[Held], history: History) -> Iterator[str]:
    """A job is there because somebody asked for it, and is what was asked for."""
    wish, _ = history.wishes.get(job.id, (None, None))
    if wish is None:
        yield "is there, but nobody asked for it"
        return
    for name in ("queue", "task", "args", "key", "owner", "label", "tags", "meta", "priority", "max_attempts"):
        if getattr(job, name) != getattr(wish, name):
            yield f"its {name} is {getattr(job, name)!r}, asked for was {getattr(wish, name)!r}"
    for held in leases:
        if held.claim.corrupt or held.claim.args != wish.args:
            yield f"was given out with {held.claim.args!r}, asked for was {wish.args!r} ({held.claim.corrupt})"


def _leases(leases: list[Held], endings: list[Ended], history: History) -> Iterator[str]:
    """One at a time, by ever larger fences; taken from nobody before it has run out."""
    given = [held for held in leases if held.call.verb != "recall"]
    yield from (
        f"lease {fence} was given out {n} times" for fence, n in Counter(h.fence for h in given).items() if n > 1
    )
    for later in given:
        for earlier in given:
            if earlier.call.at <= later.call.began and earlier.fence > later.fence:
                yield f"lease {later.fence} was given out after lease {earlier.fence}"
    for first, second in pairwise(given):
        if any(e.fence == first.fence and e.accepted is not False and e.call.began <= second.call.at for e in endings):
            continue  # it had ended, or may have
        if second.call.verb == "turn":
            yield f"lease {second.fence} was given out while lease {first.fence} was held"
        renewals = [
            call
            for fence, call, _, accepted in history.pulses.get(first.claim.lease.job_id, [])
            if fence == first.fence and accepted
        ]
        ends = max(call.began + call.lease for call in (first.call, *renewals))
        if second.call.verb == "reclaim" and second.call.at < ends - SLACK:
            yield f"lease {first.fence} was taken over at least {ends - second.call.at:.3f} s before it could run out"


def _stale_writes(id_: str, leases: list[Held], endings: list[Ended], history: History) -> Iterator[str]:
    writes = [("ending", each.fence, each.call) for each in endings if each.accepted]
    writes += [("pulse", fence, call) for fence, call, _, accepted in history.pulses.get(id_, []) if accepted]
    for what, fence, call in writes:
        if any(held.fence > fence and held.call.at <= call.began for held in leases):
            yield f"the {what} of stale lease {fence} was accepted"
        if any(e.accepted and e.fence == fence and e.call.at <= call.began and e.call is not call for e in endings):
            yield f"a second {what} of lease {fence} was accepted after it had ended"


def _starts(job: Job, starts: list[Event], leases: list[Held], history: History) -> Iterator[str]:
    """A handler starts under a lease that its worker was given, while that is the newest."""
    by_fence = {held.fence: held for held in _turns(leases)}
    for event in starts:
        held = by_fence.get(event.fence)
        if held is None or held.call.began > event.at:
            yield f"attempt {event.attempt} started under lease {event.fence}, which nobody was given before"
            continue
        if held.claim.expired:
            yield f"attempt {event.attempt} started although it had expired"
        if held.claim.attempt != event.attempt:
            yield f"attempt {held.claim.attempt} was given out and ran as attempt {event.attempt}"
        healthy = not {held.call.pid, event.pid} & history.disturbed
        if healthy and any(each.fence > event.fence and each.call.at < event.at for each in leases):
            yield f"attempt {event.attempt} started in a healthy process after its lease was taken"


def _due(job: Job, leases: list[Held], endings: list[Ended], history: History) -> Iterator[str]:
    """Never before the delay of its wish, retry or snooze is over, never after it expired."""
    wish, asked = history.wishes.get(job.id, (None, None))
    if wish is None or asked is None or job.id in history.hurried:
        return
    for held in _turns(leases):
        if held.call.at < asked.began + wish.delay - SLACK:
            yield f"was given out {asked.began + wish.delay - held.call.at:.3f} s too early"
        if (
            wish.expires is not None and asked.answered and not held.claim.expired
            and held.call.began > asked.at + wish.expires + SLACK
        ):  # fmt: skip
            yield "was given out as if it had not expired"
    for ended in endings:
        if ended.accepted and ended.settlement.target is State.SCHEDULED:
            due = ended.call.began + ended.settlement.delay
            if any(held.fence > ended.fence and held.call.at < due - SLACK for held in _turns(leases)):
                yield f"was given out again before its {ended.settlement.delay:.3f} s of waiting were over"


def _settled(job: Job, leases: list[Held], endings: list[Ended], history: History) -> Iterator[str]:
    """What was accepted is what the store tells, and a final state is final."""
    numbers = {held.fence: held.claim.attempt for held in leases}
    sure = Counter((numbers.get(e.fence), e.settlement.outcome) for e in endings if e.accepted)
    perhaps = sure + Counter((numbers.get(e.fence), e.settlement.outcome) for e in endings if e.accepted is None)
    told = Counter((each.number, each.outcome) for each in job.attempts)
    if len(job.attempts) < 50:  # the oldest are forgotten
        yield from (f"attempt {n} ended as {word}, its history does not say so" for n, word in sure - told)
        yield from (f"attempt {n} is said to have ended as {word}, nobody sent that" for n, word in told - perhaps)
    if job.id in history.renewed:
        return
    final = [each for each in endings if each.accepted and each.settlement.target in FINAL]
    if len(final) > 1:
        yield f"ended {len(final)} times"
    for ended in final:
        if job.state is not ended.settlement.target:
            yield f"ended as {ended.settlement.target.value}, the store says {job.state.value}"
        if any(held.call.began > ended.call.at for held in leases):
            yield f"was given out again after it had ended as {ended.settlement.target.value}"
        if job.state is State.COMPLETED and job.result != ended.settlement.result:
            yield f"its result is {job.result!r}, the holder of its lease sent {ended.settlement.result!r}"


def _progress(job: Job, leases: list[Held], endings: list[Ended], history: History) -> Iterator[str]:
    """The last attempt's newest note, and no other's; notes of one attempt never go back."""
    notes = [(fence, progress, accepted) for fence, _, progress, accepted in history.pulses.get(job.id, []) if progress]
    notes += [(e.fence, e.settlement.progress, e.accepted) for e in endings if e.settlement.progress]
    last = max((held.fence for held in _turns(leases)), default=0)
    of_last = [progress for fence, progress, accepted in notes if fence == last and accepted is not False]
    if job.progress is not None and job.progress not in of_last and job.id not in history.renewed:
        yield f"its progress is {job.progress}, which the last holder of its lease never said"
    if job.state is State.COMPLETED and any(fence == last and accepted for fence, _, accepted in notes):
        sent = [progress for fence, progress, _ in notes if fence == last]
        if job.progress != sent[-1]:
            yield f"its progress is {job.progress}, last said was {sent[-1]}"
    for held in _turns(leases):
        said = [
            progress.current for fence, progress, _ in notes if fence == held.fence and progress.current is not None
        ]
        if said != sorted(said):
            yield f"progress of attempt {held.claim.attempt} went back: {said}"


def _cancelled(history: History, starts: dict[str, list[Event]]) -> Iterator[str]:
    cancels = [call for call in history.calls if call.move == "cancel"]
    for call in cancels:
        for id_ in call.moved if call.answered else ():
            job = history.stored.get(id_)
            if job is None or id_ in history.renewed:
                continue
            given = _turns(history.leases.get(id_, []))
            if any(held.call.began >= call.at for held in given):
                yield f"{id_}: was given out after it was cancelled"
            if not given and job.attempt == 0 and (job.state is not State.CANCELLED or starts[id_]):
                yield f"{id_}: cancelled while it waited, it is {job.state.value}"
            if not job.cancel_requested:
                yield f"{id_}: cancelled, and the store does not know that somebody asked"
    asked = history.perhaps_moved("cancel")
    if all(call.answered or call.ids is not None for call in cancels):
        yield from (
            f"{job.id}: nobody cancelled it, the store says that somebody did"
            for job in history.jobs if job.cancel_requested and job.id not in asked
        )  # fmt: skip


def _paused(history: History) -> Iterator[str]:
    """A paused queue gives nothing out."""
    switches = [call for call in history.calls if call.verb == "configure" and call.paused is not None]
    for pause in switches:
        if not (pause.paused and pause.answered):
            continue
        resumed = [each for each in switches if not each.paused and (each.unknown or each.at > pause.began)]
        until = min((each.began for each in resumed), default=float("inf"))
        for call in history.calls:
            if call.verb == "turn" and call.answered and call.began >= pause.at and call.at <= until:
                yield from (
                    f"{claim.lease.job_id}: was given out while queue {pause.queue} was paused"
                    for claim in call.claims if claim.queue == pause.queue
                )  # fmt: skip


def _more_than_wanted(history: History) -> Iterator[str]:
    for call in history.calls:
        room = {want.queue: want.limit for want in call.want}
        for queue, number in Counter(claim.queue for claim in call.claims).items():
            if call.verb == "turn" and number > room.get(queue, 0):
                yield f"worker {call.worker} asked for {room.get(queue, 0)} jobs of {queue} and was given {number}"


def _more_than_slots(history: History) -> Iterator[str]:
    """No worker holds more of a queue's leases than it has slots, also where children run them."""
    held: dict[str, dict[str, str]] = defaultdict(dict)  # by worker: job -> queue
    for call in history.calls:
        mine = held[f"{call.pid} {call.worker}"]
        for id_ in call.lost:
            mine.pop(id_, None)
        if call.verb != "turn" or not call.answered:
            continue
        for ending in call.endings:
            mine.pop(ending.lease.job_id, None)
        mine.update({claim.lease.job_id: claim.queue for claim in call.claims})
        for queue, number in Counter(mine.values()).items():
            if number > history.slots.get(queue, number):
                yield f"worker {call.worker} held {number} jobs of {queue}, it has {history.slots[queue]} slots"
