"""The photo example's page as tests use it: within this process by its real ASGI app, or as a process of its own."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from programs import Program, ending
from waiting import until

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
PICTURES = PHOTOS / "pictures"
MODULES = ("app", "pictures", "serving", "web")
HOST = "photos.test"


@contextmanager
def imported(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module web.py, imported anew, with its files in `folder` and its jobs in memory."""
    patch.setenv("JOBSWORTH_URL", "memory://")
    patch.setenv("PHOTOS_FOLDER", str(folder / "sent"))
    patch.setenv("PHOTOS_HOSTS", HOST)
    patch.setenv("PHOTOS_PACE", "0")
    patch.syspath_prepend(str(PHOTOS))
    for name in MODULES:
        patch.delitem(sys.modules, name, raising=False)
    web = importlib.import_module("web")
    try:
        yield web
    finally:
        web.site.close()
        web.jobs.close()
        for name in MODULES:
            sys.modules.pop(name, None)


class Person:
    """Somebody with a browser of their own, cookie included."""

    def __init__(self, web: Any) -> None:
        self.cookies = httpx.Cookies()
        self._web = web

    def ask(self, method: str, path: str, host: str = HOST, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, host, more))

    async def _ask(self, method: str, path: str, host: str, more: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._web.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}", cookies=self.cookies) as client:
            answer = await client.request(method, path, **more)
            self.cookies = client.cookies
            return answer

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **more)

    def send(self, name: str, content: Any, **more: Any) -> httpx.Response:
        """Upload a picture."""
        return self.post("/pictures", params={"name": name}, content=content, **more)

    def sent(self, name: str = "rocket.jpg") -> str:
        """Upload a good picture; returns its job's id."""
        answer = self.send(name, (PICTURES / "rocket.jpg").read_bytes())
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job"])

    def status(self, job: str) -> Any:
        answer = self.get(f"/background/jobs/{job}/status")
        return answer.json()["job"] if answer.status_code == 200 else answer.status_code


class Served(Program):
    """`python web.py` on a free port."""

    def __init__(self, folder: Path, pace: float = 0.0) -> None:
        environment = {
            **os.environ, "JOBSWORTH_URL": f"sqlite:///{folder / 'jobs.db'}", "PHOTOS_FOLDER": str(folder / "sent"),
            "PHOTOS_PACE": str(pace), "PORT": "0",
        }  # fmt: skip
        environment.pop("PHOTOS_HOSTS", None)
        super().__init__([sys.executable, str(PHOTOS / "web.py")], folder, environment)

    @property
    def url(self) -> str:
        """Where it listens, as soon as it says so."""
        return until(lambda: re.search(r"running on (http://127\.0\.0\.1:\d+)", self.said), 30, self.said)[1]


@contextmanager
def served(folder: Path, pace: float = 0.0) -> Iterator[Served]:
    """The page as a process, ended whatever happens."""
    with ending(Served(folder, pace)) as page:
        yield page
