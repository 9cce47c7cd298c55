"""The hub and its mailboxes: what onlookers are told, and what they cost when they do not listen."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import msgspec
import pytest

from jobsworth import Jobsworth
from jobsworth.engine import Engine, Pulse, Want, Where, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.errors import EngineUnavailable
from jobsworth.job import Claim, Job, Progress
from jobsworth.lifecycle import settle
from jobsworth.outcome import Succeeded
from jobsworth.retry import Retry
from jobsworth.web.hub import LOOK_EVERY, Hub
from jobsworth.web.mailbox import MOST_UNREAD, RESYNC, Event, Mailbox
from jobsworth.web.refusal import TooManyStreams
from waiting import PATIENCE

JOBS = 400


class House:
    """A program whose jobs a test moves by hand, through the engine's own door."""

    def __init__(self, engine: Engine) -> None:
        self.jobs = Jobsworth(engine=engine)
        self.hub = Hub(self.jobs.bridge)

        @self.jobs.task(queue="photos")
        def resize(number: int) -> int:
            return number

        self.resize = resize

    def put(self, owner: str | None = None) -> str:
        return self.resize.options(owner=owner).enqueue(1).id

    def claim(self) -> Claim:
        want = [Want("photos", 1, ("resize",))]
        return self.jobs.bridge.call(lambda engine: engine.turn("w", [], want, lease=60)).claims[0]

    def say(self, claim: Claim, percent: float) -> None:
        pulse = [Pulse(claim.lease, Progress(percent=percent))]
        self.jobs.bridge.call(lambda engine: engine.pulse(WorkerCard(id="w"), pulse, lease=60))

    def end(self, claim: Claim) -> None:
        ending = [settle(claim, Succeeded(b"1"), Retry())]
        self.jobs.bridge.call(lambda engine: engine.turn("w", ending, [], lease=60))

    def version(self, job_id: str) -> int:
        return self.jobs.handle(job_id).job.version


@pytest.fixture
def house() -> Iterator[House]:
    made = House(MemoryEngine())
    yield made
    made.hub.stop()
    made.jobs.close()


def read(box: Mailbox, until: Callable[[list[Event]], bool]) -> list[Event]:
    """What comes, until that is enough."""
    events: list[Event] = []
    end = time.monotonic() + PATIENCE
    while not until(events):
        assert time.monotonic() < end, f"only these came: {events[-3:]}"
        box.wait_here(0.05)
        events += box.take()
    return events


def told(event: Event) -> dict[str, object]:
    return dict(msgspec.json.decode(event.data))


def first(events: list[Event]) -> bool:
    return len(events) > 0


def ended(events: list[Event]) -> bool:
    return any(event.final for event in events)


def test_an_onlooker_is_told_at_once_how_the_job_stands(house: House) -> None:
    job_id = house.put()
    box = Mailbox([job_id])
    house.hub.open(box)
    (event,) = read(box, first)
    assert told(event)["status"] == "queued"
    assert event.version == house.version(job_id)


def test_an_onlooker_is_told_of_every_step_to_the_end(house: House) -> None:
    job_id = house.put()
    box = Mailbox([job_id])
    house.hub.open(box)
    read(box, first)
    claim = house.claim()
    assert told(read(box, first)[-1])["status"] == "running"
    house.say(claim, 50)
    assert told(read(box, first)[-1])["progress"] == {"current": None, "total": None, "percent": 50}
    house.end(claim)
    assert told(read(box, ended)[-1])["status"] == "completed"


def test_what_an_onlooker_knows_already_is_not_told_again(house: House) -> None:
    job_id = house.put()
    box = Mailbox([job_id], since={job_id: house.version(job_id)})
    house.hub.open(box)
    claim = house.claim()
    events = read(box, first)
    assert [told(event)["status"] for event in events] == ["running"]
    house.end(claim)
    read(box, ended)


def test_nobody_is_woken_for_what_they_have_read_already() -> None:
    box = Mailbox(["a"])
    box.put(Event("job.changed", b"{}", "a", 1))
    assert len(box.take()) == 1
    box.wake()  # for that event, too late
    assert not box.wait_here(0)
    box.put(Event("job.changed", b"{}", "a", 2))
    box.wake()
    assert box.wait_here(0)


def test_a_job_that_is_not_there_is_gone(house: House) -> None:
    box = Mailbox(["nobody"])
    house.hub.open(box)
    (event,) = read(box, first)
    assert event.final
    assert told(event) == {"job_id": "nobody", "status": "gone"}


def test_a_job_that_is_deleted_meanwhile_is_gone(house: House) -> None:
    job_id = house.put()
    box = Mailbox([job_id])
    house.hub.open(box)
    read(box, first)
    house.jobs.bridge.call(lambda engine: engine.delete(Where(ids=(job_id,))))
    assert told(read(box, ended)[-1])["status"] == "gone"


def test_an_owner_is_told_of_all_their_jobs_also_of_later_ones_and_of_no_others(house: House) -> None:
    mine = house.put(owner="user:7")
    box = Mailbox(owner="user:7")
    house.hub.open(box)
    assert read(box, first)[0].job_id == mine
    house.put(owner="user:8")
    later = house.put(owner="user:7")
    assert {event.job_id for event in read(box, first)} == {later}


def test_an_owner_whose_queues_are_narrowed_is_not_told_of_others(house: House) -> None:
    house.put(owner="user:7")
    box = Mailbox(owner="user:7", queues=frozenset({"mail"}))
    house.hub.open(box)
    house.hub.open(everybody := Mailbox(owner="user:7"))
    read(everybody, first)
    assert box.take() == []


def test_who_looks_at_the_whole_store_gets_the_queues_in_numbers_when_they_change(house: House) -> None:
    box = Mailbox(everything=True)
    house.hub.open(box)
    assert told(read(box, first)[0]) == {"queues": []}
    house.put()
    (event,) = read(box, first)
    assert event.kind == "stats"
    queues = told(event)["queues"]
    assert isinstance(queues, list)
    assert queues[0]["counts"] == {"queued": 1}


def test_numbers_of_queues_that_are_not_theirs_are_not_told(house: House) -> None:
    house.put()
    box = Mailbox(everything=True, queues=frozenset({"mail"}))
    house.hub.open(box)
    assert told(read(box, first)[0]) == {"queues": []}


def test_a_job_is_told_at_most_five_times_a_second(house: House) -> None:
    box = Mailbox([house.put()])
    house.hub.open(box)
    read(box, first)
    claim = house.claim()
    began, events, percent = time.monotonic(), list[Event](), 0.0
    while time.monotonic() < began + 6 * LOOK_EVERY:
        house.say(claim, percent := percent + 0.001)
        box.wait_here(0.005)
        events += box.take()
    took = time.monotonic() - began
    assert 1 <= len(events) <= took / LOOK_EVERY + 2
    house.end(claim)
    read(box, ended)


def test_a_job_is_read_once_however_many_look_at_it(house: House) -> None:
    reads = _counting(house)
    job_id = house.put()
    boxes = [Mailbox([job_id]) for _ in range(200)]
    for box in boxes:
        house.hub.open(box)
    for box in boxes:
        read(box, first)
    before = len(reads)
    house.claim()
    events = [read(box, first)[-1] for box in boxes]
    assert len(reads) - before <= 3
    assert len({id(event.data) for event in events}) == 1  # and told in the same bytes


def test_who_never_reads_holds_no_more_than_the_newest_event_of_each_job(house: House) -> None:
    box, reader = Mailbox([job_id := house.put()]), Mailbox([job_id])
    house.hub.open(box)
    house.hub.open(reader)
    claim = house.claim()
    for percent in range(5):
        read(reader, first)
        house.say(claim, percent)
    house.end(claim)
    read(reader, ended)
    (event,) = box.take()
    assert event.final


def test_who_falls_too_far_behind_is_told_to_begin_anew_and_then_how_things_stand(house: House) -> None:
    house.resize.options(owner="user:7").enqueue_many([{"number": each} for each in range(JOBS)])
    box, reader = Mailbox(owner="user:7"), Mailbox(owner="user:7")
    house.hub.open(box)
    house.hub.open(reader)
    read(reader, lambda events: len({event.job_id for event in events}) >= JOBS)
    for number in range(MOST_UNREAD - JOBS + 1):
        box.put(Event("job.changed", b"{}", f"older-{number}", 1))
    assert box.waits_for_resync
    assert box.take() == [RESYNC]
    again = read(box, lambda events: len(events) >= JOBS)
    assert RESYNC not in again


def test_memory_does_not_grow_with_what_is_not_read() -> None:
    box = Mailbox(owner="user:7")
    data = b"x" * 300
    for number in range(MOST_UNREAD):
        box.put(Event("job.changed", data, f"job-{number}", 1))
    tracemalloc.start()
    try:
        for number in range(50_000):
            box.put(Event("job.changed", b"y" * 300, f"job-{number}", 2 + number))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 1_000_000


def test_more_onlookers_than_allowed_are_refused(house: House) -> None:
    house.hub = hub = Hub(house.jobs.bridge, most=2)
    boxes = [Mailbox(["a"]), Mailbox(["b"])]
    for box in boxes:
        hub.open(box)
    with pytest.raises(TooManyStreams, match="2 onlookers"):
        hub.open(Mailbox(["c"]))
    hub.close(boxes[0])
    hub.open(Mailbox(["c"]))


def test_nothing_is_asked_and_no_thread_lives_while_nobody_looks_on(house: House) -> None:
    box = Mailbox([house.put()])
    house.hub.open(box)
    read(box, first)
    (thread,) = [each for each in threading.enumerate() if each.name == "jobsworth-hub"]
    house.hub.close(box)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    again = Mailbox(box.ids)
    house.hub.open(again)  # and it comes back
    read(again, first)


def test_onlookers_are_told_when_the_store_is_away_and_again_how_things_stand(house: House) -> None:
    away = threading.Event()
    find = house.jobs.engine.find

    async def may_fail(where: Where) -> list[Job]:
        if away.is_set():
            raise EngineUnavailable("gone fishing")
        return await find(where)

    house.jobs.engine.find = may_fail  # type: ignore[method-assign]
    box = Mailbox([house.put()])
    house.hub.open(box)
    read(box, first)
    away.set()
    assert [event.kind for event in read(box, first)] == ["away"]
    away.clear()
    house.claim()
    assert told(read(box, first)[-1])["status"] == "running"


def test_a_mistake_of_ours_does_not_end_the_hub(house: House, caplog: pytest.LogCaptureFixture) -> None:
    find, times = house.jobs.engine.find, [0]

    async def once_broken(where: Where) -> list[Job]:
        times[0] += 1
        if times[0] == 1:
            raise RuntimeError("a mistake")
        return await find(where)

    house.jobs.engine.find = once_broken  # type: ignore[method-assign]
    box = Mailbox([house.put()])
    house.hub.open(box)
    events = read(box, lambda events: any(event.kind == "job.changed" for event in events))
    assert events[0].kind == "away"
    assert "a mistake" in caplog.text


def test_coroutines_and_threads_look_on_together(house: House) -> None:
    job_id = house.put()

    async def look() -> list[Event]:
        box = Mailbox([job_id], loop=asyncio.get_running_loop())
        house.hub.open(box)
        while not (events := box.take()):
            assert await box.wait(PATIENCE)
        house.hub.close(box)
        return events

    box = Mailbox([job_id])
    house.hub.open(box)
    assert told(asyncio.run(look())[0]) == told(read(box, first)[0])


def _counting(house: House) -> list[Where]:
    find, asked = house.jobs.engine.find, list[Where]()

    async def counted(where: Where) -> list[Job]:
        asked.append(where)
        return await find(where)

    house.jobs.engine.find = counted  # type: ignore[method-assign]
    return asked
