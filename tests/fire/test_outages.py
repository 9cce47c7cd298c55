"""The server dies, stops or cannot be reached: nothing acknowledged is lost, nobody waits for ever, work goes on."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import pytest
from crew import LONG, Crew, Figures, later
from fire_app import App
from fire_history import read_ledger
from proxy import Direction
from weather import OUTAGES, Load, Network, call, in_a_loop, server_outages, stopped, without_doorbell

from jobsworth import State
from jobsworth.errors import EngineUnavailable
from jobsworth.events import AttemptEnded, EngineBack, EngineLost, Event, LeaseTaken
from waiting import until

KILLS = 20 if LONG else 4
CUTS = 200 if LONG else 40
TRIALS = 200 if LONG else 12
STRAYS = 50 if LONG else 4
NOTICED = 15  # seconds after which silence must have been noticed
BACK = 5  # seconds after an outage within which work goes on


# One word more for each server; what it acknowledges must be on the disk.
pytestmark = pytest.mark.parametrize("server", ["durable_postgres", "durable_redis"], indirect=True)


@pytest.fixture
def heard() -> list[Event]:
    return []


def number(kind: type[Event], heard: list[Event]) -> int:
    return sum(isinstance(event, kind) for event in heard)


def nothing_ended_twice(crew: Crew) -> None:
    """Whatever came to an end again was another attempt."""
    ended = Counter((event.id, event.attempt) for event in read_ledger(crew.folder) if event.kind == "end")
    assert [key for key, times in ended.items() if times > 1] == []


# --- the server dies -----------------------------------------------------------------------------------------------


def test_nothing_acknowledged_is_lost_while_the_server_is_killed(server: Any, crew: Crew, figures: Figures) -> None:
    """kill -9 of the server under load, again and again; the workers tell of each time once."""
    workers = [crew.worker(lease=5) for _ in range(2)]
    load = Load(crew.url, crew.folder)
    back = []
    for kills in range(1, KILLS + 1):
        later(random.uniform(0.2, 0.8))
        server.kill()
        later(random.uniform(0.0, 0.5))
        until(lambda kills=kills: all(_told(crew, worker)[0] == kills for worker in workers))  # type: ignore[misc]
        server.start()
        started = time.monotonic()
        before = len(load.acked)
        until(lambda before=before: len(load.acked) > before, BACK)  # type: ignore[misc]
        until(lambda kills=kills: all(_told(crew, worker) == (kills, kills) for worker in workers), BACK)  # type: ignore[misc]
        back.append(time.monotonic() - started)
    acked = load.stop()
    jobs = crew.finish(within=120)
    lost = len(acked - {job.id for job in jobs})
    figures(f"{KILLS} kills, {lost} of {len(acked)} acknowledged jobs lost; until all enqueue and work again", back)
    assert len(acked) > 50 * KILLS
    assert load.slowest < NOTICED
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert len({job.id for job in jobs} - acked) <= load.refusals  # a refused one may have been stored all the same
    assert sum(job.errors for job in jobs) == 0
    nothing_ended_twice(crew)
    crew.check(acked, slots={"default": 4})


def _told(crew: Crew, worker: Any) -> tuple[int, int]:
    """How often this worker has said that the engine went, and that it came back."""
    log = crew.log(worker)
    return log.count("the engine does not answer"), log.count("the engine is back")


def test_the_log_has_one_line_when_the_engine_goes_and_one_when_it_returns(network: Network, crew: Crew) -> None:
    worker = crew.worker(url=network.through(crew.url))
    for count, (begin, end) in enumerate([OUTAGES["refused"]] * 3, 1):
        begin(network)
        until(lambda count=count: _told(crew, worker)[0] == count, NOTICED)  # type: ignore[misc]
        later(0.5)
        end(network)
        until(lambda count=count: _told(crew, worker)[1] == count, BACK)  # type: ignore[misc]
    handle = crew.app.quick.enqueue(1)
    assert handle.result(BACK) == 2
    assert crew.terminate(worker) == 0
    said = [line for line in crew.log(worker).splitlines() if not line.startswith("INFO worker ")]
    assert len(said) == 6, said
    for lost, back in zip(said[::2], said[1::2], strict=True):
        assert lost.startswith("WARNING the engine does not answer, running jobs go on: E201: ")
        assert back.startswith("INFO the engine is back after ")


# --- the connection is cut -----------------------------------------------------------------------------------------


def test_a_completion_survives_a_cut_at_every_byte(
    network: Network, far: App, crew: Crew, heard: list[Event], figures: Figures
) -> None:
    """Before, within and after the statement, the commit and its answer: written once, told once, never run again."""
    with far.jobs.worker({"default": 1}, lease=30, listener=heard.append):
        _complete(far, crew, "warm", network)
        # The least of several: in one that took long a turn or a pulse is counted in, and places beyond what a
        # completion sends are never reached.
        measured = [_complete(far, crew, f"measure{number}", network) for number in range(4)]
        sizes = {direction: min(each[direction] for each in measured) for direction in measured[0]}
        handles, cuts = [], network.cuts
        places = [(direction, place) for direction, size in sizes.items() for place in range(size + 1)]
        if not LONG:
            places = [places[round(n * (len(places) - 1) / (CUTS - 1))] for n in range(CUTS)]
        for trial, (direction, place) in enumerate(places):
            handle = far.held.enqueue(f"cut{trial}")
            until(lambda handle=handle: crew.jobs.handle(handle.id).progress)  # type: ignore[misc]
            network.cut_after(place, direction)
            (crew.folder / f"cut{trial}.1").touch()
            until(lambda handle=handle: crew.jobs.handle(handle.id).state is State.COMPLETED)  # type: ignore[misc]
            until(lambda trial=trial: number(AttemptEnded, heard) == trial + 2 + len(measured))  # type: ignore[misc]
            handles.append(handle)
            network.heal()
    figures(f"{len(handles)} of {len(places)} completions written, {network.cuts - cuts} cuts within {sizes} bytes")
    assert network.cuts - cuts > len(places) * 0.9
    assert len(handles) >= CUTS
    assert number(LeaseTaken, heard) == 0
    told = Counter(event.claim.lease.job_id for event in heard if isinstance(event, AttemptEnded))
    assert all(told[handle.id] == 1 for handle in handles)
    jobs = crew.all_jobs()
    assert {(job.state, job.attempt, job.crashes, job.result) for job in jobs} == {(State.COMPLETED, 1, 0, b"1")}
    crew.check({handle.id for handle in handles}, slots={"default": 1})


def _complete(far: App, crew: Crew, name: str, network: Network) -> dict[Direction, int]:
    """Run one job; how many bytes its completion took in each direction."""
    handle = far.held.enqueue(name)
    until(lambda: crew.jobs.handle(handle.id).progress)
    before = dict(network.forwarded)
    (crew.folder / f"{name}.1").touch()
    until(lambda: crew.jobs.handle(handle.id).state is State.COMPLETED)
    later(0.05)  # the last piece of the answer
    return {direction: network.forwarded[direction] - before[direction] for direction in before}


def test_nothing_is_lost_when_the_connection_is_cut_again_and_again(
    network: Network, crew: Crew, figures: Figures
) -> None:
    """Anywhere: also between the claims that a turn has committed and the worker that waits for them."""
    worker = crew.worker(lease=60, url=network.through(crew.url))
    handles = []
    for cuts in range(CUTS // 4):
        handles += crew.app.quick.enqueue_many([(n, 0.02) for n in range(40)])
        seen = len(read_ledger(crew.folder))
        until(lambda seen=seen: len(read_ledger(crew.folder)) > seen, BACK)  # type: ignore[misc]
        until(lambda: len({*_told(crew, worker)}) == 1, BACK)  # it works again, and knows it
        network.cut_after(random.randrange(2000), random.choice(["to_server", "to_client"]))
        until(lambda cuts=cuts: network.cuts > cuts)  # type: ignore[misc]
    jobs = crew.finish(within=30)  # half a lease: what was claimed unheard is handed back, not waited for
    released = sum(each.outcome == "released" for job in jobs for each in job.attempts)
    figures(f"{network.cuts} cuts, {len(jobs)} jobs, of which {released} had been claimed unheard")
    assert crew.terminate(worker) == 0
    assert {(job.state, job.errors, job.crashes) for job in jobs} == {(State.COMPLETED, 0, 0)}
    assert released or not LONG
    assert {event.kind for event in read_ledger(crew.folder)} == {"start", "end"}
    starts = Counter(event.id for event in read_ledger(crew.folder) if event.kind == "start")
    assert set(starts.values()) == {1}, "no handler was run again: completions were kept until they could be written"
    nothing_ended_twice(crew)
    crew.check({handle.id for handle in handles}, slots={"default": 4})


@pytest.mark.parametrize("who", ["an idle worker", "a worker that has just ended another job"])
def test_a_claim_whose_answer_was_cut_starts_again_long_before_its_lease_ends(
    who: str, network: Network, far: App, crew: Crew, heard: list[Event], figures: Figures
) -> None:
    """The engine says that this worker runs it; the worker lives, and has never heard of it: it hands it back."""
    ended, strays, again = [], [], []
    with far.jobs.worker({"default": 2}, lease=600, listener=heard.append):
        for trial in range(2 * STRAYS):
            if len(strays) == STRAYS:
                break
            ended.append(crew.app.held.enqueue(f"beside{trial}"))  # this one it knows of: that it must keep
            if who != "an idle worker":  # which has no slot free then: to write that ending and to claim is one turn
                ended.append(crew.app.held.enqueue(f"trial{trial}"))
            until(lambda: all(other.progress for other in ended[-2:]))
            network.delay(0.3)  # so long the answer is on its way
            strays.append(crew.app.quick.enqueue(trial))
            (crew.folder / f"trial{trial}.1").touch()
            until(lambda: strays[-1].state is State.RUNNING, what="it is claimed")
            network.reset()
            cut = time.monotonic()
            network.heal()
            until(lambda: strays[-1].state is State.COMPLETED)
            (crew.folder / f"beside{trial}.1").touch()
            if (
                len(strays[-1].refresh().job.attempts) == 1
            ):  # nobody runs what he has not heard of: the cut came too late
                ended.append(strays.pop())
                continue
            again += [event.at - cut for event in read_ledger(crew.folder) if event.id == strays[-1].id][:1]
        figures(f"{len(strays)} of {STRAYS} claims started again", again)
        assert len(strays) == STRAYS
        crew.finish(within=20)
    assert max(again) < BACK
    assert [[each.outcome for each in stray.refresh().job.attempts] for stray in strays] == [
        ["released", "succeeded"]
    ] * STRAYS
    assert [[each.outcome for each in other.refresh().job.attempts] for other in ended] == [["succeeded"]] * len(ended)
    assert {(job.state, job.attempt, job.crashes) for job in crew.all_jobs()} == {(State.COMPLETED, 1, 0)}
    told = Counter(event.claim.lease.job_id for event in heard if isinstance(event, AttemptEnded))
    assert {told[handle.id] for handle in ended} == {1}
    assert number(LeaseTaken, heard) == 0
    ledger = Counter((event.kind, event.id) for event in read_ledger(crew.folder))
    assert ledger == Counter((kind, job.id) for kind in ("start", "end") for job in crew.all_jobs())  # each ran once
    crew.check({handle.id for handle in strays + ended}, slots={"default": 2})


# --- silence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silence", ["a black hole", "a server that is stopped"])
def test_silence_is_noticed_and_nobody_waits_for_ever(
    silence: str, server: Any, network: Network, far: App, crew: Crew, heard: list[Event], figures: Figures
) -> None:
    """The worker says so, callers are refused, a running job goes on and its result is kept."""
    callers = [App(network.through(crew.url), crew.folder) for _ in range(3)]
    warm = [caller.quick.enqueue(0) for caller in callers[:2]]  # these two have a connection, the third has none
    with far.jobs.worker({"default": 2}, lease=60, listener=heard.append) as worker:
        held = crew.app.held.enqueue("through")
        until(lambda: held.progress)
        with stopped(server) if silence == "a server that is stopped" else _black_hole(network):
            began = time.monotonic()
            calls = [call(lambda: callers[0].quick.enqueue(1)), call(lambda: in_a_loop(callers[1])),
                     call(lambda: callers[2].quick.enqueue(1))]  # fmt: skip
            (crew.folder / "through.1").touch()
            until(lambda: number(EngineLost, heard), NOTICED)
            figures("noticed", [time.monotonic() - began])
            for each in calls:
                found, seconds = each.result(NOTICED)
                assert isinstance(found, EngineUnavailable)
                assert seconds < NOTICED
            until(lambda: not worker.healthy(5))
            assert time.monotonic() - began < NOTICED + 5
            for caller in callers:  # to end is no reason to wait either
                ended, seconds = call(caller.jobs.close).result(NOTICED)
                assert ended is None
                assert seconds < 5
        assert number(EngineBack, heard) == 0
        healed = time.monotonic()
        assert crew.app.quick.enqueue(3).result(BACK) == 6
        figures("afterwards a job done", [time.monotonic() - healed])
        assert time.monotonic() - healed < BACK
        until(lambda: worker.healthy(5))
        assert held.result(10) == 1
        assert held.refresh().job.attempt == 1
        crew.finish(within=20)  # what the lost questions did is undone within seconds, not after their leases
    assert (number(EngineLost, heard), number(EngineBack, heard), number(LeaseTaken, heard)) == (1, 1, 0)
    crew.check({held.id} | {handle.id for handle in warm}, slots={"default": 4})


class _black_hole:  # noqa: N801 (used like the function `stopped`)
    def __init__(self, network: Network) -> None:
        self._network = network

    def __enter__(self) -> None:
        self._network.black_hole()

    def __exit__(self, *exc: object) -> None:
        self._network.heal()


def test_an_enqueue_while_the_server_is_down_is_refused_at_once(server: Any, crew: Crew) -> None:
    crew.app.quick.enqueue(1)
    server.kill()
    for what in (lambda: crew.app.quick.enqueue(1), lambda: in_a_loop(crew.app)):
        found, seconds = call(what).result(NOTICED)
        assert isinstance(found, EngineUnavailable)
        assert seconds < 2
    server.start()
    assert call(lambda: crew.app.quick.enqueue(1)).result(BACK)[1] < 2


# --- afterwards ----------------------------------------------------------------------------------------------------


def test_work_goes_on_within_five_seconds_of_any_outage(
    server: Any, network: Network, crew: Crew, heard: list[Event], figures: Figures
) -> None:
    """Short ones, and such as outlast every timeout: of the network, of the server, of both ends of it."""
    outages = {**OUTAGES, **server_outages(server)}
    far = App(network.through(crew.url), crew.folder)  # with its doorbell: that must come back, too
    acked, late = set(), []
    back: dict[str, list[float]] = {name: [] for name in outages}
    with far.jobs.worker({"default": 4}, lease=10, listener=heard.append):
        assert crew.app.quick.enqueue(0).result(BACK) == 0
        for trial in range(TRIALS):
            name = [*outages][trial % len(outages)]
            begin, end = outages[name]
            begin(network)
            during = random.uniform(3, 20) if LONG and random.random() < 0.1 else random.uniform(0.1, 3)
            later(during)
            end(network)
            healed = time.monotonic()
            handle = crew.app.quick.enqueue(trial)
            acked.add(handle.id)
            started = until(lambda: [e.at for e in read_ledger(crew.folder) if e.id == handle.id], 30)[0]  # noqa: B023
            back[name].append(started - healed)
            if started - healed > BACK:
                late.append((trial, name, during, started - healed))
    far.jobs.close()
    figures(f"{TRIALS - len(late)} of {TRIALS} within {BACK} s", [each for some in back.values() for each in some])
    for name, seconds in back.items():
        figures(f"of which {len(seconds)} after {name}", seconds)
    assert late == []
    assert number(EngineLost, heard) == number(EngineBack, heard)
    crew.finish()
    crew.check(acked, slots={"default": 4})


@pytest.mark.parametrize("swallowed", ["to_server", "to_client"], ids=["a question", "an answer"])
def test_work_goes_on_soon_after_a_question_was_swallowed_just_before_the_network_healed(
    network: Network, crew: Crew, heard: list[Event], swallowed: Direction
) -> None:
    """Its connection stays black for ever, and nobody is told. New connections pass, and prove that it is dead."""
    far = App(network.through(without_doorbell(crew.url)), crew.folder)
    acked, late = set(), []
    # The caller has a way of its own: whatever is swallowed there is its question, or the answer to it.
    with Network(crew.url) as way, far.jobs.worker({"default": 4}, lease=30, listener=heard.append):
        caller = App(way.through(without_doorbell(crew.url)), crew.folder)
        for trial in range(TRIALS // 4):
            acked.add(caller.quick.enqueue(trial).id)  # it has a connection that is open, and asks on that
            crew.finish()
            later(random.uniform(0, 1))
            before = way.seen[swallowed]
            for each in (network, way):
                each.black_hole(swallowed)
            refused = call(lambda trial=trial: caller.quick.enqueue(trial))  # type: ignore[misc]
            until(lambda before=before: way.seen[swallowed] > before)  # type: ignore[misc]
            later(random.uniform(0, 2))
            for each in (network, way):
                each.strand()
                each.heal()
            healed = time.monotonic()
            handle = crew.app.quick.enqueue(trial)
            acked.add(handle.id)
            started = until(lambda: [e.at for e in read_ledger(crew.folder) if e.id == handle.id], 30)[0]  # noqa: B023
            found, _ = refused.result(NOTICED)
            assert isinstance(found, EngineUnavailable), found
            for each in (network, way):
                each.bury()  # or the server has no connection left before the trials are over
            if max(time.monotonic(), started) - healed > BACK:
                late.append((trial, started - healed, time.monotonic() - healed))
        caller.jobs.close()
    far.jobs.close()
    assert late == []
    assert number(LeaseTaken, heard) == 0
    assert 0 < number(EngineLost, heard) == number(EngineBack, heard)
    assert {(job.state, job.errors, job.crashes) for job in crew.finish()} == {(State.COMPLETED, 0, 0)}
    crew.check(acked, slots={"default": 4})
