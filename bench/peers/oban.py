"""Oban for Python on PostgreSQL. It keeps a job's status and no result.

It needs Python 3.12, so it runs in processes with one of its own (bench/install_apart.sh); nothing is imported here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.process import environment
from bench.sample import Absent
from bench.servers import execute
from bench.system import APART, System

PYTHON = APART / "newer" / "bin" / "python"


class ObanPy(System):
    """Oban with one queue."""

    distributions = ("oban",)
    records = "status"
    profiles = {"quick": "its defaults, uvloop"}

    def __init__(self, home: Path, profile: str, slots: int) -> None:
        super().__init__(home, profile, slots)
        if not PYTHON.exists():
            raise Absent("oban needs Python 3.12, and none was found")

    def fill(self, jobs: int) -> None:
        subprocess.run(self._run("fill", jobs), check=True, stdout=sys.stderr, env=environment({}))

    def finished(self) -> int:
        return execute("select count(*) from oban_jobs where state = 'completed'")

    def command(self) -> list[str]:
        return self._run("serve", self.slots)

    def _run(self, what: str, count: int) -> list[str]:
        return [str(PYTHON), "-m", "bench.peers.oban_app", what, str(count)]


SYSTEM = ObanPy
