"""What an attacker would try: S5, S8, S12, S13, S14 and S16 of the list of threats, over both hosts."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from jobsworth import Jobsworth
from jobsworth.errors import BadOption, EngineUnavailable, SecretMissing
from jobsworth.events import EngineBack, EngineLost, Fault, VisitorActed
from jobsworth.tokens import Tokens
from jobsworth.web import Level, Request, Site, Visitor, local_operator
from jobsworth.web.access import BasicAuth
from jobsworth.web.message import MAX_BODY
from jobsworth.web.routes import TABLE
from web_client import (
    ADMIN,
    HOSTS,
    SECRET,
    Client,
    Heard,
    a_dead_letter,
    a_site,
    a_url,
    an_app,
    bearer,
    state_of_the_house,
)

CHANGES = [route for route in TABLE.routes if route.method != "GET"]
USER = Visitor(Level.USER, owner="user:7")


# ── cross-site requests ──────────────────────────────────────────────────────────────────────────────────────────────

CROSS = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://app.test"},
    {"sec-fetch-site": "SAME-ORIGIN, cross-site"},
    {"sec-fetch-site": ""},
    {"origin": "http://evil.test"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://app.test.evil.test"},
    {"origin": "http://evil.test/http://app.test"},
    {"origin": "http://app.test@evil.test"},
    {"origin": "http://sub.app.test"},
    {"origin": "http://app.test:81"},
    {"origin": "http://["},
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("headers", CROSS, ids=str)
def test_another_sites_page_changes_nothing(headers: dict[str, str], host: str) -> None:
    jobs = an_app()
    job, dead = jobs.find_task("send").enqueue("ada").id, a_dead_letter(jobs)
    before = state_of_the_house(jobs)
    client = Client(a_site(jobs), host, **headers)
    for route in CHANGES:
        path = route.path.replace("{id}", dead if "retry" in route.path else job).replace("{queue}", "mail")
        assert client.ask(route.method, path, json={}).status_code == 403, route
    assert state_of_the_house(jobs) == before


@pytest.mark.parametrize(
    "headers",
    [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "http://app.test"},
     {"origin": "https://app.test"}, {"sec-fetch-site": "cross-site", "origin": "https://friend.test"}],
    ids=str,
)  # fmt: skip
def test_its_own_pages_programs_and_trusted_origins_may(headers: dict[str, str]) -> None:
    client = Client(a_site(origins=["https://friend.test"]), **headers)
    assert client.post("/api/queues/mail/pause").status_code == 200


def test_a_token_speaks_for_itself_and_lends_its_holders_cookies_nothing() -> None:
    jobs = an_app()
    mine, other = (jobs.find_task("send").options(owner="user:7").enqueue("a") for _ in range(2))
    client = Client(a_site(jobs, USER), **bearer(mine.token()), **{"sec-fetch-site": "cross-site"})
    assert client.post(f"/jobs/{other.id}/cancel").status_code == 404
    assert client.post(f"/jobs/{mine.id}/cancel").status_code == 200
    assert client.post(f"/jobs/{other.id}/cancel", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_a_bearer_that_is_no_token_of_ours_does_not_open_the_door_for_other_sites() -> None:
    client = Client(a_site(), **bearer("whatever"), **{"sec-fetch-site": "cross-site"})
    assert client.post("/api/queues/mail/pause").status_code == 403


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_token(secret: str, payload: Any, salt: str = "jobsworth.job-token.1", **more: Any) -> str:
    import hashlib

    return str(
        URLSafeSerializer(secret, salt=salt, signer_kwargs={"digest_method": hashlib.sha256, **more}).dumps(payload)
    )


@pytest.mark.parametrize("host", HOSTS)
def test_only_a_good_token_of_this_very_job_opens_it(host: str) -> None:
    jobs = an_app()
    job, other = jobs.find_task("send").enqueue("a"), jobs.find_task("send").enqueue("b")
    later = int(time.time()) + 60
    bad = {
        "expired": a_token(SECRET, [job.id, int(time.time()) - 1]),
        "other secret": a_token("x" * 32, [job.id, later]),
        "other salt": a_token(SECRET, [job.id, later], salt="itsdangerous"),
        "sha1": str(URLSafeSerializer(SECRET, salt="jobsworth.job-token.1").dumps([job.id, later])),
        "other form": a_token(SECRET, {"id": job.id}),
        "no end": a_token(SECRET, [job.id, None]),
        "text as its end": a_token(SECRET, [job.id, "9"]),
        "cut": job.token()[:-1],
        "turned": job.token()[::-1],
        "empty": "",
        "very long": "a" * 9_000,
        "odd": "ÿ.þ",
    }
    answers = set()
    if host == "wsgi":
        del bad["odd"]  # this client cannot send it
    for name, token in bad.items():
        for job_id in (job.id, "0199f3a2c1d40000", "a" * 128):
            got = Client(a_site(jobs, None_), host).get(f"/jobs/{job_id}/status", headers=raw_bearer(token))
            assert got.status_code == 401, name
            answers.add(got.content)
    assert len(answers) == 1
    assert (
        Client(a_site(jobs, None_), host).get(f"/jobs/{job.id}/status", headers=bearer(job.token())).status_code == 200
    )
    both = bearer(f"{other.token()}, {job.token()}")
    assert Client(a_site(jobs, None_), host).get(f"/jobs/{job.id}/status", headers=both).status_code == 200


def None_(_request: Request) -> None:  # noqa: N802
    return None


def raw_bearer(token: str) -> dict[Any, Any]:
    return {b"authorization": b"Bearer " + token.encode("latin-1")}


@pytest.mark.parametrize("host", HOSTS)
def test_hidden_and_missing_are_one_answer(host: str) -> None:
    jobs = an_app()
    theirs = jobs.find_task("send").options(owner="user:8").enqueue("a").id
    nobodys = jobs.find_task("send").enqueue("a").id
    mine = jobs.find_task("send").options(owner="user:7").enqueue("a")
    for site, headers in ((a_site(jobs, USER), {}), (a_site(jobs, None_), bearer(mine.token()))):
        client = Client(site, host, **headers)
        for method, shape in (("GET", "/jobs/{}/status"), ("POST", "/jobs/{}/cancel")):
            answers = [
                client.ask(method, shape.format(each))
                for each in (
                    theirs,
                    nobodys,
                    "0" * 28,
                    "x",
                    "a b",
                    "a%00b",
                    "%F0%9F%92%A9",
                    "..",
                    "'",
                    "{id}",
                    "z" * 300,
                )
            ]
            assert {answer.status_code for answer in answers} == {404}
            assert len({(answer.content, tuple(sorted(answer.headers.items()))) for answer in answers[:-4]}) == 1
            assert json.loads(answers[0].content)["code"] == "E301"


def test_a_secret_can_be_replaced_while_old_tokens_run_out() -> None:
    old, new = "o" * 20, "n" * 20
    token = Tokens(old).sign("job-1", 60)
    assert Tokens([new, old]).read(token) == "job-1"
    assert Tokens(f"{new},{old}").read(token) == "job-1"
    assert Tokens(new).read(token) is None
    assert Tokens(new).read(Tokens([new, old]).sign("job-1", 60)) == "job-1"
    assert Tokens(old).read(Tokens([new, old]).sign("job-1", 60)) is None


def test_a_token_needs_a_secret_that_cannot_be_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBSWORTH_SECRET", raising=False)
    jobs = Jobsworth("memory://")
    with pytest.raises(SecretMissing) as caught:
        jobs.handle("x").token()
    assert "JOBSWORTH_SECRET" in str(caught.value)
    for weak in ("short", ["x" * 20, "short"]):
        with pytest.raises(BadOption):
            Jobsworth("memory://", secret=weak)
    monkeypatch.setenv("JOBSWORTH_SECRET", f"{'a' * 20}, {'b' * 20}")
    token = Jobsworth("memory://").handle("x").token()
    assert Tokens("a" * 20).read(token) == "x"


@pytest.mark.parametrize("lifetime", [0, -1, float("nan"), float("inf"), 1e12, True, "60", None])
def test_a_lifetime_that_makes_no_sense_is_refused(lifetime: Any) -> None:
    with pytest.raises(BadOption):
        Tokens(SECRET).sign("job-1", lifetime)


# ── who asks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("given", [True, 4, "admin", object, {"level": 4}], ids=repr)
def test_an_authorize_that_gives_something_else_lets_nobody_in(given: Any, host: str) -> None:
    heard = Heard()
    site = a_site(authorize=lambda _: given, listener=heard)
    assert Client(site, host).get("/api/jobs").status_code == 500
    (fault,) = heard.of(Fault)
    assert "authorize" in fault.error


@pytest.mark.parametrize("host", HOSTS)
def test_an_authorize_that_fails_lets_nobody_in(host: str) -> None:
    def who(_request: Request) -> Visitor:
        raise LookupError("/srv/secret/users.db is gone")

    answer = Client(a_site(authorize=who, listener=Heard()), host).get("/api/jobs")
    assert answer.status_code == 500
    assert "secret" not in answer.text


@pytest.mark.parametrize("host", HOSTS)
def test_an_authorize_may_be_async_and_sees_the_request(host: str) -> None:
    seen: list[Request] = []

    async def who(request: Request) -> Visitor | None:
        import asyncio

        await asyncio.sleep(0)
        seen.append(request)
        return ADMIN if request.headers.get("cookie") == "session=1; theme=dark" else None

    client = Client(a_site(authorize=who), host)
    assert client.get("/api/jobs").status_code == 401
    assert client.get("/api/jobs", headers={"cookie": "session=1; theme=dark"}).status_code == 200
    assert seen[0].path == "/api/jobs"
    assert seen[0].client == "10.1.2.3"


def test_the_local_operator_sits_at_this_machine() -> None:
    def status(**more: Any) -> int:
        made = {"base": "http://localhost:8642", "client": "127.0.0.1", **more}
        return Client(a_site(authorize=local_operator), **made).get("/api/jobs").status_code

    assert status() == status(base="http://127.0.0.1:1") == status(base="http://[::1]:1", client="::1") == 200
    assert status(client="10.0.0.7") == 401
    assert status(base="http://rebound.evil.test:8642") == 401
    assert status(base="http://127.0.0.1.evil.test") == 401
    assert status(origin="http://localhost:8642") == 200
    for origin in ("http://rebound.evil.test:8642", "https://public.test", "null", "", "http://["):
        assert status(origin=origin) == 401
    for told in ("x-forwarded-for", "forwarded", "via", "x-forwarded-host", "x-real-ip"):
        assert status(**{told: "10.0.0.7"}) == 401


def test_a_password_is_asked_for_and_nothing_near_it_will_do() -> None:
    site = a_site(authorize=BasicAuth("ada:correct horse:1"))
    refused = Client(site).get("/api/jobs")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")

    def with_pair(pair: str) -> int:
        packed = base64.b64encode(pair.encode()).decode()
        return Client(site).get("/api/jobs", headers={"authorization": f"Basic {packed}"}).status_code

    assert with_pair("ada:correct horse:1") == 200
    for wrong in ("ada:correct horse", "ada:", ":", "Ada:correct horse:1", "ada:correct horse:1 ", "", "ada"):
        assert with_pair(wrong) == 401, wrong
    for broken in ("Basic", "Basic !!!", "Basic /w==", "basic", "Bearer x", "Basic " + "A" * 5_000):
        assert Client(site).get("/api/jobs", headers={"authorization": broken}).status_code == 401, broken
    for weak in ("ada", "ada:short", ":long enough", ""):
        with pytest.raises(BadOption):
            BasicAuth(weak)


# ── too much ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", HOSTS)
def test_a_body_that_is_too_large_is_refused_and_not_read(host: str) -> None:
    client = Client(a_site(), host, **{"content-type": "application/json"})
    assert client.ask("POST", "/api/jobs", content=b'"' + b"x" * MAX_BODY + b'"').status_code == 413
    lied = {"content-length": str(100 * 1_048_576)}
    assert client.ask("POST", "/api/jobs", headers=lied, content=b"{}").status_code == 413


def test_a_body_that_never_ends_is_cut_off() -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 65_536
            yield b" " * 65_536

    answer = Client(a_site()).ask("POST", "/api/jobs", headers={"content-type": "application/json"}, content=endless())
    assert answer.status_code == 413
    assert read <= MAX_BODY + 2 * 65_536


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"task":"send","arguments":' + b"[" * 90 + b"]" * 90 + b"}", b"{", b"\xff",
     b'{"task":"\xed\xa0\x80"}', b"1" * 10_000, b"1e999999", b"[]", b"null", b'"x"', b'{"task":1}',
     b'{"task":"send","x":1}',
     b'{"task":"send","options":{"priority":1e400}}', b'{"task":"send","arguments":{"copies":' + b"9" * 5_000 + b"}}"],
    ids=lambda body: f"{body[:30]!r} of {len(body)}",
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_a_plain_400(body: bytes, host: str) -> None:
    began = time.monotonic()
    answer = Client(a_site(), host, **{"content-type": "application/json"}).ask("POST", "/api/jobs", content=body)
    assert answer.status_code == 400, answer.text
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
@pytest.mark.parametrize("host", HOSTS)
def test_only_json_is_taken(kind: str, host: str) -> None:
    answer = Client(a_site(), host).ask(
        "POST", "/api/jobs", headers={"content-type": kind}, content=b'{"task":"send","arguments":["a"]}'
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "query",
    ["limit=1000000000", "limit=0", "limit=-1", "limit=x", "limit=", "limit=1&limit=2", "beyond=1e9", "beyond=99999999",
     "state=dead", "state=queued&state=x", "nonsense=1", "created_within=-1", "created_within=1e400",
     "created_within=nan", "created_within=null", "q=" + "x" * 201, "queue=a%20b", "owner=" + "x" * 129, "count=maybe",
     "q=%ff", "&".join("state=queued" for _ in range(300))],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_a_plain_400(query: str, host: str) -> None:
    answer = Client(a_site(), host).get(f"/api/jobs?{query}")
    assert answer.status_code == 400, answer.text


# ── what is said of mistakes ─────────────────────────────────────────────────────────────────────────────────────────


class Breaking:
    """An engine of which every verb fails, saying what nobody outside may know."""

    def __init__(self, real: Any, error: Exception) -> None:
        self._real, self._error = real, error

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name in ("blocking", "kind", "where", "open", "close", "listen"):
            return found

        async def fail(*_: Any, **__: Any) -> Any:
            raise self._error

        return fail


@pytest.mark.parametrize("host", HOSTS)
def test_a_mistake_is_told_to_the_log_and_an_id_to_the_visitor(host: str) -> None:
    jobs = an_app()
    jobs.bridge.open()
    jobs.bridge.engine = Breaking(jobs.engine, ValueError("/srv/app/secret.py broke"))  # type: ignore[assignment]
    heard = Heard()
    client = Client(a_site(jobs, listener=heard), host)
    asked = 0
    for route in TABLE.routes:
        path = route.path.replace("{id}", "x").replace("{queue}", "mail").replace("{file}", "x")
        path += "?jobs=x" if path == "/events" else ""
        bodies = {"/api/jobs": {"task": "send", "arguments": ["a"]}, "/api/jobs/bulk":
                  {"action": "cancel", "where": {}, "expect": 1}, "/api/dead/redrive": {"where": {}, "expect": 1},
                  "/api/dead/discard": {"where": {}, "expect": 1}}  # fmt: skip
        answer = client.ask(route.method, path, json=bodies.get(route.path, {}) if route.data else None)
        if path in ("/", "/openapi.json", "/api/tasks", "/livez", "/static/x", "/ws"):  # these ask no engine
            continue
        asked += 1
        assert answer.status_code == 500, (route, answer.text)
        said = answer.json()
        assert set(said) == {"error", "id"}
        assert len(said["id"]) == 8
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert said["id"] in heard.of(Fault)[-1].where
        assert "secret.py" in heard.of(Fault)[-1].traceback
    assert asked == len(heard.of(Fault)) > 15


@pytest.mark.parametrize("host", HOSTS)
def test_an_engine_that_is_away_is_a_503_that_does_not_say_where_it_is(host: str) -> None:
    jobs = an_app()
    jobs.bridge.open()
    engine = jobs.engine
    heard = Heard()
    client = Client(a_site(jobs, listener=heard), host)
    jobs.bridge.engine = Breaking(engine, EngineUnavailable("cannot reach db.internal:5432"))  # type: ignore[assignment]
    for _ in range(3):
        answer = client.get("/api/jobs")
        assert answer.status_code == 503
        assert answer.json()["code"] == "E201"
        assert "internal" not in answer.text
        assert answer.headers["retry-after"] == "5"
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == client.get("/api/tasks").status_code == 200  # these ask no engine
    jobs.bridge.engine = engine
    assert client.get("/api/jobs").status_code == 200
    assert [type(event) for event in heard.events] == [EngineLost, EngineBack]
    assert "db.internal" in heard.of(EngineLost)[0].error


@pytest.mark.parametrize("host", HOSTS)
def test_every_answer_carries_the_headers_that_keep_browsers_safe(host: str) -> None:
    client = Client(a_site(), host)
    for path in ("/", "/api/jobs", "/nothing", "/static/x", "/api/jobs?limit=x", "/openapi.json", "/livez"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] in ("no-store", "no-cache")
        assert "access-control-allow-origin" not in headers


# ── search ───────────────────────────────────────────────────────────────────────────────────────────────────────────

CORPUS = [
    "' OR '1'='1", "1; DROP TABLE jobsworth_jobs;--", '" OR ""="', "%", "_", "\\", "\\'", "$1", "%s", ":x", "?", "{}",
    "(", "[a-", "(a+)+$", ".*", "\x00", "a\x00b", "\ud7ff", "💩", "\u202e", "a" * 200, "' UNION SELECT 1,2,3 --", "*/*",
    "{{7*7}}", "${7*7}", "../../etc/passwd", "\r\nSet-Cookie: a=b", "EVAL", "redis.call('FLUSHALL')", "-1", "0x41",
    "NaN", "null", "true", "[]",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres", "redis"])
def test_whatever_is_searched_for_is_only_ever_searched_for(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    jobs = an_app(a_url(request, kind, tmp_path))
    jobs.find_task("send").enqueue("ada")
    client = Client(a_site(jobs))
    before = state_of_the_house(jobs)
    for text in CORPUS:
        for name in ("q", "queue", "task", "tag", "owner", "key", "reason", "state", "created_within"):
            answer = client.get("/api/jobs", params={name: text})
            assert answer.status_code in (200, 400), (name, text, answer.text)
            if name == "q" and text not in ("%", "_"):
                assert answer.json()["jobs"] == [] or not text.strip("\x00"), text
        for path in (f"/api/dead?queue={text!r}", "/api/queues"):
            assert client.get(path).status_code in (200, 400)
    assert state_of_the_house(jobs) == before
    jobs.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60))
def test_no_text_breaks_the_search(text: str, tmp_path: Path) -> None:
    jobs = an_app(f"sqlite:///{tmp_path}/jobs.db")
    try:
        wanted = text.encode("utf-8", "replace").decode()
        assert Client(a_site(jobs)).get("/api/jobs", params={"q": wanted}).status_code == 200
    finally:
        jobs.close()


# ── what is written down ─────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_that_changes_something_is_told_with_the_name_of_who_did_it() -> None:
    for route in CHANGES:
        jobs = an_app()
        job = a_dead_letter(jobs) if route.path.endswith("retry") else jobs.find_task("send").enqueue("a").id
        heard = Heard()
        client = Client(a_site(jobs, Visitor(Level.ADMIN, name="grace"), listener=heard))
        bodies: dict[str, Any] = {
            "/api/jobs": {"task": "send", "arguments": ["a"]},
            "/api/jobs/bulk": {"action": "cancel", "where": {}, "expect": 1},
            "/api/dead/redrive": {"where": {}, "expect": 0},
            "/api/dead/discard": {"where": {}, "expect": 0},
        }
        path = route.path.replace("{id}", job).replace("{queue}", "mail")
        answer = client.ask(route.method, path, json=bodies.get(route.path, {}))
        assert answer.status_code in (200, 201), (route, answer.text)
        (told,) = heard.of(VisitorActed)
        assert told.who == "grace", route
        jobs.close()


def test_the_log_line_of_an_action_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    from jobsworth.log import read_aloud

    with caplog.at_level("INFO", "jobsworth.web"):
        read_aloud(VisitorActed("eve\nroot: delete all", "cancel", "x\x1b[2J", 1))
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()


def test_a_listener_that_fails_harms_no_answer() -> None:
    def bad(_event: Any) -> None:
        raise RuntimeError("deaf")

    assert Client(a_site(listener=bad)).post("/api/queues/mail/pause").status_code == 200


def test_a_site_is_told_apart_from_one_for_everybody() -> None:
    assert Client(Site(an_app(), authorize=Level.READ)).get("/api/jobs").status_code == 200
    assert Client(Site(an_app(), authorize=Level.NONE)).get("/api/jobs").status_code == 401
