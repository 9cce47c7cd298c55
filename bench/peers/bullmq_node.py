"""BullMQ on Node and Redis: where it comes from, and at its quickest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from bench.sample import Absent
from bench.servers import command, url
from bench.system import APART, System

SCRIPT = Path(__file__).with_name("bullmq.mjs")
PACKAGES = APART / "node"


class BullmqNode(System):
    """BullMQ's Worker in a Node process."""

    distributions = ()
    profiles = {"quick": "Node, completed jobs kept (its default)"}

    def __init__(self, home: Path, profile: str, slots: int) -> None:
        super().__init__(home, profile, slots)
        found = shutil.which("node")
        if found is None:
            raise Absent("Node is not on this machine")
        if not (PACKAGES / "node_modules" / "bullmq").exists():
            raise Absent("bullmq for Node is not installed (npm was not there)")
        self._node = found

    def fill(self, jobs: int) -> None:
        subprocess.run(self._run("fill", jobs), check=True, stdout=sys.stderr)

    def finished(self) -> int:
        return int(command("ZCARD", "bull:bench:completed"))

    def command(self) -> list[str]:
        return self._run("worker", self.slots)

    def _run(self, what: str, count: int) -> list[str]:
        port = url().rsplit(":", 1)[1].split("/")[0]
        return [self._node, str(SCRIPT), str(PACKAGES), port, what, str(count)]


SYSTEM = BullmqNode
