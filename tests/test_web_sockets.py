"""The WebSocket: a real uvicorn with a real client at it, friendly ones and others."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import socket as sockets
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from jobsworth import Jobsworth
from jobsworth.engine import Pulse, Want, Where, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.errors import BadOption, EngineUnavailable
from jobsworth.events import Fault
from jobsworth.job import Claim, Failure, Progress
from jobsworth.lifecycle import settle
from jobsworth.outcome import Failed, Outcome, Succeeded
from jobsworth.retry import Retry
from jobsworth.tokens import Tokens
from jobsworth.web import Level, Site, Visitor, hub, mailbox
from jobsworth.web import sockets as module
from jobsworth.web.hub import changed
from jobsworth.web.live import MOST_JOBS
from jobsworth.web.routes import TABLE
from jobsworth.web.server import listen, served
from jobsworth.web.sockets import Asked, Close, LineCut, Socket
from test_web_matrix import ROLES, Role, allowed
from waiting import until
from web_client import SECRET, Client, Heard, an_app, bearer

WITHIN = 9.0  # seconds for what takes a fraction of one; less than a stranger has for the first message
PAGE = "https://app.example"
ROOT = Path(__file__).parents[1]
VISITORS = {
    "ada": Visitor(Level.USER, owner="user:7"), "eve": Visitor(Level.USER, owner="user:8"), "ops": Visitor(Level.READ),
}  # fmt: skip
Json = dict[str, Any]


class House:
    """A program whose jobs a test moves by hand, and its site, served by a real server."""

    def __init__(self) -> None:
        self.jobs = Jobsworth(engine=MemoryEngine(), secret=SECRET)
        self.heard = Heard()
        self.site = Site(
            self.jobs, authorize=self._who, origins=[PAGE, "http://127.0.0.1:7"], listener=self.heard, streams=50
        )

        @self.jobs.task(queue="photos", max_attempts=1)
        def resize(number: int) -> int:
            return number

        self.resize = resize
        self.visitors: dict[str, Any] = dict(VISITORS)
        self._doors = contextlib.ExitStack()
        self.port = 0
        self.open()

    async def _who(self, request: Any) -> Any:
        await asyncio.sleep(0)
        found = self.visitors.get(request.headers.get("cookie", ""))
        if isinstance(found, Exception):
            raise found
        return found

    def open(self) -> None:
        """Serve; after shut() at the same address again."""
        door = listen("127.0.0.1", self.port)
        door.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 8_192)
        self.port = door.getsockname()[1]
        self._doors.enter_context(served(self.site, door))
        until(lambda: Client(self.site).get("/livez").status_code == 200, WITHIN, "it is served")

    def shut(self) -> None:
        self._doors.close()

    def put(self, owner: str | None = "user:7") -> str:
        return self.resize.options(owner=owner).enqueue(1).id

    def token(self, job_id: str, lifetime: float = 60) -> str:
        return self.jobs.handle(job_id).token(lifetime)

    def claim(self, number: int = 1) -> list[Claim]:
        want = [Want("photos", number, ("resize",))]
        return self.jobs.bridge.call(lambda engine: engine.turn("w", [], want, lease=600)).claims

    def say(self, claims: list[Claim], percent: float, message: str = "on it") -> None:
        pulses = [Pulse(claim.lease, Progress(percent=percent, message=message)) for claim in claims]
        self.jobs.bridge.call(lambda engine: engine.pulse(WorkerCard(id="w"), pulses, lease=600))

    def end(self, claim: Claim, outcome: Outcome | None = None) -> None:
        ending = [settle(claim, outcome or Succeeded(b"1"), Retry())]
        self.jobs.bridge.call(lambda engine: engine.turn("w", ending, [], lease=60))

    def end_next(self) -> None:
        self.end(self.claim()[0])

    def onlookers(self) -> int:
        return len(self.site.hub) + len(self.site.strangers)

    def page(self, who: str = "", origin: str | None = PAGE, **more: Any) -> Page:
        return Page(self, who, origin, **more)


class Page:
    """A page with an open socket."""

    def __init__(
        self, house: House, who: str, origin: str | None, *, port: int = 0, path: str = "/ws", **more: Any
    ) -> None:
        self._doors = contextlib.ExitStack()
        headers: Any = {"cookie": who, **more} if who else more
        url, named = f"ws://127.0.0.1:{port or house.port}{path}", None if origin is None else Origin(origin)
        opening = connect(url, origin=named, additional_headers=headers, compression=None, proxy=None, close_timeout=1)
        self.socket: ClientConnection = self._doors.enter_context(opening)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._doors.close()

    def say(self, **parts: Any) -> None:
        self.socket.send(json.dumps(parts))

    def hear(self, wanted: Callable[[Json], bool] = lambda said: said["event"] != "alive") -> Json:
        """The next message like that."""
        while True:
            said: Json = json.loads(self.socket.recv(WITHIN))
            if wanted(said):
                return said

    def hear_all(self, number: int) -> dict[str, Json]:
        """So many messages, by the jobs they are of."""
        return {said["job_id"]: said for said in (self.hear() for _ in range(number))}

    def status(self, status: str) -> Json:
        return self.hear(lambda said: said.get("status") == status)

    def closed(self) -> tuple[int, str]:
        """How the server ends it."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.socket.recv(WITHIN)
        assert self.socket.close_code is not None
        return self.socket.close_code, self.socket.close_reason or ""

    def hears_nothing(self) -> None:
        """Two looks of the hub go by."""
        with pytest.raises(TimeoutError):
            self.socket.recv(2.5 * hub.LOOK_EVERY)


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.shut()
    made.site.close()
    made.jobs.close()


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_sees_the_job_move_to_its_end_and_no_further(house: House) -> None:
    job_id = house.put()
    with house.page("ada") as page:
        page.say(watch=[job_id])
        assert page.hear()["status"] == "queued"
        (claim,) = house.claim()
        assert page.hear()["status"] == "running"
        house.say([claim], 40)
        said = page.hear(lambda said: said["progress"]["percent"] == 40)
        assert said["message"] == "on it"
        house.end(claim)
        page.status("completed")
        (box,) = house.site.hub._boxes
        until(lambda: not box.ids, WITHIN, "it is watched no longer")
        page.hears_nothing()
        page.say(watch=[job_id])
        page.status("completed")


def test_events_are_those_of_the_stream(house: House) -> None:
    job_id = house.put()
    (claim,) = house.claim()
    house.say([claim], 40)
    with house.page("ada") as page:
        page.say(watch=[job_id])
        said = page.hear()
        assert said == {"event": "job.changed", **json.loads(changed(house.jobs.handle(job_id).job).data)}
        assert {"job_id", "queue", "status", "progress", "version"} <= said.keys()


def test_a_job_that_was_tried_again_is_told_of_when_it_is_watched_again(house: House) -> None:
    job_id = house.put()
    house.end(house.claim()[0], Failed(Failure("ValueError", "x"), final=True))
    with house.page("ada") as page:
        page.say(watch=[job_id])
        page.status("failed")
        house.jobs.handle(job_id).retry()
        page.hears_nothing()
        page.say(watch=[job_id])
        page.status("queued")


def test_what_is_watched_no_longer_is_told_no_longer(house: House) -> None:
    one, other = house.put(), house.put()
    with house.page("ada") as page:
        page.say(watch=[one, other])
        assert set(page.hear_all(2)) == {one, other}
        page.say(unwatch=[one])
        until(lambda: [box.ids for box in house.site.hub._boxes] == [{other}], WITHIN, "one is watched")
        house.claim(2)
        assert page.hear()["job_id"] == other
        page.hears_nothing()


def test_a_job_that_is_deleted_meanwhile_is_gone(house: House) -> None:
    job_id = house.put()
    with house.page("ada") as page:
        page.say(watch=[job_id])
        page.hear()
        house.jobs.bridge.call(lambda engine: engine.delete(Where(ids=(job_id,))))
        assert page.hear() == {"event": "end", "job_id": job_id, "status": "gone"}


def test_owners_are_told_of_all_that_is_theirs_also_without_naming_anything(house: House) -> None:
    first = house.put()
    for said in ({}, {"owner": "user:7"}):
        with house.page("ada") as page:
            page.say(**said)
            assert first in {page.hear()["job_id"] for _ in house.jobs.find(owner="user:7")}
            house.put("user:8")
            later = house.put()
            assert page.hear()["job_id"] == later


def test_operators_are_told_of_every_owner_of_exceptions_and_of_the_queues_in_numbers(house: House) -> None:
    job_id = house.put()
    house.end(house.claim()[0], Failed(Failure("ValueError", "no /srv/x"), final=True))
    with house.page("ops") as page, house.page("ada") as user:
        page.say(watch=[job_id])
        assert page.status("failed")["error"] == "ValueError: no /srv/x"
        page.say(stats=True)
        assert page.hear()["queues"][0]["queue"] == "photos"
        page.say(owner="user:8")
        theirs = house.put("user:8")
        assert page.status("queued")["job_id"] == theirs
        user.say(watch=[job_id])
        assert "error" not in user.status("failed")


def test_a_silent_socket_says_that_it_lives(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALIVE_EVERY", 0.05)
    with house.page("ada") as page:
        assert page.hear(lambda said: True) == {"event": "alive"}


def test_an_hour_later_the_visitor_is_asked_to_come_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.1)
    with house.page("ada") as page:
        page.say(watch=[house.put()])
        assert page.closed() == (1000, "come again")


# ── whose page ───────────────────────────────────────────────────────────────────────────────────────────────────────

OTHERS = [
    None, "null", "", "*", "https://evil.test", "https://app.example.evil.test", "https://evil.app.example",
    "http://app.example", "https://app.example:8443", "https://app.example:443", "https://app.example/", "https://APP.example",
    "https://app.example, https://evil.test", "https://app.example@evil.test", "//app.example", "app.example",
    "http://127.0.0.1:8", "http://localhost:7",
]  # fmt: skip


def refused(house: House, who: str = "ada", origin: str | None = PAGE, **more: Any) -> tuple[int, Json]:
    with pytest.raises(InvalidStatus) as caught:
        house.page(who, origin, **more)
    answer = caught.value.response
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    return answer.status_code, json.loads(answer.body or b"{}")


def test_only_pages_of_the_very_origins_that_were_named_may_open_one(house: House) -> None:
    asked: list[str] = []
    house.visitors = {"ada": VISITORS["ada"]}
    who = house.site._authorize
    house.site._authorize = lambda request: asked.append(request.path) or who(request)  # type: ignore[assignment, operator, func-returns-value]
    for origin in [*OTHERS, f"http://127.0.0.1:{house.port}"]:  # the last one is its own
        status, said = refused(house, origin=origin)
        assert (status, said["code"]) == (403, "E603"), origin
    assert refused(house, authorization=f"Bearer {house.token(house.put())}", origin=None)[0] == 403
    assert not asked  # and nobody has been asked for their cookies' sake
    assert house.onlookers() == 0
    for origin in (PAGE, "http://127.0.0.1:7"):
        with house.page("ada", origin) as page:
            page.say(watch=[house.put()])
            page.hear()


def test_without_origins_there_is_none(house: House) -> None:
    house.site.origins = frozenset()
    assert refused(house)[0] == refused(house, origin=f"http://127.0.0.1:{house.port}")[0] == 404
    assert Client(Site(house.jobs, authorize=Level.ADMIN)).get("/ws").status_code == 404


def test_hosts_that_have_none_say_what_to_ask_instead(house: House) -> None:
    site = Site(house.jobs, authorize=Level.ADMIN, origins=[PAGE])
    page = Client(site).get("/ws")
    assert (page.status_code, page.json()["code"]) == (426, "E612")
    assert "/events" in page.json()["hint"]
    for host, headers in (("wsgi", {}), ("wsgi", {"upgrade": "websocket"}), ("asgi", {"upgrade": "websocket"})):
        none = Client(site, host).get("/ws", headers=headers)
        assert (none.status_code, none.json()["code"]) == (501, "E611")
        assert "/events" in none.json()["hint"]


@pytest.mark.parametrize("path", ["/", "/events", "/api/jobs", "/nothing", "/jobs/x/events", "/ws/x"])
def test_no_other_address_is_a_socket(house: House, path: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        house.page("ops", path=path)
    assert caught.value.response.status_code == 404


@pytest.mark.parametrize(
    "odd",
    ["https://app.example", ["*"], ["null"], [""], ["app.example"], ["https://app.example/"], ["https://App.example"],
     ["https://app.example:443"], ["http://app.example:80"], ["https://*.app.example"], ["https://app.example/x"],
     ["https://a@app.example"], ["https://"], [None], ["https://app.example\n"], ["https://app.example:0"]],
    ids=str,
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_a_clear_error(odd: Any) -> None:
    with pytest.raises(BadOption):
        Site(Jobsworth("memory://"), authorize=Level.READ, origins=odd)
    Site(Jobsworth("memory://"), authorize=Level.READ, origins=["https://app.example:8443", "http://[::1]:8000"])


# ── whose job ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_hidden_and_missing_jobs_are_one_answer(house: House) -> None:
    mine, theirs = house.put(), house.put("user:8")
    ids = [mine, theirs, "nobody", "../x", "ä"]
    with house.page("ada") as page:
        page.say(watch=ids)
        told = page.hear_all(len(ids))
        assert told.pop(mine)["event"] == "job.changed"
        for job_id, said in told.items():
            assert said == {"event": "end", "job_id": job_id, "status": "gone"}
        house.claim(2)
        assert page.hear()["job_id"] == mine
        page.hears_nothing()
        page.say(owner="user:8")
        assert page.closed() == (4404, "E301 Job not found")
    with house.page("ada") as page:
        page.say(stats=True, watch=[mine])
        assert page.closed()[0] == 4404


def test_tokens_open_their_jobs_for_one_message_and_no_others(house: House) -> None:
    mine, other = house.put(None), house.put(None)
    with house.page() as page:
        page.say(watch=[mine, other], tokens=[house.token(mine)])
        told = page.hear_all(2)
        assert told[mine]["status"] == "queued"
        assert told[other] == {"event": "end", "job_id": other, "status": "gone"}
        page.say(watch=[mine])
        assert page.closed() == (4401, "E601 sign in first")
    with house.page(authorization=f"Bearer {house.token(mine)}") as page:  # a program can say it in a header
        page.say(watch=[mine])
        assert page.hear()["job_id"] == mine


@pytest.mark.parametrize("kind", ["of another job", "run out", "forged", "of another secret", "none", "of bytes"])
def test_nothing_but_a_good_token_of_this_very_job_opens_it(house: House, kind: str) -> None:
    job_id, other = house.put(None), house.put(None)
    good = house.token(job_id)
    token = {
        "of another job": house.token(other), "run out": house.token(job_id, 0.001), "forged": good[:-2] + "AA",
        "of another secret": Tokens("x" * 20).sign(job_id, 60), "none": "", "of bytes": "\0\ufffd" * 600,
    }[kind]  # fmt: skip
    if kind == "run out":
        until(lambda: house.jobs.tokens.read(token) is None, WITHIN, "it has run out")
    with house.page() as page:
        page.say(watch=[job_id], tokens=[token])
        if kind == "of another job":
            assert page.hear() == {"event": "end", "job_id": job_id, "status": "gone"}
        else:
            assert page.closed() == (4401, "E601 sign in first")
    with house.page("ada") as page:  # nor beside what a visitor may see anyhow
        page.say(watch=[job_id], tokens=[token])
        assert page.hear() == {"event": "end", "job_id": job_id, "status": "gone"}


def in_place(site: Site, headers: dict[str, str], *said: Json, origin: str = PAGE) -> list[Json]:
    """What the ASGI app sends to a page that says this, up to what follows from that."""
    sent: list[Json] = []
    scope = {
        "type": "websocket", "path": "/ws", "query_string": b"", "client": ("1.2.3.4", 5),
        "headers": [(b"origin", origin.encode()), *((k.encode(), v.encode()) for k, v in headers.items())],
    }  # fmt: skip

    async def story() -> None:
        messages: asyncio.Queue[Json] = asyncio.Queue()
        for each in (
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": json.dumps(it)} for it in said),
        ):
            messages.put_nowait(each)

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] != "websocket.accept":
                messages.put_nowait({"type": "websocket.disconnect", "code": 1000})

        await asyncio.wait_for(site.asgi(scope, messages.get, send), WITHIN)

    asyncio.run(story())
    return sent


@pytest.mark.parametrize("said", ["in a header", "in the message"])
@pytest.mark.parametrize("name", ROLES)
def test_every_role_is_let_watch_what_it_may_see_and_nothing_else(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LOOK_EVERY", 0.01)
    role: Role = ROLES[name]
    jobs = an_app()
    ids = {
        "mail": jobs.find_task("send").options(owner="user:7").enqueue("ada").id,
        "film": jobs.find_task("cut").options(owner="user:7").enqueue("birds").id,
    }
    for route in (each for each in TABLE.routes if each.socket):
        for queue, job_id in ids.items():
            site = Site(jobs, authorize=lambda _: role.visitor, origins=[PAGE])
            token = jobs.handle(ids[role.token_for]).token() if role.token_for else ""
            header, message = ({}, {"tokens": [token]}) if said == "in the message" else (bearer(token), {})
            accepted, told, *_ = in_place(
                site, header if token else {}, {"watch": [job_id], **(message if token else {})}
            )
            site.close()
            assert accepted == {"type": "websocket.accept"}
            if (status := allowed(role, route.level, queue)) == 401:
                assert told == {"type": "websocket.close", "code": 4401, "reason": "E601 sign in first"}
            else:
                event = {200: "job.changed", 404: "end"}[status]
                assert (json.loads(told["text"])["job_id"], json.loads(told["text"])["event"]) == (job_id, event), role
    jobs.close()


# ── too much, and nonsense ───────────────────────────────────────────────────────────────────────────────────────────

BIG = "x" * module.LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("message", "code", "word"),
    [(b"{}", 1003, "text"), (b"\xff" * 1_000, 1003, "text"), (f'{{"watch": ["{BIG}"]}}', 1009, ""),
     ("", 4400, "E609"), ("hello", 4400, "E609"), ("[]", 4400, "E609"), ("null", 4400, "E609"), ("{", 4400, "E609"),
     ("[" * 60_000, 4400, "E609"), ('{"watch":' * 6_000, 4400, "E609"), ('{"watch": "x"}', 4400, "E609"),
     ('{"watch": [1]}', 4400, "E609"), ('{"watch": null}', 4400, "E609"), ('{"wach": ["x"]}', 4400, "E609"),
     ('{"watch": [], "__proto__": {}}', 4400, "E609"), ('{"owner": ["user:7"]}', 4400, "E609"),
     ('{"stats": 1}', 4400, "E609"), ('{"watch": ["' + "x" * 257 + '"]}', 4400, "E609"),
     ('{"watch": ["\\ud800"]}', 4400, "E609"),
     (json.dumps({"watch": [str(number) for number in range(5_000)]}), 4400, "E609"),
     (json.dumps({"tokens": ["x"] * 5_000}), 4400, "E609")],
    ids=lambda it: repr(it)[:30],
)  # fmt: skip
def test_a_message_that_makes_no_sense_is_the_end_and_says_why(
    house: House, message: Any, code: int, word: str
) -> None:
    with house.page("ada") as page:
        with contextlib.suppress(ConnectionClosed):  # it is not read to its end
            page.socket.send(message)
        closed, reason = page.closed()
        assert closed == code
        assert word in reason
        assert len(reason.encode()) <= 123
    until(lambda: house.onlookers() == 0, WITHIN, "it is forgotten")
    assert not house.heard.of(Fault)


def test_a_message_that_is_too_long_ends_it_also_where_the_server_takes_longer_ones(house: House) -> None:
    _, told, *_ = in_place(house.site, {"cookie": "ada"}, {"watch": ["ä" * (module.LONGEST_MESSAGE // 6)]})
    assert (told["type"], told["code"]) == ("websocket.close", 1009)


def test_a_message_of_many_megabytes_is_cut_off(house: House) -> None:
    with house.page("ada") as page:
        with pytest.raises(ConnectionClosed):
            page.socket.send(BIG * 300)  # it may not hear why, for nobody reads what it still sends
        until(lambda: house.onlookers() == 0, WITHIN, "it is forgotten")


def test_text_that_is_no_text_is_the_end_of_it_alone(house: House) -> None:
    with house.page("ada") as page, house.page("ada") as other:
        with page.socket.protocol_mutex:
            page.socket.protocol.send_text(b"\xff\xfe")
            page.socket.send_data()
        until(lambda: house.onlookers() == 1, WITHIN, "it is forgotten")
        other.say(watch=[house.put()])
        other.hear()


def test_no_more_jobs_are_watched_on_one_socket_than_allowed_and_ended_ones_make_room(house: House) -> None:
    hidden = [f"no-{number}" for number in range(MOST_JOBS)]
    with house.page("ada") as page:
        for _ in range(3):
            page.say(watch=hidden)
            assert len(page.hear_all(MOST_JOBS)) == MOST_JOBS
        ids = [house.put() for _ in range(MOST_JOBS)]
        page.say(watch=ids)
        assert len(page.hear_all(MOST_JOBS)) == MOST_JOBS
        page.say(unwatch=ids[:1], watch=["one"])
        assert page.hear()["status"] == "gone"
        page.say(watch=["two", ids[0]])
        assert page.closed()[0] == 4400


def test_who_says_nothing_is_sent_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WITHIN", 0.05)
    for who in ("", "ada"):
        with house.page(who) as page:
            assert page.closed() == (4408, "nothing was asked for")
    until(lambda: house.onlookers() == 0, WITHIN, "they are forgotten")


@pytest.mark.parametrize(
    "said", [{}, {"unwatch": ["x"]}, {"tokens": ["x"]}, {"stats": True}, {"owner": "user:7"}], ids=str
)
def test_nobody_gets_nothing(house: House, said: Json) -> None:
    house.put()
    with house.page() as page:
        page.say(**said)
        assert page.closed() == (4401, "E601 sign in first")


def test_those_whom_nobody_knows_take_no_places_of_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STRANGERS", 2)
    job_id = house.put()
    with house.page(), house.page() as stranger:
        assert refused(house, "")[0] == 429
        assert (len(house.site.hub), len(house.site.strangers)) == (0, 2)
        with house.page("ada") as page:
            page.say(watch=[job_id])
            page.hear()
            stranger.say(watch=[job_id], tokens=[house.token(job_id)])
            stranger.hear()
            with house.page():
                assert (len(house.site.hub), len(house.site.strangers)) == (2, 2)


def test_sockets_and_streams_share_one_bound(house: House) -> None:
    house.site.hub._most = 2
    job_id = house.put()
    with house.page("ada"), house.page("ada"):
        status, said = refused(house)
        assert (status, said["code"]) == (429, "E610")
        stream = Client(house.site, cookie="ada").get(f"/jobs/{job_id}/events", begin=True)
        assert (stream.status_code, stream.json()["code"]) == (429, "E610")
        with house.page() as late:
            late.say(watch=[job_id], tokens=[house.token(job_id)])
            code, reason = late.closed()
            assert code == 4429
            assert reason.startswith("E610")
    until(lambda: house.onlookers() == 0, WITHIN, "they are forgotten")
    house.page("ada").close()


def test_messages_are_read_at_a_walking_pace(house: House) -> None:
    job_id = house.put()
    asked = 0
    find = house.jobs.engine.find

    async def counted(where: Where) -> Any:
        nonlocal asked
        asked += 1
        return await find(where)

    house.jobs.engine.find = counted  # type: ignore[method-assign]
    with house.page("ada") as page:
        began = time.monotonic()
        for _ in range(200):
            page.say(watch=[job_id])
        page.hear()
        time.sleep(1)
        passed = time.monotonic() - began
        assert asked <= passed / module.PAUSE + passed / hub.LOOK_EVERY + 10


class Deaf:
    """A client that opens a socket and from then on reads nothing, with buffers as small as they can be."""

    def __init__(self, house: House, *, watch: list[str]) -> None:
        self._plug = sockets.socket()
        self._plug.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2_048)
        self._plug.connect(("127.0.0.1", house.port))
        key = base64.b64encode(os.urandom(16)).decode()
        self._plug.sendall(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nCookie: ada\r\n"
            f"Origin: {PAGE}\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self._plug.recv(1)
        said, mask = json.dumps({"watch": watch}).encode(), b"\0\0\0\0"
        self._plug.sendall(b"\x81\xfe" + len(said).to_bytes(2, "big") + mask + said)

    def close(self) -> None:
        self._plug.close()


def test_who_never_reads_holds_no_more_than_the_newest_of_each_job(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LOOK_EVERY", 0.001)
    monkeypatch.setattr(hub, "POLL", 0.01)
    ids = [house.put() for _ in range(100)]
    claims = house.claim(100)
    with contextlib.closing(Deaf(house, watch=ids)):
        until(lambda: [len(box.ids) for box in house.site.hub._boxes] == [100], WITHIN, "it watches")
        (box,) = house.site.hub._boxes

        def rounds(number: int) -> None:
            for turn in range(number):
                house.say(claims, turn % 100, f"{turn} {'x' * 2_000}")
                known = house.jobs.handle(ids[-1]).job.version
                until(
                    lambda known=known: box._known.get(ids[-1], -1) >= known,
                    WITHIN,
                    "the hub has told of it",
                    every=0.001,
                )

        rounds(20)  # 4 MB: its buffers are full
        assert len(box._unread) == 100
        tracemalloc.start()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        rounds(20)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert len(box._unread) == 100
        assert grown < 1_000_000  # of 4 MB
        with house.page("ada") as page:  # and nobody else waits for it
            page.say(watch=ids[:1])
            page.hear()
    until(lambda: house.onlookers() == 0, WITHIN, "it is forgotten when it goes")


def test_who_takes_nothing_for_too_long_is_let_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUCK", 0.2)
    monkeypatch.setattr("jobsworth.web.asgi._CLOSE_WITHIN", 0.1)
    ids = [house.put() for _ in range(100)]
    claims = house.claim(100)
    with contextlib.closing(Deaf(house, watch=ids)):
        until(lambda: house.onlookers() == 1, WITHIN, "it watches")
        for turn in range(200):
            house.say(claims, turn % 100, f"{turn} {'x' * 9_000}")
            if turn > 5 and house.onlookers() == 0:
                break
            time.sleep(0.05)
        assert house.onlookers() == 0


class Slow:
    """A line whose reader takes one message whenever the test lets it."""

    def __init__(self, *said: Json) -> None:
        self._said = [json.dumps(each) for each in said]
        self.took: list[Json] = []
        self.may = asyncio.Event()
        self.stuck = asyncio.Event()

    async def hear(self) -> str | None:
        return self._said.pop(0) if self._said else await asyncio.Future()

    async def say(self, text: str) -> None:
        if not self.may.is_set():
            self.stuck.set()
            await self.may.wait()
        self.took.append(json.loads(text))


def test_who_falls_too_far_behind_is_told_to_begin_anew_and_then_how_things_stand(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "MOST_UNREAD", 3)
    first = house.put()

    async def story() -> None:
        request = house.site.asgi._request(
            {"path": "/ws", "headers": [(b"origin", PAGE.encode()), (b"cookie", b"ada")]}
        )
        found = await house.site.connect(request)
        assert isinstance(found, Socket)
        line = Slow({}, {"watch": ["nobody"]})
        talk = asyncio.ensure_future(found.run(line))
        await asyncio.wait_for(line.stuck.wait(), WITHIN)
        ids = {first, *(house.put() for _ in range(9))}
        await asyncio.to_thread(until, lambda: found._box.waits_for_resync, WITHIN, "too much is unread")
        monkeypatch.setattr(mailbox, "MOST_UNREAD", 512)
        line.may.set()
        await asyncio.to_thread(
            until, lambda: {it.get("job_id") for it in line.took[-10:]} == ids, WITHIN, "all are told"
        )
        events = [said["event"] for said in line.took]
        assert "resync" in events
        assert {"event": "end", "job_id": "nobody", "status": "gone"} in line.took  # that is not lost with the others
        found.stop()
        assert await asyncio.wait_for(talk, WITHIN) == Close(1001, "the server stops: come again")

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_line_that_is_cut_is_no_fault_of_ours(house: House) -> None:
    class Cut(Slow):
        async def say(self, text: str) -> None:
            raise LineCut

    async def story() -> None:
        request = house.site.asgi._request(
            {"path": "/ws", "headers": [(b"origin", PAGE.encode()), (b"cookie", b"ada")]}
        )
        found = await house.site.connect(request)
        assert isinstance(found, Socket)
        assert await asyncio.wait_for(found.run(Cut({"watch": ["x"]})), WITHIN) is None

    asyncio.run(story())
    assert not house.heard.of(Fault)
    assert house.onlookers() == 0


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_that_goes_is_forgotten(house: House) -> None:
    page = house.page("ada")
    page.say(watch=[house.put()])
    page.hear()
    assert house.onlookers() == 1
    page.close()
    until(lambda: house.onlookers() == 0, WITHIN, "it is forgotten")


def test_a_server_that_stops_says_so_and_one_that_is_back_tells_the_end(house: House) -> None:
    job_id = house.put()
    with house.page("ada") as page, house.page() as stranger:
        page.say(watch=[job_id])
        page.hear()
        house.shut()
        assert page.closed() == stranger.closed() == (1001, "the server stops: come again")
    assert house.onlookers() == 0
    house.end_next()
    house.open()
    with house.page("ada") as page:
        page.say(watch=[job_id])
        assert page.hear()["status"] == "completed"


def test_a_store_that_is_away_is_told_and_nothing_of_where_it_is(house: House) -> None:
    job_id = house.put()
    find = house.jobs.engine.find

    async def away(_where: Where) -> Any:
        raise EngineUnavailable("cannot reach db.internal")

    with house.page("ada") as page, house.page("ada") as late:
        page.say(watch=[job_id])
        page.hear()
        house.jobs.engine.find = away  # type: ignore[method-assign]
        assert page.hear()["event"] == "away"
        late.say(watch=[job_id])
        code, reason = late.closed()
        assert code == 1013
        assert "internal" not in reason
        house.jobs.engine.find = find  # type: ignore[method-assign]
        house.end_next()
        page.status("completed")


def test_a_mistake_of_ours_is_told_to_the_log_and_an_id_to_the_page(house: House) -> None:
    async def broken(_where: Where) -> Any:
        raise ValueError("/srv/app/secret.py broke")

    house.visitors["bad"] = LookupError("/srv/secret/users.db is gone")
    status, said = refused(house, "bad")
    assert status == 500
    assert set(said) == {"error", "id"}
    with house.page("ada") as page:
        house.jobs.engine.find = broken  # type: ignore[method-assign]
        page.say(watch=[house.put()])
        code, reason = page.closed()
    assert code == 1011
    assert "secret" not in reason
    faults = house.heard.of(Fault)
    assert [fault.where.split()[1] for fault in faults] == [said["id"], reason.split()[0]]
    assert "secret.py" in faults[1].traceback


def test_it_works_where_an_app_has_mounted_it(house: House) -> None:
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/background", house.site.asgi)
    job_id = house.put()

    class Mounted:
        asgi = app

        def close(self) -> None:
            house.site.close()

    with contextlib.ExitStack() as stack:
        door = listen("127.0.0.1", 0)
        port = door.getsockname()[1]
        mounted: Any = Mounted()
        app.idle = house.site.asgi.idle  # type: ignore[attr-defined]
        stack.enter_context(served(mounted, door))
        until(lambda: sockets.create_connection(("127.0.0.1", port)).close() is None, WITHIN, "it is served")
        with house.page("ada", port=port, path="/background/ws") as page:
            page.say(watch=[job_id])
            assert page.hear()["job_id"] == job_id


def test_a_message_is_described_by_its_type() -> None:
    """docs/web.md names all parts of a message."""
    papers = (ROOT / "docs" / "web.md").read_text()
    for field in msgspec.structs.fields(Asked):
        assert f"| `{field.encode_name}` |" in papers
