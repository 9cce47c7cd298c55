"""What docs/fastapi.md, flask.md and litestar.md show is run, top to bottom, and does over HTTP what they say."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from hosting import by_uvicorn, by_werkzeug
from jobsworth import Jobsworth

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@contextmanager
def page(name: str, blocks: int, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names that a page's blocks have made, in an empty folder."""
    patch.chdir(folder)
    patch.delenv("JOBSWORTH_URL", raising=False)
    found = BLOCK.findall((DOCS / name).read_text(encoding="utf-8"))
    assert len(found) == blocks
    module = ModuleType("shown")
    patch.setitem(sys.modules, "shown", module)  # where frameworks look up what annotations mean
    names = vars(module)
    for number, block in enumerate(found):
        exec(compile(block, f"{name}, block {number}", "exec", dont_inherit=True), names)
    yield names
    names["jobs"].close()
    assert (folder / "jobsworth.db").exists()


def letters_can_be_watched_and_cancelled(client: httpx.Client, to: str) -> None:
    """What all three pages promise."""
    assert client.get("/letters/nope").status_code == 404
    client.post("/sign-in/ada")
    made = client.post(to).json()
    job, token = made["job"], made["token"]
    assert client.get(f"/letters/{job}").json()["job"]["status"] == "queued"
    stranger = httpx.Client(base_url=client.base_url, trust_env=False)
    with stranger:
        status = f"/background/jobs/{job}/status"
        assert stranger.get(status).status_code == 401
        assert stranger.get(status, headers={"authorization": f"Bearer {token}"}).status_code == 200
        stranger.post("/sign-in/bob")
        assert stranger.get(status).status_code == 404
        stranger.post("/sign-in/root")
        assert "<title>" in stranger.get("/background/").text
    assert client.get("/background/static/jobsworth.js").status_code == 200
    assert client.post(f"/background/jobs/{job}/cancel").json()["accepted"]


def test_fastapi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with page("fastapi.md", 6, tmp_path, monkeypatch) as shown:
        jobs: Jobsworth = shown["jobs"]
        with by_uvicorn(shown["app"]) as client:
            letters_can_be_watched_and_cancelled(client, "/my/letters")
            before = len(jobs.find())
            assert client.post("/orders/13").status_code == 409
            assert len(jobs.find()) == before
            assert client.post("/orders/14").status_code == 201
            assert len(jobs.find()) == before + 1
            waiting = client.post("/letters", params={"to": "bob"}).json()["job"]
        asyncio.run(shown["engine"].dispose())
        with by_uvicorn(shown["composed"]):
            assert shown["composed"].state.jobsworth is jobs
        with by_uvicorn(shown["inside"]):
            assert jobs.handle(waiting).result(timeout=20) == "3 letters to bob"
        with by_uvicorn(shown["watched"]) as client:
            assert client.get("/background/livez").status_code == 200


def test_flask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with page("flask.md", 4, tmp_path, monkeypatch) as shown:
        with by_werkzeug(shown["app"]) as client:
            letters_can_be_watched_and_cancelled(client, "/letters")
        with shown["jobs"].worker():
            assert shown["name"].enqueue().result(timeout=20) == "shown"
        made = shown["create_app"]()
        assert made.extensions["jobsworth"].jobs.url == "sqlite:///shop.db"


def test_litestar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with page("litestar.md", 2, tmp_path, monkeypatch) as shown:
        jobs: Jobsworth = shown["jobs"]
        with by_uvicorn(shown["app"]) as client:
            letters_can_be_watched_and_cancelled(client, "/letters")
            waiting = client.post("/letters").json()["job"]
        for name in ("inside", "chosen"):
            with by_uvicorn(shown[name]):
                assert jobs.handle(waiting).result(timeout=20) == "3 letters to ada"
                assert len(jobs.workers()) == 1
