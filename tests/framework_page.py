"""The example of the frameworks as its readers start it: one page, by the framework's own command, on a free port."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import httpx

from private_server import Server
from undertaker import Undertaker

EXAMPLE = Path(__file__).parent.parent / "examples" / "frameworks"
_UVICORN = ["uvicorn", "{name}_app:app"]
COMMANDS = {
    "fastapi": _UVICORN,
    "starlette": _UVICORN,
    "flask": ["flask", "--app", "flask_app", "run"],
    "litestar": ["litestar", "--app", "litestar_app:app", "run"],
}
READERS = 20  # of a newsletter: so many steps it has


class FrameworkPage(Server):
    """One of the four, in a folder of its own. pace: seconds that a letter takes. inside: it runs the jobs, too.

    url: where its jobs live; else a file in the folder.
    """

    name = "page"
    programs = (sys.executable,)
    package = formula = "python3"

    def __init__(
        self,
        undertaker: Undertaker,
        framework: str,
        place: Path,
        *,
        url: str | None = None,
        pace: float = 0.1,
        inside: bool = True,
    ) -> None:
        super().__init__(undertaker)
        self.framework = framework
        self._place = place
        self.environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join([str(EXAMPLE), *filter(None, sys.path)]),
            "JOBSWORTH_URL": url or f"sqlite:///{place / 'jobs.db'}", "PACE": str(pace),
            "SESSION_SECRET": "of no matter", "WORKER": "inside" if inside else "outside",
        }  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        words = [word.format(name=self.framework) for word in COMMANDS[self.framework]]
        return [str(self.program), "-m", *words, "--port", str(self.port)]

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _surroundings(self) -> dict[str, Any]:
        return {**super()._surroundings(), "cwd": self._place, "env": self.environment}
