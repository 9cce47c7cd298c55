"""What a browser is sent: server-sent events and long answers, as they pass through the ASGI and WSGI hosts."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from jobsworth import Jobsworth
from jobsworth.engine import Pulse, Want, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.job import Claim, Failure, Progress
from jobsworth.lifecycle import settle
from jobsworth.outcome import Failed, Succeeded
from jobsworth.retry import Retry
from jobsworth.web import Level, Site, Visitor
from jobsworth.web import live as live_module

WITHIN = 14.0  # seconds for what takes a fraction of one; less than a long answer or a silent stream takes
VISITORS = {"ada": Visitor(Level.USER, owner="user:7"), "ops": Visitor(Level.READ)}
NOT_A_PICTURE = Failure("GiveUp", "not a picture", "gave_up")
BROKE = Failure("psycopg.OperationalError", "cannot reach db.internal as user app")
Frame = dict[str, Any]


class House:
    """A program with its site; a test moves the jobs by hand, through the engine's own door."""

    def __init__(self) -> None:
        self.jobs = Jobsworth(engine=MemoryEngine(), secret="a secret of the tests")
        self.site = Site(self.jobs, authorize=lambda request: VISITORS.get(request.headers.get("cookie", "")))

        @self.jobs.task(queue="photos", max_attempts=1)
        def resize(number: int) -> int:
            return number

        self.resize = resize

    def put(self, owner: str | None = "user:7") -> str:
        return self.resize.options(owner=owner).enqueue(1).id

    def claim(self) -> Claim:
        want = [Want("photos", 1, ("resize",))]
        return self.jobs.bridge.call(lambda engine: engine.turn("w", [], want, lease=60)).claims[0]

    def say(self, claim: Claim, percent: float, message: str = "on it") -> None:
        pulse = [Pulse(claim.lease, Progress(percent=percent, message=message))]
        self.jobs.bridge.call(lambda engine: engine.pulse(WorkerCard(id="w"), pulse, lease=60))

    def end(self, claim: Claim, *, well: bool = True, failure: Failure = NOT_A_PICTURE) -> None:
        outcome = Succeeded(b"1") if well else Failed(failure, final=True)
        ending = [settle(claim, outcome, Retry())]
        self.jobs.bridge.call(lambda engine: engine.turn("w", ending, [], lease=60))

    def version(self, job_id: str) -> int:
        return self.jobs.handle(job_id).job.version


class Browser:
    """A connection to the site's ASGI app. Reads what comes, when it is asked to."""

    def __init__(self, house: House, path: str, query: str = "", reads: bool = True, **headers: str) -> None:
        headers = {"cookie": "ada", **headers}
        self._scope = {
            "type": "http", "method": "GET", "path": path, "query_string": query.encode(), "client": ("1.2.3.4", 5),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        self._house, self._reads = house, reads
        self._gone = asyncio.Event()
        self._asked = False
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._text = ""
        self.started = asyncio.Event()
        self.status = 0
        self.headers: dict[str, str] = {}

    async def __aenter__(self) -> Browser:
        self._task = asyncio.ensure_future(self._house.site.asgi(self._scope, self._receive, self._send))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._gone.set()
        await asyncio.wait_for(self._task, WITHIN)

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b""}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.started.set()
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        if not self._reads:
            await asyncio.Event().wait()  # its buffers are full
        self._parts.put_nowait(message["body"])
        if not message.get("more_body"):
            self._parts.put_nowait(None)

    async def frame(self) -> Frame | None:
        """The next event, as its fields; None when the stream has ended."""
        while "\n\n" not in self._text:
            part = await asyncio.wait_for(self._parts.get(), WITHIN)
            if part is None:
                return None
            self._text += part.decode()
        text, _, self._text = self._text.partition("\n\n")
        return dict(line.partition(": ")[::2] for line in text.split("\n"))

    async def change(self) -> dict[str, Any]:
        """The next change of a job."""
        while True:
            frame = await self.frame()
            assert frame is not None, "the stream has ended"
            if frame.get("event") == "job.changed":
                return {**json.loads(frame["data"]), "id": frame.get("id")}

    async def rest(self) -> list[Frame]:
        """All that comes until the end."""
        frames = []
        while (frame := await self.frame()) is not None:
            frames.append(frame)
        return frames


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.site.close()
    made.jobs.close()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


def test_a_browser_sees_the_job_move_to_its_end_and_then_the_stream_ends(house: House) -> None:
    async def story() -> None:
        job_id = house.put()
        async with Browser(house, f"/jobs/{job_id}/events") as browser:
            seen = [await browser.change()]
            claim = house.claim()
            seen.append(await browser.change())
            house.say(claim, 40)
            seen.append(await browser.change())
            house.end(claim)
            last = await browser.rest()
        assert [each["status"] for each in seen] == ["queued", "running", "running"]
        assert seen[-1]["progress"]["percent"] == 40
        assert seen[-1]["message"] == "on it"
        assert json.loads(last[0]["data"])["status"] == "completed"
        assert last[-1]["event"] == "end"

    run(story())


def test_an_events_id_is_its_jobs_version(house: House) -> None:
    async def story() -> None:
        job_id = house.put()
        async with Browser(house, f"/jobs/{job_id}/events") as browser:
            change = await browser.change()
        assert change["id"] == str(change["version"]) == str(house.version(job_id))

    run(story())


def test_a_browser_that_comes_back_is_sent_what_it_missed_and_not_what_it_knows(house: House) -> None:
    async def story() -> None:
        job_id = house.put()
        known = house.version(job_id)
        house.end(house.claim(), well=False)
        async with Browser(house, f"/jobs/{job_id}/events", last_event_id=str(known)) as browser:
            missed = await browser.change()
        assert missed["status"] == "failed"
        assert missed["error"] == "not a picture"

    run(story())


def test_what_an_exception_says_is_for_operators_and_what_a_handler_gives_up_with_is_for_users(house: House) -> None:
    async def story() -> None:
        broke, gave_up = house.put(), house.put()
        house.end(house.claim(), well=False, failure=BROKE)
        house.end(house.claim(), well=False)
        told = {}
        for who in ("ada", "ops"):
            for path, query in ((f"/jobs/{broke}/events", ""), ("/events", f"jobs={broke},{gave_up}")):
                async with Browser(house, path, query, cookie=who) as browser:
                    for _ in query.split(","):
                        change = await browser.change()
                        told[who, path, change["job_id"]] = change.get("error")
        for (who, _, job_id), error in told.items():
            plain, whole = (None, "psycopg.OperationalError: cannot reach db.internal as user app")
            if job_id == gave_up:
                plain, whole = "not a picture", "GiveUp: not a picture"
            assert error == (whole if who == "ops" else plain)
        assert len(told) == 6

    run(story())


def test_a_token_lends_an_operator_of_other_queues_the_users_view_of_one_job(house: House) -> None:
    VISITORS["mail"] = Visitor(Level.READ, queues={"mail"})

    async def story() -> None:
        job_id = house.put()
        house.end(house.claim(), well=False, failure=BROKE)
        token = f"Bearer {house.jobs.handle(job_id).token()}"
        for path, query in ((f"/jobs/{job_id}/events", ""), ("/events", f"jobs={job_id}")):
            async with Browser(house, path, query, cookie="mail", authorization=token) as browser:
                change = await browser.change()
            assert change["status"] == "failed"
            assert "error" not in change

    try:
        run(story())
    finally:
        del VISITORS["mail"]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\r", "\n", "\r\n", "\n\n", "\x0b", "\x0c", "\x1c", "\0"])
def test_nothing_a_job_says_ends_a_line_of_the_stream(house: House, sign: str) -> None:
    forged = json.dumps({"job_id": "x", "status": "completed", "version": 99})
    said = f"on it{sign}data: {forged}{sign}{sign}event: end{sign}data: {{}}"

    async def story() -> None:
        async with Browser(house, f"/jobs/{house.put()}/events") as browser:
            house.say(house.claim(), 40, said)
            await browser.frame()
            frame = await browser.frame()
            while '"percent":40' not in frame["data"]:
                frame = await browser.frame()
        text = "\n".join(f"{name}: {value}" for name, value in frame.items())
        assert [line.partition(": ")[0] for line in text.splitlines()] == ["id", "event", "data"]
        assert (
            json.loads(frame["data"])["message"]
            == house.jobs.handle(json.loads(frame["data"])["job_id"]).job.progress.message
        )

    run(story())


def test_a_browser_that_knows_the_end_is_told_that_there_is_no_more(house: House) -> None:
    async def story() -> None:
        job_id = house.put()
        house.end(house.claim())
        async with Browser(house, f"/jobs/{job_id}/events", last_event_id=str(house.version(job_id))) as browser:
            assert [frame.get("event") for frame in await browser.rest()] == [None, "end"]

    run(story())


@pytest.mark.parametrize("odd", ["-1", "x", "1.5", "9" * 30, "١"])
def test_a_last_event_id_that_is_none_of_ours_is_a_clear_error(house: House, odd: str) -> None:
    async def story() -> None:
        async with Browser(house, f"/jobs/{house.put()}/events", last_event_id=odd) as browser:
            await asyncio.wait_for(browser._parts.get(), WITHIN)
        assert browser.status == 400

    run(story())


def test_a_stream_says_that_it_lives_while_nothing_happens(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "COMMENT_EVERY", 0.05)

    async def story() -> None:
        async with Browser(house, f"/jobs/{house.put()}/events") as browser:
            await browser.change()
            assert await browser.frame() == {":": ""}

    run(story())


def test_proxies_and_caches_are_told_to_keep_nothing_back(house: House) -> None:
    async def story() -> None:
        async with Browser(house, f"/jobs/{house.put()}/events") as browser:
            await browser.change()
        assert browser.headers["content-type"].startswith("text/event-stream")
        assert browser.headers["cache-control"] == "no-store"
        assert browser.headers["x-accel-buffering"] == "no"

    run(story())


def test_a_job_of_somebody_else_and_one_that_is_not_there_are_the_same(house: House) -> None:
    async def answer(path: str) -> tuple[int, bytes | None]:
        async with Browser(house, path) as browser:
            return browser.status, await asyncio.wait_for(browser._parts.get(), WITHIN)

    async def story() -> None:
        hidden = await answer(f"/jobs/{house.put(owner='user:8')}/events")
        assert hidden == await answer("/jobs/nobody/events")
        assert b"Job not found" in (hidden[1] or b"")

    run(story())


def test_several_jobs_share_a_stream_and_hidden_ones_are_gone(house: House) -> None:
    async def story() -> None:
        mine, theirs = house.put(), house.put(owner="user:8")
        async with Browser(house, "/events", f"jobs={mine},{theirs},nobody") as browser:
            frames = [await browser.frame() for _ in range(4)]
        told = {json.loads(frame["data"])["job_id"]: frame["event"] for frame in frames[1:] if frame}
        assert told == {mine: "job.changed", theirs: "end", "nobody": "end"}

    run(story())


def test_an_id_that_no_job_can_have_is_gone_and_ends_no_stream(house: House) -> None:
    async def story() -> None:
        mine, odd = house.put(), ["a b", "../api", "ä"]
        async with Browser(house, "/events", urlencode({"jobs": ",".join([mine, *odd])})) as browser:
            frames = [await browser.frame() for _ in range(5)]
        told = {json.loads(frame["data"])["job_id"]: frame["event"] for frame in frames[1:] if frame}
        assert told == {mine: "job.changed", **dict.fromkeys(odd, "end")}

    run(story())


def test_tokens_open_their_jobs_and_no_others(house: House) -> None:
    async def story() -> None:
        mine, other = (house.put(owner=None) for _ in range(2))
        token = f"Bearer {house.jobs.handle(mine).token()}"
        async with Browser(house, "/events", f"jobs={mine},{other}", cookie="", authorization=token) as browser:
            frames = [await browser.frame() for _ in range(3)]
        told = {json.loads(frame["data"])["job_id"]: frame["event"] for frame in frames[1:] if frame}
        assert told == {mine: "job.changed", other: "end"}

    run(story())


def test_an_owner_watches_all_their_jobs_without_naming_one(house: House) -> None:
    async def story() -> None:
        async with Browser(house, "/events") as browser:
            await browser.frame()
            house.put(owner="user:8")
            mine = house.put()
            assert (await browser.change())["job_id"] == mine

    run(story())


def test_nobody_watches_another_owners_jobs(house: House) -> None:
    async def story() -> None:
        async with Browser(house, "/events", "owner=user:8") as browser:
            await asyncio.wait_for(browser._parts.get(), WITHIN)
        assert browser.status == 404

    run(story())


def test_an_operator_watches_the_store_as_a_whole(house: House) -> None:
    async def story() -> None:
        house.put()
        async with Browser(house, "/events", cookie="ops") as browser:
            await browser.frame()
            frame = await browser.frame()
        assert frame is not None
        assert frame["event"] == "stats"
        assert json.loads(frame["data"])["queues"][0]["queue"] == "photos"

    run(story())


def test_an_operator_watches_some_jobs_beside_the_store_as_a_whole(house: House) -> None:
    async def story() -> None:
        mine = house.put()
        async with Browser(house, "/events", f"jobs={mine}&stats=true", cookie="ops") as browser:
            await browser.frame()
            frames = [await browser.frame() for _ in range(2)]
        assert {frame["event"] for frame in frames if frame} == {"stats", "job.changed"}

    run(story())


def test_only_operators_are_told_of_the_store_as_a_whole(house: House) -> None:
    async def story() -> None:
        async with Browser(house, "/events", f"jobs={house.put()}&stats=true", cookie="ada") as browser:
            await asyncio.wait_for(browser._parts.get(), WITHIN)
        assert browser.status == 404

    run(story())


def test_a_browser_that_goes_is_forgotten(house: House) -> None:
    async def story() -> None:
        async with Browser(house, f"/jobs/{house.put()}/events") as browser:
            await browser.change()
            assert len(house.site.hub) == 1
        assert len(house.site.hub) == 0

    run(story())


def test_a_browser_that_goes_while_it_does_not_read_is_forgotten_too(house: House) -> None:
    async def story() -> None:
        async with Browser(house, f"/jobs/{house.put()}/events", reads=False) as browser:
            await asyncio.wait_for(browser.started.wait(), WITHIN)
        assert len(house.site.hub) == 0

    run(story())


def test_a_site_that_closes_ends_its_streams(house: House) -> None:
    async def story() -> None:
        async with Browser(house, f"/jobs/{house.put()}/events") as browser:
            await browser.change()
            await asyncio.to_thread(house.site.close)
            assert await browser.rest() == []

    run(story())


def test_more_streams_than_allowed_are_refused_with_a_word_of_what_to_do(house: House) -> None:
    house.site.hub._most = 1

    async def story() -> None:
        path = f"/jobs/{house.put()}/events"
        async with Browser(house, path) as first, Browser(house, path) as second:
            await first.change()
            body = await asyncio.wait_for(second._parts.get(), WITHIN)
        assert second.status == 429
        assert json.loads(body or b"")["code"] == "E610"

    run(story())


def _get(house: House, path: str, query: str = "") -> tuple[str, dict[str, Any]]:
    """Ask the WSGI app."""
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "HTTP_COOKIE": "ada", "SERVER_NAME": "x",
        "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1",
    }  # fmt: skip
    body = b"".join(house.site.wsgi(environ, lambda status, headers, exc=None: said.append(status)))
    return said[0], json.loads(body)


def _status(house: House, job_id: str, query: str) -> Callable[[], dict[str, Any]]:
    """Ask how a job stands, on a thread; returns how to get the answer."""
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(_get(house, f"/jobs/{job_id}/status", query)[1]))
    thread.start()

    def answer() -> dict[str, Any]:
        thread.join(WITHIN)
        return dict(answers[0]["job"])

    return answer


def test_a_host_that_cannot_stream_says_what_to_ask_instead(house: House) -> None:
    status, said = _get(house, f"/jobs/{house.put()}/events")
    assert status.startswith("501")
    assert "since" in said["hint"]


def test_a_long_answer_comes_when_the_job_has_changed(house: House) -> None:
    job_id = house.put()
    answer = _status(house, job_id, f"since={house.version(job_id)}&wait=20")
    deadline = time.monotonic() + WITHIN
    while not len(house.site.hub):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    house.claim()
    assert answer()["status"] == "running"


def test_a_long_answer_comes_at_once_when_the_job_has_changed_already_or_has_ended(house: House) -> None:
    job_id = house.put()
    assert _status(house, job_id, "since=-1&wait=30")()["status"] == "queued"
    house.end(house.claim())
    assert _status(house, job_id, f"since={house.version(job_id)}&wait=30")()["status"] == "completed"


def test_a_long_answer_comes_when_its_time_is_over(house: House) -> None:
    job_id = house.put()
    assert _status(house, job_id, f"since={house.version(job_id)}&wait=0.05")()["status"] == "queued"
