"""Who may ask what: every route times every role times own and others' objects. What is refused changes nothing."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import pytest

from jobsworth import GiveUp, Jobsworth
from jobsworth.web import Level, Site, Visitor
from jobsworth.web.routes import TABLE
from jobsworth.web.table import Route
from web_client import HOSTS, SECRET, Client, a_dead_letter, an_app, bearer, state_of_the_house

NONE, USER, READ, OPERATE, ADMIN = Level

# Written by hand, apart from the table: a new route has to be thought about here, too.
POLICY: dict[tuple[str, str], Level] = {
    ("GET", "/jobs/{id}/status"): USER,
    ("GET", "/jobs/{id}/events"): USER,
    ("GET", "/events"): USER,
    ("GET", "/ws"): USER,
    ("POST", "/jobs/{id}/cancel"): USER,
    ("GET", "/livez"): NONE,
    ("GET", "/readyz"): NONE,
    ("GET", "/health/jobs"): READ,
    ("GET", "/task-stats"): READ,
    ("GET", "/metrics"): READ,
    ("GET", "/api/overview"): READ,
    ("GET", "/api/jobs"): READ,
    ("POST", "/api/jobs"): OPERATE,
    ("POST", "/api/jobs/bulk"): OPERATE,
    ("GET", "/api/jobs/{id}"): READ,
    ("GET", "/api/jobs/{id}/why"): READ,
    ("GET", "/api/jobs/{id}/logs"): READ,
    ("DELETE", "/api/jobs/{id}"): ADMIN,
    ("POST", "/api/jobs/{id}/cancel"): OPERATE,
    ("POST", "/api/jobs/{id}/retry"): OPERATE,
    ("GET", "/api/queues"): READ,
    ("POST", "/api/queues/{queue}/pause"): OPERATE,
    ("POST", "/api/queues/{queue}/resume"): OPERATE,
    ("GET", "/api/history"): READ,
    ("GET", "/api/history/queues"): READ,
    ("GET", "/api/workers"): READ,
    ("GET", "/api/tasks"): READ,
    ("GET", "/api/dead"): READ,
    ("POST", "/api/dead/redrive"): OPERATE,
    ("POST", "/api/dead/discard"): ADMIN,
    ("GET", "/"): READ,
    ("GET", "/static/{file}"): NONE,
    ("GET", "/openapi.json"): READ,
}

OF_MAIL = frozenset({"mail"})


class Role(NamedTuple):
    """Somebody who asks; `mail` and `film` tell what they may do with the job of either queue."""

    visitor: Visitor | None
    token_for: str | None = None  # a queue, whose job the token is for


ROLES = {
    "nobody": Role(None),
    "a visitor of no level": Role(Visitor(NONE)),
    "a user": Role(Visitor(USER, owner="user:7")),
    "a user without an owner": Role(Visitor(USER)),
    "a user of other jobs": Role(Visitor(USER, owner="user:8")),
    "a user kept to mail": Role(Visitor(USER, owner="user:7", queues=OF_MAIL)),
    "a token's holder": Role(None, "mail"),
    "a reader": Role(Visitor(READ)),
    "a reader kept to mail": Role(Visitor(READ, queues=OF_MAIL)),
    "a reader kept to nothing": Role(Visitor(READ, queues=())),
    "an operator": Role(Visitor(OPERATE)),
    "an operator kept to mail": Role(Visitor(OPERATE, queues=OF_MAIL)),
    "an admin": Role(Visitor(ADMIN)),
    "an admin kept to mail": Role(Visitor(ADMIN, queues=OF_MAIL)),
    "an admin kept to mail, with a token for a film": Role(Visitor(ADMIN, queues=OF_MAIL), "film"),
}


def allowed(role: Role, level: Level, queue: str | None) -> int:
    """The status to be expected: 200 stands for anything that is no refusal. `queue` is the object's, None for none."""
    if level is NONE:
        return 200
    visitor = role.visitor or Visitor(NONE)
    if level is USER and role.token_for is not None and role.token_for == queue:
        return 200
    if visitor.level is NONE:
        return 404 if level is USER and role.token_for else 401
    if level is USER and visitor.level is USER:
        own = visitor.owner == "user:7" and (visitor.queues is None or queue in visitor.queues)
        return 200 if own else 404
    if visitor.level < level:
        return 403 if visitor.level >= READ else 404
    return 200 if queue is None or visitor.queues is None or queue in visitor.queues else 404


def test_every_route_is_in_the_matrix_and_nothing_else() -> None:
    assert {(route.method, route.path): route.level for route in TABLE.routes} == POLICY


class Place(NamedTuple):
    """A fresh house with a job of the user's in each of two queues."""

    jobs: Jobsworth
    ids: dict[str, str]


def needs_an_end(route: Route) -> bool:
    """Whether it is about jobs that have ended."""
    return route.path.endswith("/retry")


def a_place(route: Route) -> Place:
    jobs = an_app()
    ids = {
        "mail": jobs.find_task("send").options(owner="user:7").enqueue("ada").id,
        "film": jobs.find_task("cut").options(owner="user:7").enqueue("birds").id,
    }
    if needs_an_end(route):
        for each in ids.values():
            jobs.handle(each).cancel()
    return Place(jobs, ids)


def body_of(route: Route, place: Place, queue: str) -> Any:
    """A body that makes sense for this route."""
    bodies: dict[str, Any] = {
        "/api/jobs": {"task": {"mail": "send", "film": "cut"}[queue], "arguments": ["x"]},
        "/api/jobs/bulk": {"action": "cancel", "ids": [place.ids[queue]], "expect": 1},
        "/api/dead/redrive": {"where": {"queue": queue}, "expect": 0},
        "/api/dead/discard": {"where": {"queue": queue}, "expect": 0},
    }
    return bodies.get(route.path, {}) if route.data is not None else None


# Which queue's object a route is about although its path names none: the body does.
BY_BODY = {"/api/jobs": 400, "/api/jobs/bulk": 409}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", ROLES)
def test_everything_is_refused_that_is_not_allowed(name: str, host: str) -> None:
    role = ROLES[name]
    untouched: dict[bool, Place] = {}  # a place where nothing was changed is as good as new
    with contextlib.ExitStack() as places:
        for route in TABLE.routes:
            for queue in ("mail", "film"):
                kind = needs_an_end(route)
                if kind not in untouched:
                    untouched[kind] = a_place(route)
                    places.callback(untouched[kind].jobs.close)
                if not look_at(route, role, queue, untouched[kind], host):
                    del untouched[kind]


def look_at(route: Route, role: Role, queue: str, place: Place, host: str) -> bool:
    """Ask for it; true if all is as it was."""
    before = state_of_the_house(place.jobs)
    headers = bearer(place.jobs.handle(place.ids[role.token_for]).token()) if role.token_for else {}
    path = route.path.replace("{id}", place.ids[queue]).replace("{queue}", queue).replace("{file}", "absent.js")
    path += f"?jobs={place.ids[queue]}" if route.path == "/events" else ""
    site = Site(place.jobs, authorize=lambda _: role.visitor)
    client = Client(site, host, **headers)
    answer = client.ask(route.method, path, json=body_of(route, place, queue), begin=route.kind == "text/event-stream")
    named = bool({"id", "queue"} & set(route.names))
    expected = allowed(role, POLICY[route.method, route.path], queue if named else None)
    if route.path == "/events":  # names its jobs in the query; those that are hidden are told as gone
        expected = 401 if role.token_for is None and (role.visitor or Visitor(NONE)).level is NONE else 200
    if expected == 200 and route.kind == "text/event-stream" and host == "wsgi":
        expected = 501
    if expected == 200 and route.socket:  # a page is asked for where there is none; sockets: test_web_sockets.py
        expected = 404
    what = f"{route.method} {path} as {role}: {answer.status_code} {answer.text[:200]}"
    if expected == 200 and route.method == "POST" and route.path in BY_BODY and not serves(role, queue):
        expected = BY_BODY[route.path]
    if expected == 200:
        assert answer.status_code in (200, 201) or (answer.status_code == 404 and route.path == "/static/{file}"), what
    else:
        assert answer.status_code == expected, what
        assert "x-content-type-options" in answer.headers, what
    site.close()
    untouched = state_of_the_house(place.jobs) == before
    assert untouched or expected == 200, what
    return untouched


def serves(role: Role, queue: str) -> bool:
    return role.visitor is not None and role.visitor.serves(queue)


@pytest.mark.parametrize("level", [READ, OPERATE])
def test_an_action_that_deletes_needs_more_than_its_route(level: Level) -> None:
    jobs = an_app()
    dead = a_dead_letter(jobs)
    before = state_of_the_house(jobs)
    body = {"action": "delete", "ids": [dead], "expect": 1}
    for visitor, status in ((Visitor(level), 403), (Visitor(ADMIN, queues={"film"}), 409), (Visitor(ADMIN), 200)):
        assert state_of_the_house(jobs) == before
        assert Client(Site(jobs, authorize=visitor)).post("/api/jobs/bulk", body).status_code == status
    assert state_of_the_house(jobs) != before


def test_a_route_without_a_level_cannot_be_made() -> None:
    route = TABLE.routes[0]
    with pytest.raises(TypeError):
        Route("GET", "/new", None, route.handler, "A new one.")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Route("GET", "/new", 3, route.handler, "A new one.")  # type: ignore[arg-type]


def test_a_route_that_changes_something_or_names_a_job_cannot_be_for_everybody() -> None:
    route = TABLE.routes[0]
    with pytest.raises(TypeError):
        Route("POST", "/new", NONE, route.handler, "A new one.", data=dict)
    with pytest.raises(TypeError):
        Route("POST", "/new", USER, route.handler, "It takes any body.")
    with pytest.raises(TypeError):
        Route("GET", "/new/{id}", NONE, route.handler, "Somebody's job.")


def test_a_site_needs_an_authorize() -> None:
    from jobsworth.errors import BadOption

    with pytest.raises(TypeError):
        Site(an_app())  # type: ignore[call-arg]
    for wrong in (None, "admin", True):
        with pytest.raises(BadOption):
            Site(an_app(), authorize=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"level": 4}, {"level": True}, {"level": "admin"}, {"level": READ, "queues": "mail"}]
)
def test_a_visitor_that_makes_no_sense_cannot_be_made(wrong: Any) -> None:
    from jobsworth.errors import BadOption

    with pytest.raises(BadOption):
        Visitor(**wrong)


def lists_of(jobs: Jobsworth, visitor: Visitor, path: str) -> str:
    return Client(Site(jobs, authorize=visitor)).get(path).text


@pytest.mark.parametrize(
    "path",
    ["/api/jobs", "/api/jobs?queue=film", "/api/jobs?q=cut", "/api/queues", "/api/tasks", "/api/dead", "/api/workers",
     "/api/overview", "/health/jobs", "/metrics"],
)  # fmt: skip
def test_lists_show_nothing_of_other_queues(path: str) -> None:
    jobs = an_app()
    ids = [jobs.find_task("cut").enqueue("birds").id, a_dead_letter(jobs, "cut")]
    mail = jobs.find_task("send").enqueue("ada").id
    seen = lists_of(jobs, Visitor(READ, queues={"mail"}), path)
    assert "film" not in seen
    assert "cut" not in seen
    assert not any(each in seen for each in ids)
    assert "film" in (whole := lists_of(jobs, Visitor(READ), path)) or path in ("/api/workers", "/api/overview"), whole
    if path == "/api/jobs":
        assert mail in seen


def test_a_user_sees_no_exception_no_traceback_no_worker_and_no_ids_of_others() -> None:
    jobs = Jobsworth("memory://", secret=SECRET)

    @jobs.task(max_attempts=1)
    def boom(path: str) -> None:
        raise OSError(f"no such host: {path}")

    job = boom.enqueue("x")
    with jobs.worker(name="bench-1"):
        job.wait(20)
    reader = Client(Site(jobs, authorize=Visitor(READ))).get(f"/jobs/{job.id}/status").text
    assert "test_web_matrix.py" in reader
    assert "bench-1" in reader
    user = Client(Site(jobs, authorize=Visitor(NONE)), **bearer(job.token())).get(f"/jobs/{job.id}/status").text
    for hidden in ("no such host", "OSError", "test_web_matrix.py"):
        assert hidden in reader
        assert hidden not in user
    assert "bench-1" not in user


def test_a_user_reads_what_a_handler_gives_up_with_and_why_somebody_cancelled() -> None:
    jobs = Jobsworth("memory://", secret=SECRET)

    @jobs.task(max_attempts=3)
    def refuse() -> None:
        raise GiveUp("the card was declined") from OSError("key sk-1 of bank.internal")

    refused, stopped = refuse.enqueue(), refuse.options(delay=60).enqueue()
    stopped.cancel("not wanted any more")
    with jobs.worker():
        refused.wait(20)
    for job, said, reason in (
        (refused, "the card was declined", "gave_up"), (stopped, "not wanted any more", "cancelled"),
    ):  # fmt: skip
        answer = Client(Site(jobs, authorize=Visitor(NONE)), **bearer(job.token())).get(f"/jobs/{job.id}/status")
        assert answer.json()["job"]["error"] == {"type": None, "message": said, "reason": reason}
        assert "sk-1" not in answer.text
        assert "GiveUp" not in answer.text
