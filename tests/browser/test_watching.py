"""jobsworth.js in a real browser: what is seen of a job, how it is cancelled, and how one stream serves all tabs."""

from __future__ import annotations

import json
import time

import pytest
from house import STATIC, House, dead, element, reaches
from playwright.sync_api import Locator, Page, expect
from stage import NewVisitor, Visitor

from waiting import until

SERVER_DIED = (
    "ERR_CONNECTION_", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONTENT_LENGTH_MISMATCH",
)  # fmt: skip
# Keeps in `seen` what a watch tells, and that it is over.
WATCH = """([id, token]) => { window.seen = []; import("/background/static/jobsworth.js").then(async ({ watch }) => {
    window.job = watch(id, { token });
    for await (const event of job) seen.push(event.status);
    seen.push("over");
}) }"""
CALL_BACK = """([id, token]) => { window.told = []; import("/background/static/jobsworth.js").then(({ watch }) => {
    window.job = watch(id, { token, onchange: (event) => told.push(event) });
}) }"""


def state(place: Page | Locator) -> Locator:
    return place.get_by_role("status")


def bar(place: Page | Locator) -> Locator:
    return place.get_by_role("progressbar")


def button(place: Page | Locator) -> Locator:
    return place.get_by_role("button")


def becomes(page: Page, fact: str) -> None:
    """Wait until it is true in the page. Playwright's own way would be forbidden by the page's policy."""
    until(lambda: page.evaluate(fact), what=fact, every=0.02)


def streams_are(house: House, number: int) -> None:
    until(lambda: house.streams()["open"] == number, what=f"{number} streams are open", every=0.02)


def test_no_text_cuts_or_forges_an_event(house: House, visitor: Visitor) -> None:
    """As a server would send it that leaves in its JSON whatever JSON allows."""
    job = house.enqueue()
    forged = json.dumps({"job_id": job.id, "status": "completed", "version": 99})
    said = "on" + "".join(
        f"{sign}data: {forged}" for sign in ("\u2028", "\u2029", "\x85", "\ufeff", "\n\n", "\r", "\u2028\u2028")
    )
    event = {"job_id": job.id, "status": "running", "version": 1, "queue": "steps", "message": said}
    data = json.dumps(event, ensure_ascii=False)
    body = f"retry: 2000\n\n:\n\nevent: job.changed\ndata: {data}\n\n:\n\n"
    visitor.context.route("**/events?*", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    page = visitor.open(house.page())
    page.evaluate(CALL_BACK, [job.id, job.token()])
    becomes(page, "told.length > 0")
    assert page.evaluate("told") == [event]


# ── one job ──


def test_the_whole_life_of_a_job_is_seen(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    page = visitor.open(house.page_of(job))
    expect(state(page)).to_have_text("running")
    assert bar(page).get_attribute("value") is None  # nothing is known of its progress
    house.tell(job, "progress 40 Loading the image")
    expect(page.get_by_text("40 % · Loading the image")).to_be_visible()
    expect(bar(page)).to_have_attribute("value", "40")
    expect(button(page)).to_be_visible()
    house.tell(job, "progress 80 Writing", "end")
    expect(state(page)).to_have_text("completed")
    expect(bar(page)).to_have_attribute("value", "100")
    expect(button(page)).to_be_hidden()


def test_a_job_that_waits_says_so_and_a_failed_one_says_why(house: House, visitor: Visitor) -> None:
    waiting, failed = house.enqueue(task="wait"), house.enqueue("fail no such picture")
    page = visitor.open(house.page_of(waiting, failed))
    expect(state(page)).to_have_text(["queued", "failed · no such picture"])
    expect(button(page)).to_have_count(1)  # it can be cancelled before it starts


def test_a_job_that_has_ended_before_the_page_was_opened_is_shown_at_its_end(house: House, visitor: Visitor) -> None:
    job = house.enqueue("end")
    reaches(job, "completed")
    expect(state(visitor.open(house.page_of(job)))).to_have_text("completed")


def test_a_token_of_another_job_shows_that_there_is_nothing(house: House, visitor: Visitor) -> None:
    job, other = house.enqueue(), house.enqueue()
    page = visitor.open(house.page(element(job.id, other.token()) + element(other.id, other.token())))
    expect(state(page)).to_have_text(["not available", "running"])


@pytest.mark.parametrize("odd", ["no-such-job", "../../api", "a b&owner=x", "ä" * 40])
def test_an_id_that_leads_nowhere_harms_no_other_job(house: House, visitor: Visitor, odd: str) -> None:
    job = house.enqueue()
    page = visitor.open(house.page(element(odd) + element(job.id, job.token())))
    expect(state(page)).to_have_text(["not available", "running"])


def test_without_any_good_token_nothing_is_available(house: House, visitor: Visitor) -> None:
    visitor.expects("401")
    job = house.enqueue()
    page = visitor.open(house.page(element(job.id, "forged") + element(job.id)))
    expect(state(page)).to_have_text(["not available", "not available"])


def test_a_visitor_whom_the_site_knows_needs_no_token(house: House, visitor: Visitor) -> None:
    visitor.context.add_cookies([{"name": "user", "value": "ada", "url": house.server.url}])
    job = house.enqueue(owner="ada")
    page = visitor.open(house.page(element(job.id)))
    expect(state(page)).to_have_text("running")
    button(page).click()
    expect(state(page)).to_have_text("cancelled")


def test_an_element_follows_its_attributes(house: House, visitor: Visitor) -> None:
    first, second = house.enqueue(), house.enqueue("end")
    page = visitor.open(house.page_of(first))
    expect(state(page)).to_have_text("running")
    page.evaluate(
        """([id, token]) => { const shown = document.querySelector("job-progress");
            shown.setAttribute("token", token); shown.setAttribute("job", id); }""",
        [second.id, second.token()],
    )
    expect(state(page)).to_have_text("completed")
    page.evaluate("document.querySelector('job-progress').remove()")
    streams_are(house, 0)


def test_the_page_hears_what_an_element_shows(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    page = visitor.open(house.page_of(job))
    page.evaluate("window.heard = []; addEventListener('jobchange', ({ detail }) => { heard.push(detail.status) })")
    house.tell(job, "end")
    becomes(page, "heard.includes('completed')")


def test_words_can_be_said_in_another_language(house: House, visitor: Visitor) -> None:
    (house.folder / "pages" / "deutsch.js").write_text(
        f'import {{ settings }} from "{STATIC}";\n'
        'Object.assign(settings, { running: "läuft", cancel: "Abbrechen", left: (s) => `noch ${s} s` });\n'
    )
    page = visitor.open(house.page_of(house.enqueue(), script="/deutsch.js"))
    expect(state(page)).to_have_text("läuft")
    expect(button(page)).to_have_text("Abbrechen")


def test_time_left_is_told_in_seconds_and_then_in_minutes(house: House, visitor: Visitor) -> None:
    page = visitor.open(house.page())
    told = "import('/background/static/jobsworth.js').then(({ settings }) => [0.2, 89, 100, 3600].map(settings.left))"
    left = page.evaluate(told)
    assert left == ["about 1 s left", "about 89 s left", "about 2 min left", "about 60 min left"]


# ── cancelling ──


def test_a_job_is_cancelled_with_the_mouse(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    page = visitor.open(house.page_of(job))
    button(page).click()
    expect(state(page)).to_have_text("cancelled")
    reaches(job, "cancelled")


def test_a_job_is_cancelled_with_the_keyboard_and_the_focus_is_not_lost(house: House, visitor: Visitor) -> None:
    job = house.enqueue("stubborn")
    page = visitor.open(house.page_of(job))
    expect(button(page)).to_be_visible()
    page.keyboard.press("Tab")
    expect(button(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(state(page)).to_have_text("cancelling")
    expect(state(page)).to_be_focused()
    expect(button(page)).to_be_hidden()
    house.tell(job, "end")
    expect(state(page)).to_have_text("completed")


def test_a_cancel_that_does_not_arrive_says_so(house: House, visitor: Visitor) -> None:
    visitor.expects(*SERVER_DIED)
    page = visitor.open(house.page_of(house.enqueue()))
    expect(button(page)).to_be_visible()
    with dead(house.server):
        button(page).click()
        expect(page.get_by_text("Failed to fetch")).to_be_visible()
        expect(button(page)).to_be_visible()


def test_a_script_cancels_with_a_reason_and_is_told_of_a_refusal(house: House, visitor: Visitor) -> None:
    visitor.expects("404", "401")
    job, other = house.enqueue(), house.enqueue()
    page = visitor.open(house.page())
    cancel = """([id, token]) => import("/background/static/jobsworth.js").then(({ cancel }) =>
        cancel(id, { token, reason: "too slow" }).then(() => "asked", ({ message, status }) => [message, status]))"""
    assert page.evaluate(cancel, [job.id, other.token()]) == ["Job not found", 404]
    assert page.evaluate(cancel, [job.id, None])[1] == 401
    assert page.evaluate(cancel, [job.id, job.token()]) == "asked"
    reaches(job, "cancelled")


# ── watch() ──


def test_a_watch_is_iterated_until_the_job_has_ended(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    page = visitor.open(house.page())
    page.evaluate(WATCH, [job.id, job.token()])
    becomes(page, "seen.includes('running')")
    house.tell(job, "progress 10 on", "end")
    becomes(page, "seen.at(-1) === 'over'")
    seen = page.evaluate("seen")
    assert seen[-2:] == ["completed", "over"]
    assert set(seen[:-2]) <= {"queued", "running"}


def test_a_call_back_hears_everything_that_onlookers_may_know(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    page = visitor.open(house.page())
    page.evaluate(CALL_BACK, [job.id, job.token()])
    becomes(page, "told.at(-1)?.status === 'running'")
    house.tell(job, "progress 40 Loading", "fail not a picture")
    becomes(page, "told.at(-1).status === 'failed'")
    events = page.evaluate("told")
    assert [event["version"] for event in events] == sorted({event["version"] for event in events})
    last = events[-1]
    assert last["job_id"] == job.id
    assert last["queue"] == "steps"
    assert last["error"] == "not a picture"
    assert not {"args", "result", "traceback"} & last.keys()


def test_a_call_back_that_throws_harms_no_other_one(house: House, visitor: Visitor) -> None:
    visitor.expects("mine")
    job = house.enqueue()
    page = visitor.open(house.page_of(job))
    before = house.streams()["all"]
    page.evaluate(
        """([id, token]) => import("/background/static/jobsworth.js").then(({ watch }) => {
            watch(id, { token, onchange: () => { throw new Error("mine") } }) })""",
        [job.id, job.token()],
    )
    expect(state(page)).to_have_text("running")
    house.tell(job, "end")
    expect(state(page)).to_have_text("completed")
    until(lambda: page.evaluate("1") and visitor.wrong, what="the error is reported")
    assert house.streams()["all"] - before <= 2  # and nothing is read again and again because of it


def test_a_watch_that_is_closed_ends_and_lets_the_stream_go(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    page = visitor.open(house.page())
    page.evaluate(WATCH, [job.id, job.token()])
    becomes(page, "seen.length > 0")
    streams_are(house, 1)
    page.evaluate("job.close()")
    becomes(page, "seen.at(-1) === 'over'")
    streams_are(house, 0)


def test_more_jobs_than_fit_into_a_stream_are_all_watched(house: House, visitor: Visitor) -> None:
    jobs = [house.enqueue(task="wait") for _ in range(60)]
    page = visitor.open(house.page_of(*jobs))
    expect(state(page)).to_have_text(["queued"] * 60)
    streams_are(house, 2)


# ── the connection ──


def test_the_end_arrives_although_the_server_was_killed_meanwhile(house: House, visitor: Visitor) -> None:
    visitor.expects(*SERVER_DIED)
    job = house.enqueue("progress 40 Loading")
    page = visitor.open(house.page_of(job))
    expect(page.get_by_text("40 % · Loading")).to_be_visible()
    with dead(house.server):
        house.tell(job, "end")
        reaches(job, "completed")
        expect(state(page)).to_have_text("running")
    expect(state(page)).to_have_text("completed")


def test_the_stream_is_read_again_at_once_when_the_network_is_back(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    page = visitor.open(house.page_of(job))
    expect(state(page)).to_have_text("running")
    before = house.streams()["all"]
    page.evaluate("dispatchEvent(new Event('online'))")
    until(lambda: house.streams()["all"] == before + 1, what="a new stream")
    streams_are(house, 1)


def test_progress_that_comes_fast_is_told_at_most_five_times_a_second(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    page = visitor.open(house.page())
    page.evaluate(CALL_BACK, [job.id, job.token()])
    becomes(page, "told.at(-1)?.status === 'running'")
    before, began = page.evaluate("told.length"), time.monotonic()
    house.tell(job, *(f"progress {number} on" for number in range(100)), "end")
    becomes(page, "told.at(-1).status === 'completed'")
    took = time.monotonic() - began
    assert page.evaluate("told.length") - before <= 5 * took + 2


def test_a_host_that_cannot_stream_is_asked_instead(house: House, visitors: NewVisitor) -> None:
    house.wsgi.start()
    visitor = visitors(house.wsgi.url)
    visitor.expects("501", "404")
    job, other = house.enqueue("progress 40 Loading"), house.enqueue()
    page = visitor.open(house.page(element(job.id, job.token()) + element(other.id, job.token())))
    expect(state(page)).to_have_text(["running", "not available"])
    expect(page.get_by_text("40 % · Loading")).to_be_visible()
    house.tell(job, "fail no such picture")
    expect(state(page).first).to_have_text("failed · no such picture")


def test_a_single_job_is_waited_for_where_nothing_streams(house: House, visitors: NewVisitor) -> None:
    house.wsgi.start()
    visitor = visitors(house.wsgi.url)
    visitor.expects("501")
    job = house.enqueue()
    page = visitor.open(house.page_of(job))
    expect(state(page)).to_have_text("running")
    asked = len(visitor.requests)
    page.wait_for_timeout(2_000)  # in which nothing happens
    assert len(visitor.requests) - asked <= 1
    button(page).click()
    expect(state(page)).to_have_text("cancelled")


# ── tabs ──


def test_tabs_share_one_stream_and_go_on_when_the_one_that_reads_it_is_closed(house: House, visitor: Visitor) -> None:
    job, other = house.enqueue(), house.enqueue()
    leader = visitor.open(house.page_of(job))
    expect(state(leader)).to_have_text("running")
    follower = visitor.open(house.page_of(job, other))
    expect(state(follower)).to_have_text(["running", "running"])
    streams_are(house, 1)
    house.tell(job, "progress 30 Loading")
    for page in (leader, follower):
        expect(page.get_by_text("30 % · Loading")).to_be_visible()
    leader.close()
    house.tell(other, "progress 60 Writing")
    expect(follower.get_by_text("60 % · Writing")).to_be_visible()
    streams_are(house, 1)
    house.tell(job, "end")
    house.tell(other, "end")
    expect(state(follower)).to_have_text(["completed", "completed"])
    streams_are(house, 0)


def test_a_tab_is_told_only_what_its_visitor_may_see(house: House, visitors: NewVisitor) -> None:
    job = house.enqueue()
    expect(state(visitors().open(house.page_of(job)))).to_have_text("running")
    stranger = visitors()
    stranger.expects("401")
    expect(state(stranger.open(house.page(element(job.id))))).to_have_text("not available")


def test_a_silent_tab_does_not_silence_the_others(house: House, visitor: Visitor) -> None:
    job = house.enqueue()
    leader = visitor.open(house.page_of(job))
    expect(state(leader)).to_have_text("running")
    follower = visitor.context.new_page()
    follower.clock.install()
    follower.goto(house.page_of(job))
    expect(state(follower)).to_have_text("running")
    leader.evaluate("BroadcastChannel.prototype.postMessage = () => {}")  # as if it were frozen: it holds its lock
    house.tell(job, "progress 50 Loading")
    expect(leader.get_by_text("50 % · Loading")).to_be_visible()
    expect(follower.get_by_text("50 % · Loading")).to_be_hidden()
    follower.clock.fast_forward(41_000)
    expect(follower.get_by_text("50 % · Loading")).to_be_visible()
    house.tell(job, "progress 60 Writing")
    for page in (leader, follower):
        expect(page.get_by_text("60 % · Writing")).to_be_visible()
    streams_are(house, 1)


def test_without_a_secure_context_each_tab_reads_for_itself(house: House, visitors: NewVisitor) -> None:
    visitor = visitors(house.server.url.replace("127.0.0.1", "app.test"))
    job = house.enqueue()
    pages = [visitor.open(house.page_of(job)) for _ in range(2)]
    assert pages[0].evaluate("navigator.locks === undefined")
    for page in pages:
        expect(state(page)).to_have_text("running")
    streams_are(house, 2)
    house.tell(job, "end")
    for page in pages:
        expect(state(page)).to_have_text("completed")
