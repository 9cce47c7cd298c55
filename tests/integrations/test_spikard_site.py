"""The whole site in a Spikard app: in both spellings what is asked arrives as it was sent, and so do the answers.

Every route is asked of the real server and of the site itself over WSGI, on one store.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import spikard
from spikard_server import OLD, SPELLINGS, Server, served

from jobsworth.errors import BadOption
from jobsworth.integrations.spikard import register, serve
from jobsworth.web import Level, Site, Visitor
from jobsworth.web.pages import STATIC
from jobsworth.web.routes import TABLE
from jobsworth.web.table import Route
from waiting import until
from web_client import ADMIN, Client, a_dead_letter, an_app

PROGRAM = Path(__file__).with_name("spikard_site.py")
ROOT = {"Cookie": "theme=dark; who=root:ADMIN"}
ADA = {"Cookie": "who=ada:USER"}


class House(NamedTuple):
    server: Server
    site: Client  # the same jobs, without Spikard
    spelling: str

    @property
    def jobs(self) -> Any:
        return self.site.site.jobs

    def get(self, path: str, headers: dict[str, str] = ROOT, **more: Any) -> httpx.Response:
        return self.server.get(f"/background{path}", headers=headers, **more)

    def post(self, path: str, headers: dict[str, str] = ROOT, **more: Any) -> httpx.Response:
        return self.server.ask("POST", f"/background{path}", headers=headers, **more)


@pytest.fixture(scope="module", params=SPELLINGS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp(f"site-{request.param}")
    url = f"sqlite:///{folder / 'jobs.db'}"
    with served(request.param, PROGRAM, folder, JOBSWORTH_URL=url) as server:
        jobs = an_app(url)
        yield House(server, Client(Site(jobs, authorize=ADMIN), "wsgi"), request.param)
        jobs.close()


def shape(answer: httpx.Response) -> dict[str, Any]:
    """What must be the same whoever serves it."""
    headers = {name: answer.headers.get(name) for name in ("content-type", "cache-control", "content-security-policy")}
    told = answer.json() if "json" in (headers["content-type"] or "") else {}
    return {
        "status": answer.status_code, **headers, "code": told.get("code") if isinstance(told, dict) else None,
        "keys": sorted(told) if isinstance(told, dict) else len(told),
    }  # fmt: skip


def address(route: Route, job: str) -> str:
    return route.path.format(id=job, queue="mail", file="jobsworth.js")


@pytest.mark.parametrize("route", TABLE.routes, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_answers_as_on_any_other_host(house: House, route: Route) -> None:
    send = house.jobs.find_task("send")
    ones, twos = (send.options(delay=3600).enqueue("ada").id for _ in range(2))  # one to be changed here, one there
    for body in (None, {}, {"surprise": 1}):
        more = {"json": body} if body is not None and route.method == "POST" else {}  # Spikard hands over no other's
        here = house.server.ask(route.method, f"/background{address(route, ones)}", headers=ROOT, **more)
        there = house.site.ask(route.method, address(route, twos), **more)
        assert shape(here) == shape(there)
        nobody = house.server.ask(route.method, f"/background{address(route, ones)}", **more)
        assert nobody.status_code == (401 if route.level > Level.NONE else shape(there)["status"]), nobody.text


def test_head_tells_what_get_would(house: House) -> None:
    answer = house.server.ask("HEAD", "/background/api/queues", headers=ROOT)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "query",
    [
        "state=queued&state=failed&limit=7", "limit=1&count=true", "state=nonsense", "limit=0", "surprise=1",
        "limit=1&limit=2", "owner=user%3A7&q=%C3%A4%20%26", "q=", "q=null", "finished_within=3600.5",
    ],
)  # fmt: skip
def test_a_query_arrives(house: House, query: str) -> None:
    a_dead_letter(house.jobs)
    here, there = house.get(f"/api/jobs?{query}"), house.site.get(f"/api/jobs?{query}")
    assert shape(here) == shape(there)
    if here.status_code == 200:
        assert [each["id"] for each in here.json()["jobs"]] == [each["id"] for each in there.json()["jobs"]]
    else:
        assert here.json() == there.json()


def test_what_looks_like_a_number_in_a_query_is_one_to_the_old_spelling(house: House) -> None:
    """Known, and told in docs/spikard.md: it reads the query before anybody else can."""
    job = house.jobs.find_task("send").options(tags=["007"]).enqueue("bond")
    found = [each["id"] for each in house.get("/api/jobs?tag=007").json()["jobs"]]
    assert found == ([] if house.spelling == OLD else [job.id])


def test_numbers_arrive_and_are_told_digit_for_digit(house: House) -> None:
    body = '{"task":"pictures","arguments":{"big":123456789012345678901234567890,"price":1.10}}'
    answer = house.post("/api/jobs", {**ROOT, "Content-Type": "application/json"}, content=body)
    assert answer.status_code == 201, answer.text
    assert '"big":123456789012345678901234567890' in house.get(f"/api/jobs/{answer.json()['id']}").text


def test_every_file_of_the_dashboard_arrives_byte_for_byte(house: House) -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        address = f"/static/{path.relative_to(STATIC).as_posix()}"
        here, there = house.get(address), house.site.get(address)
        assert (here.status_code, here.content) == (there.status_code, there.content), address
    known = house.get("/static/jobsworth.js", {**ROOT, "If-None-Match": here.headers["etag"]})
    assert known.status_code == 200
    known = house.get("/static/jobsworth.js", {**ROOT, "If-None-Match": known.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_the_dashboard_is_under_its_prefix(house: House) -> None:
    assert "<title>" in house.get("/").text
    answer = house.get("")
    assert (answer.status_code, answer.headers["location"]) == (308, "background/")


def test_it_may_be_registered_twice(house: House) -> None:
    assert house.server.get("/health/jobs").status_code == 200
    assert house.server.get("/api/jobs").status_code == 404  # of the monitors' addresses only
    assert house.server.ask("POST", "/jobs/nope/cancel").status_code == 404


@pytest.mark.parametrize("path", ["/jobs/a%20b/status", "/jobs/a%2Fb/status", "/jobs/%C3%A4/status", "/jobs/1/status"])
def test_a_path_arrives_decoded_once(house: House, path: str) -> None:
    assert shape(house.get(path)) == shape(house.site.get(path))


def test_users_see_their_own_jobs_and_no_others(house: House) -> None:
    send = house.jobs.find_task("send")
    hers, his = (send.options(delay=3600, owner=owner).enqueue("x").id for owner in ("ada", "bob"))
    assert house.get(f"/jobs/{hers}/status", ADA).status_code == 200
    assert house.get(f"/jobs/{his}/status", ADA).status_code == 404
    assert house.get("/api/jobs", ADA).status_code == 404
    assert house.post(f"/jobs/{his}/cancel", ADA).status_code == 404
    assert house.post(f"/jobs/{hers}/cancel", ADA, json={"reason": "mistaken"}).json()["job"]["status"] == "cancelled"


def test_pages_of_other_sites_change_nothing(house: House) -> None:
    job = house.jobs.find_task("send").options(delay=3600).enqueue("x")
    for told in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = house.post(f"/api/jobs/{job.id}/cancel", {**ROOT, **told}, json={})
        assert (answer.status_code, answer.json()["code"]) == (403, "E603")
    assert job.state.value == "scheduled"


def test_too_much_is_refused(house: House) -> None:
    job = house.jobs.find_task("send").options(delay=3600).enqueue("x")
    body = b'{"reason":' + b" " * 2_200_000 + b"null}"
    answer = house.post(f"/api/jobs/{job.id}/cancel", {**ROOT, "Content-Type": "application/json"}, content=body)
    assert answer.status_code == 413, answer.text[:200]
    assert job.state.value == "scheduled"


def test_a_body_that_is_no_json_is_refused(house: House) -> None:
    for headers, ours in ((ROOT, (400, "E609")), ({}, (401, "E601"))):
        answer = house.post("/api/jobs", {**headers, "Content-Type": "application/json"}, content=b'{"task":')
        # 0.17 looks at it before anybody is asked who they are.
        assert (answer.status_code, answer.json().get("code")) == (ours if house.spelling == OLD else (400, None))


def test_a_form_is_no_json_but_to_the_old_spelling(house: House) -> None:
    """It makes JSON of a form before anybody sees it. Other sites' forms are refused by what browsers say of them."""
    jobs = [house.jobs.find_task("send").options(delay=3600).enqueue("x") for _ in range(2)]
    form = {"data": {"reason": "mistaken"}}
    assert (
        house.post(f"/api/jobs/{jobs[0].id}/cancel", {**ROOT, "Sec-Fetch-Site": "cross-site"}, **form).status_code
        == 403
    )
    answer = house.post(f"/api/jobs/{jobs[1].id}/cancel", **form)
    assert answer.status_code == (200 if house.spelling == OLD else 415)


def test_what_comes_with_delete_is_handed_over_by_neither(house: House) -> None:
    job = house.jobs.find_task("send").options(delay=3600).enqueue("x")
    answer = house.server.ask("DELETE", f"/background/api/jobs/{job.id}", headers=ROOT, json={"surprise": 1})
    assert answer.status_code == 200, answer.text


def test_no_more_wait_at_once_than_leaves_threads_for_others(house: House) -> None:
    job = house.jobs.find_task("send").options(delay=3600).enqueue("x")
    path = f"/jobs/{job.id}/status?since={job.refresh().job.version}&wait=30"
    with ThreadPoolExecutor(10) as crowd:
        asked = [crowd.submit(house.server.get, path) for _ in range(10)]
        until(lambda: sum(each.done() for each in asked) == 7)
        assert job.cancel()
        answers = [each.result(25) for each in asked]
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 7


def test_live_streams_are_refused_with_what_to_do_instead(house: House) -> None:
    answer = house.get("/events?stats=true")
    assert (answer.status_code, "since=" in answer.json()["hint"]) == (501, True)


# What `register` and `serve` refuse.


@pytest.mark.parametrize("prefix", ["background", "/background/", "/"])
def test_a_prefix_that_makes_no_sense_is_refused(prefix: str) -> None:
    with pytest.raises(BadOption, match="prefix begins with a slash"):
        register(spikard.App(), an_app(), authorize=Level.READ, prefix=prefix)


def test_what_is_no_spikard_app_is_refused() -> None:
    for asked in (lambda: register(object(), an_app(), authorize=Level.READ), lambda: serve("app")):
        with pytest.raises(BadOption, match="is no Spikard app") as refused:
            asked()
        assert "E105" in str(refused.value)


def test_somebody_has_to_say_who_may_ask() -> None:
    with pytest.raises(TypeError, match="authorize"):
        register(spikard.App(), an_app())  # type: ignore[call-arg]
    with pytest.raises(BadOption, match="authorize must be"):
        register(spikard.App(), an_app(), authorize=None)  # type: ignore[arg-type]
    assert register(spikard.App(), an_app(), authorize=Visitor(Level.READ), origins=["https://a.example"]).origins


def test_without_spikard_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['spikard'] = None; import jobsworth.integrations.spikard"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "E115" in done.stderr
    assert 'pip install "jobsworth[spikard]"' in done.stderr
