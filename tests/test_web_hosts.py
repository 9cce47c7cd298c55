"""The site in other people's houses: under any prefix, behind a proxy, on both hosts; and the files it sends."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import httpx
import pytest

from jobsworth.events import Fault
from jobsworth.web import Request, Response, Site, pages
from jobsworth.web.asgi import path_of
from web_client import HOSTS, Client, Heard, a_site, an_app

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/background/api/jobs", "/background", "/api/jobs"),
        ("/api/jobs", "", "/api/jobs"),
        ("/api/jobs", "/background", "/api/jobs"),  # a proxy cut it off, and the server only told us
        ("/background", "/background", ""),
        ("/background/", "/background", "/"),
        ("/backgrounds/x", "/background", "/backgrounds/x"),
        ("/a/b/c", "/a/b", "/c"),
    ],
)
def test_the_prefix_is_taken_off(path: str, root: str, below: str) -> None:
    assert path_of({"path": path, "root_path": root}) == below


def through(app: Any, host: str) -> Any:
    def get(path: str, **more: Any) -> httpx.Response:
        if host == "wsgi":
            with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://app.test") as client:
                return client.get(path, **more)

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
                return await client.get(path, **more)

        return asyncio.run(ask())

    return get


def mounted_in_starlette(site: Site) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/outer", routes=[Mount("/background", app=site.asgi)])])


def mounted_in_flask(site: Site) -> Any:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = Flask("shop")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/outer/background": validator(site.wsgi)})  # type: ignore
    return app


@pytest.mark.parametrize("host", HOSTS)
def test_it_can_be_mounted_anywhere(host: str) -> None:
    jobs = an_app()
    job = jobs.find_task("send").enqueue("ada")
    get = through(mounted_in_starlette(a_site(jobs)) if host == "asgi" else mounted_in_flask(a_site(jobs)), host)
    assert get(f"/outer/background/jobs/{job.id}/status").json()["job"]["id"] == job.id
    assert get("/outer/background/api/jobs/").json()["jobs"][0]["id"] == job.id
    assert get("/outer/background/").status_code == 200
    assert get("/outer/background/nothing").json()["code"] == "E604"


@pytest.mark.parametrize("host", HOSTS)
def test_a_mount_without_its_slash_leads_to_the_one_with_it(host: str) -> None:
    def wrapped_asgi(site: Site) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await site.asgi({**scope, "root_path": "/a b/jobs", "path": "/a b/jobs"}, receive, send)

        return app

    def wrapped_wsgi(site: Site) -> Any:
        return lambda environ, start: site.wsgi({**environ, "SCRIPT_NAME": "/a b/jobs", "PATH_INFO": ""}, start)

    wrapped = wrapped_asgi if host == "asgi" else wrapped_wsgi
    answer = through(wrapped(a_site()), host)("/whatever", follow_redirects=False)
    assert answer.status_code == 308
    assert answer.headers["location"] == "jobs/"


@pytest.mark.parametrize("host", HOSTS)
def test_a_wrong_method_is_told_which_ones_there_are(host: str) -> None:
    client = Client(a_site(), host)
    assert client.ask("PUT", "/api/jobs").headers["allow"] == "GET, HEAD, POST"
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "QUERY"):
        answer = client.ask(method, "/api/jobs")
        assert (answer.status_code, answer.json()["code"]) == (405, "E605")


@pytest.mark.parametrize("host", HOSTS)
def test_head_is_get_without_the_body(host: str) -> None:
    client = Client(a_site(), host)
    got, head = client.get("/api/jobs"), client.ask("HEAD", "/api/jobs")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))


def test_both_hosts_give_the_same_answers() -> None:
    jobs = an_app()
    job = jobs.find_task("send").enqueue("ada").id
    for path in (
        f"/jobs/{job}/status",
        "/api/jobs",
        "/api/tasks",
        "/nothing",
        "/openapi.json",
        "/",
        "/api/jobs?limit=x",
    ):
        one, other = (Client(a_site(jobs), host).get(path) for host in HOSTS)
        assert one.content == other.content, path
        assert dict(one.headers) == dict(other.headers), path


def test_the_wsgi_host_needs_no_loop_and_leaves_none() -> None:
    assert Client(a_site(), "wsgi").get("/api/jobs").status_code == 200
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Watched:
    """A stream that tells what happened to it."""

    def __init__(self, parts: int, *, fails: bool = False) -> None:
        self.closed = 0
        self._parts = parts
        self._fails = fails

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(self._parts):
            yield b"part %d\n" % number
        if self._fails:
            raise ValueError("torn")
        if self._parts > 2:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed += 1


def a_streaming_site(stream: Watched, heard: Heard) -> Site:
    site = a_site(listener=heard)

    async def answer(_request: Request) -> Response:
        return Response(200, {"content-type": "text/event-stream"}, stream)

    site.answer = answer  # type: ignore[method-assign]
    return site


def run_stream(stream: Watched, heard: Heard, *, goes_after: int | None) -> list[bytes]:
    got: list[bytes] = []

    async def main() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not got:
                return {"type": "http.request", "body": b""}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                got.append(message["body"])
                if goes_after is not None and len(got) > goes_after:
                    gone.set()

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        got.clear()
        await asyncio.wait_for(a_streaming_site(stream, heard).asgi(scope, receive, send), 10)

    asyncio.run(main())
    return got


def test_a_stream_is_sent_as_it_comes_and_closed_at_its_end() -> None:
    stream, heard = Watched(2), Heard()
    assert run_stream(stream, heard, goes_after=None) == [b"part 0\n", b"part 1\n", b""]
    assert stream.closed == 1
    assert heard.events == []


def test_a_stream_whose_reader_goes_is_closed_although_it_waits() -> None:
    stream, heard = Watched(3), Heard()
    assert run_stream(stream, heard, goes_after=2)[:3] == [b"part 0\n", b"part 1\n", b"part 2\n"]
    assert stream.closed == 1
    assert heard.events == []


def test_a_stream_that_breaks_is_told_and_not_ended_as_if_it_were_whole() -> None:
    stream, heard = Watched(2, fails=True), Heard()
    assert run_stream(stream, heard, goes_after=None) == [b"part 0\n", b"part 1\n"]
    assert stream.closed == 1
    assert "torn" in heard.of(Fault)[0].error


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Files of our own instead of the package's, and a secret beside them."""
    static = tmp_path / "static"
    (static / "dashboard").mkdir(parents=True)
    (static / "jobsworth.js").write_text("export const answer = 42;\n" * 50)
    (static / "dashboard" / "index.html").write_text("<!doctype html><title>here</title>")
    (static / "dashboard" / "logo.png").write_bytes(b"\x89PNG")
    (static / "notes.py").write_text("password = 1")
    (static / ".env").write_text("SECRET=1")
    (tmp_path / "secret.js").write_text("secret")
    monkeypatch.setattr(pages, "STATIC", static)
    pages._names.cache_clear()
    pages._read.cache_clear()
    yield static
    pages._names.cache_clear()
    pages._read.cache_clear()


@pytest.mark.parametrize("host", HOSTS)
def test_files_come_with_their_type_and_only_when_they_changed(folder: Path, host: str) -> None:
    client = Client(a_site(authorize=lambda _: None), host)
    plain = {"accept-encoding": "identity"}
    answer = client.get("/static/jobsworth.js", headers=plain)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    tag = answer.headers["etag"]
    again = client.get("/static/jobsworth.js", headers={**plain, "if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    (folder / "jobsworth.js").write_text("export const answer = 43;")
    changed = client.get("/static/jobsworth.js", headers={**plain, "if-none-match": tag})
    assert (changed.status_code, changed.text) == (200, "export const answer = 43;")
    assert client.get("/static/dashboard/logo.png").headers["content-type"] == "image/png"


def test_text_is_packed_for_those_who_can_unpack_it(folder: Path) -> None:
    answer = Client(a_site()).get("/static/jobsworth.js", headers={"accept-encoding": "br, gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "accept-encoding"
    assert int(answer.headers["content-length"]) < 200
    assert answer.text == (folder / "jobsworth.js").read_text()
    assert gzip.decompress(gzip.compress(b"")) == b""


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "name",
    ["../secret.js", "..%2fsecret.js", "%2e%2e/secret.js", "dashboard/../../secret.js", "/etc/passwd", "//etc/passwd",
     "notes.py", ".env", "dashboard", "dashboard/", "jobsworth.js%00", "jobsworth.js/", "JOBSWORTH.JS", "..\\secret.js",
     ""],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(folder: Path, name: str, host: str) -> None:
    def raw(site: Site) -> Any:
        """The path as a server would hand it over, which no client library has tidied up."""
        from urllib.parse import unquote

        path = f"/static/{unquote(name)}"
        if host == "wsgi":
            return lambda environ, start: site.wsgi({**environ, "PATH_INFO": path}, start)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await site.asgi({**scope, "path": path}, receive, send)

        return app

    answer = through(raw(a_site()), host)("/x")
    assert answer.status_code == 404 or (name == "jobsworth.js/" and answer.status_code == 200), answer.text
    assert "secret" not in answer.text
    assert "password" not in answer.text


def test_the_front_is_the_dashboard(folder: Path) -> None:
    client = Client(a_site())
    assert "here" in client.get("/").text
    assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"


# ── the papers ───────────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = ROOT / "docs" / "web.md"


def blocks(heading: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    (part,) = re.findall(rf"^##+ {heading}\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"```python\n(.*?)```", part, re.DOTALL)


def run(heading: str, **names: Any) -> dict[str, Any]:
    jobs = an_app()
    names = {"__name__": "shown", "jobs": jobs, **names}
    for block in blocks(heading):
        exec(compile(block, f"docs/web.md, {heading}", "exec"), names)
    return names


def test_mounting_in_fastapi_works_as_shown() -> None:
    from starlette.middleware.sessions import SessionMiddleware

    names = run("FastAPI and Starlette")
    app, jobs = names["app"], names["jobs"]
    app.add_middleware(SessionMiddleware, secret_key="x" * 32)

    @app.get("/login/{user}")
    def login(request: Any, user: str) -> str:
        request.session["user"] = user
        return user

    login.__annotations__["request"] = __import__("fastapi").Request
    app.router.routes.pop()
    app.get("/login/{user}")(login)
    app.router.routes.insert(0, app.router.routes.pop())
    job = jobs.find_task("send").options(owner="user:bob").enqueue("a").id

    async def main() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
            codes = [(await client.get(f"/background/jobs/{job}/status")).status_code]
            for user in ("eve", "bob", "ada"):
                await client.get(f"/login/{user}")
                codes.append((await client.get(f"/background/jobs/{job}/status")).status_code)
                codes.append((await client.get("/background/api/jobs")).status_code)
            return codes

    assert asyncio.run(main()) == [401, 404, 404, 200, 404, 200, 200]


def test_mounting_in_flask_works_as_shown() -> None:
    from flask import Flask, session

    app = Flask("shop")
    app.secret_key = "x" * 32
    app.add_url_rule(
        "/login/<user>", view_func=lambda user: session.__setitem__("user", user) or user, endpoint="login"
    )
    names = run("Flask", app=app)
    job = names["jobs"].find_task("send").options(owner="user:bob").enqueue("a").id
    codes = []
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://app.test") as client:
        for user in ("eve", "bob", "ada"):
            client.get(f"/login/{user}")
            codes.append(client.get(f"/background/jobs/{job}/status").status_code)
            codes.append(client.get("/background/api/jobs").status_code)
    assert codes == [404, 404, 200, 404, 200, 200]


DJANGO = """
import sys, django
from django.conf import settings

settings.configure(
    SECRET_KEY="x" * 50, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SESSION_ENGINE=sys.argv[1],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db"}}, USE_TZ=True,
)
django.setup()
urlpatterns = []

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.core.management import call_command
from importlib import import_module

import httpx
from web_client import an_app, as_servers_do

call_command("migrate", verbosity=0)
users = get_user_model().objects
names = {"__name__": "shown", "jobs": an_app()}
exec(compile(sys.stdin.read(), "docs/web.md, Django", "exec"), names)


def cookie(user):
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session.save()
    return {"cookie": f"sessionid={session.session_key}"}


bob, ada = users.create_user("bob"), users.create_superuser("ada")
job = names["jobs"].find_task("send").options(owner=f"user:{bob.pk}").enqueue("a").id
with httpx.Client(transport=httpx.WSGITransport(as_servers_do(names["application"])), base_url="http://app.test") as it:
    for headers in ({}, {"cookie": "sessionid=forged"}, cookie(bob), cookie(ada)):
        paths = (f"/background/jobs/{job}/status", "/background/api/jobs")
        print(*[it.get(path, headers=headers).status_code for path in paths])
    print(it.get("/elsewhere").status_code)
"""


@pytest.mark.parametrize("sessions", ["db", "signed_cookies"])
def test_mounting_in_django_works_as_shown(tmp_path: Path, sessions: str) -> None:
    (block,) = blocks("Django")
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, f"django.contrib.sessions.backends.{sessions}"], input=block, text=True,
        capture_output=True, timeout=60, check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.stdout.split("\n") == ["401 401", "401 401", "200 404", "200 200", "404", ""], done.stderr


def test_every_route_and_level_is_in_the_papers() -> None:
    from jobsworth.web import Level
    from jobsworth.web.routes import TABLE

    text = PAGE.read_text(encoding="utf-8")
    for route in TABLE.routes:
        row = f"| {route.method} | `{route.path}` | {route.level.name.lower()} |"
        assert row in text, row
    for level in Level:
        assert f"`{level.name}`" in text
