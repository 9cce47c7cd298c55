"""`jobsworth.integrations.fastapi` with the real FastAPI and Starlette, behind uvicorn.

Its annotations are no strings: FastAPI reads those of functions within functions.
"""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from hosting import by_uvicorn
from jobsworth import Jobsworth
from jobsworth.errors import ConfigurationError
from jobsworth.integrations.fastapi import get_jobs
from jobsworth.web import Level, Site, Visitor
from places import Place, add_to, ids
from web_client import a_url, an_app

Jobs = Annotated[Jobsworth, Depends(get_jobs)]
ORIGIN = Origin("https://app.test")


def test_views_of_both_colours_enqueue_and_the_worker_beside_them_works(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    jobs = an_app(a_url(request, "sqlite", tmp_path))
    app = FastAPI(lifespan=jobs.lifespan(worker=True))

    @app.post("/async")
    async def later(jobs: Jobs) -> dict[str, Any]:
        job = await jobs.find_task("send").aenqueue("ada")
        return {"result": await job.aresult(timeout=20)}

    @app.post("/sync")
    def at_once(jobs: Jobs) -> dict[str, Any]:
        return {"result": jobs.find_task("send").enqueue("bob").result(timeout=20)}

    with by_uvicorn(app) as client:
        assert client.post("/async").json() == {"result": "ada 1"}
        assert client.post("/sync").json() == {"result": "bob 1"}
    assert not jobs.bridge.opened


def test_it_lives_beside_what_else_lives_as_long_as_the_app(jobs: Jobsworth) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        async with jobs.lifespan(app):
            told.append(f"open: {jobs.bridge.opened}")
            yield {"database": "mine"}
            told.append(f"open: {jobs.bridge.opened}")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def view(request: Request, found: Jobs) -> list[object]:
        return [request.state.database, found is jobs]

    with by_uvicorn(app) as client:
        assert client.get("/").json() == ["mine", True]
    assert told == ["open: True"] * 2
    assert not jobs.bridge.opened


def test_a_websocket_and_a_starlette_view_find_it_too(jobs: Jobsworth) -> None:
    app = FastAPI(lifespan=jobs.lifespan)

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, found: Jobs) -> None:
        await websocket.accept()
        await websocket.send_text(str(found is jobs))
        await websocket.close()

    with by_uvicorn(app) as client, connect(f"ws://{client.base_url.netloc.decode()}/socket", proxy=None) as opened:
        assert opened.recv(10) == "True"

    async def view(request: Any) -> JSONResponse:
        return JSONResponse(await get_jobs(request) is jobs)

    with by_uvicorn(Starlette(routes=[Route("/", view)], lifespan=jobs.lifespan)) as client:
        assert client.get("/").json() is True


def test_without_a_lifespan_the_error_says_what_to_write(jobs: Jobsworth) -> None:
    inner, app = FastAPI(), FastAPI(lifespan=jobs.lifespan)
    app.mount("/inner", inner)
    told: list[ConfigurationError] = []

    @inner.exception_handler(ConfigurationError)
    async def tell(_request: Request, exc: ConfigurationError) -> JSONResponse:
        told.append(exc)
        return JSONResponse({}, 500)

    @inner.get("/")
    async def view(found: Jobs) -> bool:
        return found is jobs

    with by_uvicorn(app) as client:
        assert client.get("/inner/").status_code == 500
        assert told[0].code == "E100"
        assert "lifespan=jobs.lifespan" in (told[0].hint or "")
        inner.state.jobsworth = jobs
        assert client.get("/inner/").json() is True


def test_a_job_is_enqueued_in_the_requests_own_session_or_not_at_all(place: Place) -> None:
    task = add_to(place)
    engine = create_async_engine(place.async_sqlalchemy_url)
    seen: list[set[str]] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with place.jobs.lifespan(app):
            yield
        await engine.dispose()

    async def session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as made, made.begin():
            yield made

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders/{number}")
    async def order(number: int, session: Annotated[AsyncSession, Depends(session, scope="function")]) -> str:
        await session.execute(sa.text("INSERT INTO ledger (n) VALUES (:n)"), {"n": number})
        job = await task.options(transaction=session).aenqueue(number)
        seen.append(ids(place))
        if number == 13:
            raise HTTPException(402, "not paid")
        return str(job.id)

    with by_uvicorn(app) as client:
        assert client.post("/orders/13").status_code == 402
        made = client.post("/orders/14").json()
    assert seen == [set(), set()]
    assert ids(place) == {made}
    assert place.ledger() == [14]


def who(request: Any) -> Visitor | None:
    user = request.raw.get("session", {}).get("user")
    return Visitor(Level.USER, owner=f"user:{user}") if user else None


def a_shop(jobs: Jobsworth, fast: bool) -> Any:
    """An app whose users sign in, with the site among its routes."""
    site = Site(jobs, authorize=who, origins=[ORIGIN])

    async def sign_in(request: Request) -> JSONResponse:
        request.session["user"] = request.path_params["user"]
        return JSONResponse({})

    routes = [Route("/in/{user}", sign_in), Mount("/background", site.asgi)]
    app: Any = FastAPI(lifespan=jobs.lifespan, routes=routes) if fast else Starlette(
        lifespan=jobs.lifespan, routes=routes
    )  # fmt: skip
    app.add_middleware(SessionMiddleware, secret_key="of no matter")
    return app


@pytest.mark.parametrize("fast", [True, False], ids=["fastapi", "starlette"])
def test_users_see_and_cancel_their_own_jobs_and_no_others(jobs: Jobsworth, fast: bool) -> None:
    task = jobs.task(lambda: None, name="wait")  # type: ignore[call-overload]
    mine, other = (task.options(owner=f"user:{name}").enqueue().id for name in ("ada", "bob"))
    with by_uvicorn(a_shop(jobs, fast)) as client:
        assert client.get(f"/background/jobs/{mine}/status").status_code == 401
        client.get("/in/ada")
        assert client.get(f"/background/jobs/{mine}/status").json()["job"]["status"] == "queued"
        assert client.get(f"/background/jobs/{other}/status").status_code == 404
        assert client.post(f"/background/jobs/{other}/cancel").status_code == 404
        assert client.post(f"/background/jobs/{mine}/cancel", json={"reason": "no"}).json()["accepted"]
        with client.stream("GET", f"/background/jobs/{mine}/events") as events:
            told = events.read().decode()
    assert '"status":"cancelled"' in told
    assert told.rstrip().splitlines()[-2:][0] == "event: end"


def test_the_sites_websocket_knows_the_apps_session(jobs: Jobsworth) -> None:
    task = jobs.task(lambda: None, name="wait")  # type: ignore[call-overload]
    mine = task.options(owner="user:ada").enqueue()
    with by_uvicorn(a_shop(jobs, fast=True)) as client:
        client.get("/in/ada")
        url = f"ws://{client.base_url.netloc.decode()}/background/ws"
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        with pytest.raises(InvalidStatus):
            connect(url, origin=Origin("https://evil.test"), additional_headers=cookie, proxy=None)
        with connect(url, origin=ORIGIN, additional_headers=cookie, proxy=None) as opened:
            opened.send(json.dumps({"watch": [mine.id]}))
            assert json.loads(opened.recv(10))["status"] == "queued"
            mine.cancel()
            assert json.loads(opened.recv(10))["status"] == "cancelled"


def test_an_app_whose_engine_is_away_does_not_start() -> None:
    app = FastAPI(lifespan=Jobsworth("redis://127.0.0.1:1/0").lifespan)
    with pytest.raises(AssertionError, match="did not start"), by_uvicorn(app):
        raise httpx.InvalidURL("it must not get here")


@pytest.mark.parametrize(
    ("module", "framework", "install"),
    [("fastapi", "starlette", "jobsworth[fastapi]"), ("flask", "flask", "jobsworth[flask]"),
     ("litestar", "litestar", "jobsworth[litestar]")],
)  # fmt: skip
def test_a_framework_that_is_not_installed_is_named_with_what_to_do(module: str, framework: str, install: str) -> None:
    program = (
        f"import sys; sys.modules[{framework!r}] = None\n"
        "from jobsworth.errors import ExtraMissing\n"
        f"try:\n    import jobsworth.integrations.{module}\nexcept ExtraMissing as exc:\n    print(exc)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("E115: ")
    assert f"pip install '{install}'" in done.stdout


def test_starlette_alone_is_enough() -> None:
    program = "import sys; sys.modules['fastapi'] = None; from jobsworth.integrations.fastapi import get_jobs"
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
