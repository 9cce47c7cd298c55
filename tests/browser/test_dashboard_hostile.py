"""Texts that would like to be scripts, in every field that a job, a worker or a queue has, on every screen.

They are written into the store past everything that would refuse them. Whatever the page did with one of them, a
dialog, a request to another host or a word of the browser's policy, is heard by the operator and fails the test.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest
from corpus import PAYLOADS
from floor import Floor, Operator, is_live
from playwright.sync_api import Page, expect
from stage import Stage

from jobsworth.engine import Pulse, Want, Where, WorkerCard
from jobsworth.job import Attempt, Claim, Failure, Job, NewJob, Progress, State
from undertaker import Undertaker
from waiting import until

STATES = (State.FAILED, State.COMPLETED, State.CANCELLED, State.SCHEDULED, State.QUEUED)
RUNNING = 40
# Of the jobs that are looked at one by one. With 4 every payload is still seen on that screen, not in every field.
STEP = 1 if os.environ.get("JOBSWORTH_FIRE") == "long" else 4

# Goes to the screens of these jobs, one after another, each as soon as the one before is there with its traceback.
WALK = """async (jobs) => {
  let seen = 0
  for (const job of jobs) {
    location.hash = `#/jobs/${job}`
    const there = () => document.querySelector("p.id")?.textContent === job
    for (let waited = 0; !there() && waited < 30_000; waited += 5) await new Promise((done) => setTimeout(done, 5))
    document.querySelector("summary")?.click()
    await new Promise((done) => setTimeout(done, 5))
    seen += there()
  }
  return seen
}"""


def text(number: int, field: int) -> str:
    """Every field of a job holds another payload, and over all jobs every field holds each."""
    return PAYLOADS[(number + 29 * field) % len(PAYLOADS)]


# The fields of a hostile job by what they are, in the order in which a_hostile_job() fills them in.
TYPE, SAID, REASON, FILE, FUNCTION, LINE = range(6)
VALUE = (6, 7, 8, 9, 10)
QUEUE, TASK, KEY, OWNER, LABEL, TAG, OTHER_TAG, META_KEY, META, WORKER, PROGRESS, CANCELLED, ONCE, OUTCOME = range(
    11, 25
)
SHOWN = (TYPE, SAID, REASON, FILE, FUNCTION, QUEUE, TASK, KEY, OWNER, LABEL, TAG, OTHER_TAG, WORKER, CANCELLED, ONCE)
SHOWN_AS_JSON = (*VALUE, META_KEY, META)


def a_hostile_job(number: int, state: State | None = None) -> Job:
    """One whose every word is a payload."""
    state, now = state or STATES[number % len(STATES)], time.time() - number
    field = iter(range(100))

    def bad() -> str:
        return text(number, next(field))

    error = Failure(bad(), bad(), bad(), f'Traceback\n  File "{bad()}", line 1, in {bad()}\n    {bad()}\n')
    ended = state not in (State.SCHEDULED, State.QUEUED)
    value = {bad(): [bad(), {bad(): bad()}], "type": "img", "props": {"src": "x", "onerror": bad()}}
    return Job(
        id=f"hostile{number:05d}", queue=bad(), task=bad(), state=state, args=msgspec.json.encode(value), attempt=1,
        max_attempts=2, key=bad(), owner=bad(), label=bad(), tags=(bad(), bad()),
        meta=msgspec.json.encode({bad(): bad()}),
        created_at=now, updated_at=now, run_at=now + 9_000, started_at=now if ended else None,
        finished_at=now if ended else None, worker=bad(), progress=Progress(1, 2, 50, bad()),
        result=msgspec.json.encode(value) if state is State.COMPLETED else None,
        failure=None if state is State.COMPLETED else error, cancel_reason=bad(), cancel_requested=True,
        attempts=(Attempt(1, bad(), now, now, bad(), error),),
    )  # fmt: skip


@pytest.fixture(scope="module")
def hostile_floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    undertaker = Undertaker()
    floor = Floor(undertaker, tmp_path_factory.mktemp("hostile"), works=False)
    stored = floor.jobs.bridge.call(lambda engine: engine.adopt([a_hostile_job(each) for each in range(len(PAYLOADS))]))
    assert len(stored) == len(PAYLOADS) == 400
    yield floor
    floor.close()
    undertaker.dismiss()


@pytest.fixture
def visit(stage: Stage, hostile_floor: Floor) -> Iterator[Page]:
    hostile_floor.start()
    operator = Operator(stage.browser, hostile_floor.server.url)
    page = operator.visit("#/workers")
    yield page
    is_live(page)
    operator.close()


def look(page: Page, place: str, selector: str) -> None:
    page.evaluate("(place) => { location.hash = place }", place)
    expect(page.locator(selector).first).to_be_visible()


def shows(page: Page, payloads: list[str]) -> None:
    """The page shows each as text, soon. Spaces and signs without a width are the browser's own business."""
    bare = "(text) => text.replace(/[\\s\\u2028\\ufeff\\u0001-\\u0008]/g, '')"
    missing = (
        f"(payloads) => {{ const bare = {bare}, all = bare(document.body.textContent);"
        " return payloads.filter((payload) => !all.includes(bare(payload))) }"
    )
    with contextlib.suppress(AssertionError):
        until(lambda: not page.evaluate(missing, payloads), what="every text is shown")
    assert page.evaluate(missing, payloads) == []


def texts(number: int, *fields: int) -> list[str]:
    return [text(number, field) for field in fields]


def test_lists_show_them_as_text(visit: Page) -> None:
    for beyond in range(0, len(PAYLOADS), 50):
        newest = len(PAYLOADS) - 1 - beyond
        shown: list[str] = []
        look(visit, f"#/jobs?beyond={beyond}", f"[data-row=hostile{newest:05d}]")
        for number in range(newest, newest - 50, -1):
            failed = STATES[number % len(STATES)] is State.FAILED
            shown += texts(number, TASK, OWNER, LABEL, TAG, OTHER_TAG, *((TYPE, SAID) if failed else ()))
        shows(visit, shown)


def test_every_job_shows_them_as_text(visit: Page) -> None:
    for number in range(0, len(PAYLOADS), 40):
        jobs = [f"hostile{each:05d}" for each in range(number + 40 - STEP, number - 1, -STEP)]
        assert visit.evaluate(WALK, jobs) == len(jobs)
        expect(visit.get_by_role("heading", name="Why it was given up")).to_be_visible()
        as_json = [msgspec.json.encode(each).decode()[1:-1] for each in texts(number, *SHOWN_AS_JSON)]
        shows(visit, texts(number, *SHOWN) + as_json)


def test_queues_dead_letters_and_completions_show_them_as_text(visit: Page) -> None:
    look(visit, "#/queues", "[data-row]")
    expect(visit.locator("[data-row]")).to_have_count(len(PAYLOADS))
    for number in range(0, len(PAYLOADS), 50):
        look(visit, f"#/queues/{quote(text(number, QUEUE), safe='')}", "h1")
        shows(visit, texts(number, QUEUE))
    look(visit, "#/", ".alerts li")
    look(visit, "#/jobs", "[data-row]")
    box = visit.get_by_role("combobox", name="Filter")
    for qualifier in ("queue:", "tag:", "owner:", "task:"):
        box.fill("")
        box.press_sequentially(qualifier)
        visit.keyboard.press("ArrowDown")
    box.fill(PAYLOADS[0])
    visit.keyboard.press("Enter")
    expect(visit.get_by_text("jobs match").or_(visit.get_by_text("job matches")).first).to_be_visible()


def test_dead_letters_and_their_groups_show_them_as_text(visit: Page, hostile_floor: Floor) -> None:
    """Each payload in each word of a group: its task, queue, reason, kind of error, message and place."""
    living = [number for number in range(len(PAYLOADS)) if STATES[number % len(STATES)] is not State.FAILED]
    jobs = [msgspec.structs.replace(a_hostile_job(number, State.FAILED), id=f"dead{number:05d}") for number in living]
    call = hostile_floor.jobs.bridge.call
    call(lambda engine: engine.adopt(jobs))
    shown: list[str] = []
    look(visit, "#/dead", ".group")
    expect(visit.locator(".group")).to_have_count(len(PAYLOADS))
    visit.evaluate("document.querySelectorAll('.group summary').forEach((it) => it.click())")
    for number in range(len(PAYLOADS)):
        shown += texts(number, TASK, QUEUE, REASON, TYPE, SAID, FILE, FUNCTION)
    shows(visit, shown)
    call(lambda engine: engine.delete(Where(ids=tuple(job.id for job in jobs), limit=None)))


def test_the_stream_is_not_cut_by_a_text_that_ends_lines_elsewhere(visit: Page) -> None:
    look(visit, f"#/jobs/{a_hostile_job(0).id}", "p.id")
    visit.evaluate("new Promise((done) => setTimeout(done, 1_500))")  # that nothing goes wrong can only be waited for
    assert visit.locator("[data-trust]").get_attribute("data-trust") == "live"


def test_addresses_are_no_scripts(visit: Page) -> None:
    for payload in PAYLOADS[::8]:
        visit.evaluate("(payload) => { location.hash = `#/${payload}` }", payload)
        visit.evaluate("(payload) => { location.hash = `#/tasks/${encodeURIComponent(payload)}` }", payload)
    expect(visit.get_by_text("There is no task")).to_be_visible()


def test_workers_and_what_jobs_say_while_they_run_is_text(visit: Page, hostile_floor: Floor) -> None:
    call = hostile_floor.jobs.bridge.call
    names = [f"running{number:03d}" for number in range(RUNNING)]
    wishes = [NewJob(id=name, queue="mail", task="send", args=b"{}", max_attempts=1) for name in names]
    call(lambda engine: engine.enqueue([wishes]))
    want = [Want("mail", RUNNING, ("send",))]
    claims: list[Claim] = call(lambda engine: engine.turn(PAYLOADS[0], [], want, lease=3_600)).claims
    assert len(claims) == RUNNING
    look(visit, "#/jobs?state=running", "[data-row]")
    expect(visit.locator("[data-row]")).to_have_count(RUNNING)
    for begin in range(0, len(PAYLOADS), RUNNING):
        said = PAYLOADS[begin : begin + RUNNING]
        pulses = [Pulse(claim.lease, Progress(1, 2, 50, each)) for claim, each in zip(claims, said, strict=True)]
        for number in range(begin, begin + RUNNING):
            card = WorkerCard(
                id=text(number, 0), host=text(number, 1), version=text(number, 2), queues={text(number, 3): 3},
                tasks=(text(number, 4),),
            )  # fmt: skip
            call(lambda engine, card=card, pulses=pulses: engine.pulse(card, pulses, lease=3_600))
            pulses = []
        visit.wait_for_function(
            "(last) => [...document.querySelectorAll('td.says')].some((it) => it.textContent.includes(last))",
            arg=said[-1].strip()[:8],
        )
    shown: list[str] = []
    look(visit, "#/workers", "[data-row]")
    expect(visit.locator("[data-row]")).to_have_count(len(PAYLOADS))
    for number in range(len(PAYLOADS)):
        shown += texts(number, 1, 2, 3)  # its id is shown where it has no host; its tasks are counted
    shows(visit, shown)
