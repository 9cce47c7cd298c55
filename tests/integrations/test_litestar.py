"""`jobsworth.integrations.litestar` with the real Litestar, behind uvicorn and under `litestar`.

Its annotations are no strings: Litestar reads those of functions within functions.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.config.csrf import CSRFConfig
from litestar.di import NamedDependency
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.params import FromPath
from websockets.sync.client import connect
from websockets.typing import Origin

from commandline import run, running
from hosting import by_uvicorn
from jobsworth import Jobsworth
from jobsworth.errors import BadOption
from jobsworth.integrations.litestar import JobsworthPlugin
from jobsworth.web import Level, Visitor
from waiting import until
from web_client import a_url, an_app

LITESTAR = (sys.executable, "-m", "litestar")
ORIGIN = Origin("https://app.test")
PROGRAM = """
from litestar import Litestar
from jobsworth import Jobsworth
from jobsworth.integrations.litestar import JobsworthPlugin

jobs = Jobsworth("sqlite:///shop.db")

@jobs.task(isolation="process")
def seven() -> int:
    return 7

app = Litestar(plugins=[JobsworthPlugin(jobs)])
"""


def who(request: Any) -> Visitor | None:
    user = request.raw["session"].get("user")
    if user == "root":
        return Visitor(Level.ADMIN, name=user)
    return Visitor(Level.USER, owner=f"user:{user}") if user else None


@get("/in/{user:str}")
async def sign_in(request: Request[Any, Any, Any], user: FromPath[str]) -> str:
    request.session["user"] = user
    return user


def a_shop(jobs: Jobsworth, **options: Any) -> Litestar:
    """An app whose users sign in, with the site mounted and Litestar's own guard against forged requests."""
    return Litestar(
        [sign_in], plugins=[JobsworthPlugin(jobs, authorize=who, **options)],
        middleware=[ServerSideSessionConfig().middleware], csrf_config=CSRFConfig(secret="of no matter"),
    )  # fmt: skip


def test_handlers_of_both_colours_are_given_jobs_and_the_worker_beside_them_works(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    jobs = an_app(a_url(request, "sqlite", tmp_path))

    @post("/async")
    async def later(jobs: NamedDependency[Jobsworth]) -> dict[str, Any]:
        job = await jobs.find_task("send").aenqueue("ada")
        return {"result": await job.aresult(timeout=20)}

    @post("/sync", sync_to_thread=True)
    def at_once(jobs: NamedDependency[Jobsworth]) -> dict[str, Any]:
        return {"result": jobs.find_task("send").enqueue("bob").result(timeout=20)}

    with by_uvicorn(Litestar([later, at_once], plugins=[JobsworthPlugin(jobs, worker=True)])) as client:
        assert client.post("/async").json() == {"result": "ada 1"}
        assert client.post("/sync").json() == {"result": "bob 1"}
        assert client.get("/schema/openapi.json").status_code == 200  # jobs is nothing that a client sends
        assert client.get("/background/livez").status_code == 404  # nobody said who may
    assert not jobs.bridge.opened


def test_the_dependency_may_have_another_name(jobs: Jobsworth) -> None:
    @get("/")
    async def view(background: NamedDependency[Jobsworth]) -> bool:
        return background is jobs

    with by_uvicorn(Litestar([view], plugins=[JobsworthPlugin(jobs, name="background")])) as client:
        assert client.get("/").json() is True


def test_users_see_and_cancel_their_own_jobs_and_no_others(jobs: Jobsworth) -> None:
    task = jobs.task(lambda: None, name="wait")  # type: ignore[call-overload]
    mine, other = (task.options(owner=f"user:{name}").enqueue().id for name in ("ada", "bob"))
    with by_uvicorn(a_shop(jobs)) as client:
        assert client.get(f"/background/jobs/{mine}/status").status_code == 401
        client.get("/in/ada")
        assert client.get(f"/background/jobs/{mine}/status").json()["job"]["status"] == "queued"
        assert client.get(f"/background/jobs/{other}/status").status_code == 404
        assert client.post(f"/background/jobs/{other}/cancel").status_code == 404
        foreign = {"origin": "https://evil.test", "sec-fetch-site": "cross-site"}
        assert client.post(f"/background/jobs/{mine}/cancel", headers=foreign).json()["code"] == "E603"
        assert client.post(f"/background/jobs/{mine}/cancel", json={"reason": "no"}).json()["accepted"]
        with client.stream("GET", f"/background/jobs/{mine}/events") as events:
            assert '"status":"cancelled"' in events.read().decode()


def test_every_address_reaches_the_site_under_its_prefix(jobs: Jobsworth) -> None:
    jobs.task(lambda: None, name="wait").enqueue()  # type: ignore[call-overload]
    with by_uvicorn(a_shop(jobs, path="inner/jobs/")) as client:
        client.get("/in/root")
        away = client.get("/inner/jobs")
        assert (away.status_code, away.headers["location"]) == (308, "jobs/")
        assert "<title>" in client.get("/inner/jobs/").text
        assert client.get("/inner/jobs/api/jobs").json()["jobs"][0]["task"] == "wait"
        assert client.get("/inner/jobs/nothing%20here").json()["code"] == "E604"
        assert client.put("/inner/jobs/api/jobs").json()["code"] == "E605"


def test_the_sites_websocket_knows_the_apps_session(jobs: Jobsworth) -> None:
    task = jobs.task(lambda: None, name="wait")  # type: ignore[call-overload]
    mine = task.options(owner="user:ada").enqueue()
    with by_uvicorn(a_shop(jobs, origins=[ORIGIN])) as client:
        client.get("/in/ada")
        url = f"ws://{client.base_url.netloc.decode()}/background/ws"
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        with connect(url, origin=ORIGIN, additional_headers=cookie, proxy=None) as opened:
            opened.send(json.dumps({"watch": [mine.id]}))
            assert json.loads(opened.recv(10))["status"] == "queued"
            mine.cancel()
            assert json.loads(opened.recv(10))["status"] == "cancelled"


def test_options_of_a_site_that_there_is_not_are_refused(jobs: Jobsworth) -> None:
    with pytest.raises(BadOption, match="nobody heeds origins"):
        JobsworthPlugin(jobs, origins=[ORIGIN])


def test_litestar_jobs_is_our_command_line_for_this_app(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROGRAM)
    with running(tmp_path, "--app", "shop:app", "jobs", "worker", program=LITESTAR) as worker:
        done = run(tmp_path, "--app", "shop:app", "jobs", "run", "seven", program=LITESTAR)
        assert (done.code, done.out.strip().splitlines()[-1]) == (0, "7"), done.err
        until(lambda: "worker" in worker.err, what=worker.err)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ends() == 0
