"""`jobs_real`: an SQLite file and a worker process, as in production, but for the clock, which the test moves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from jobsworth.app import Jobsworth
from jobsworth.engine import Engine, Where
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.errors import BadOption
from jobsworth.job import HELD, LIVE, Job

from .clock import HandClock
from .kit import PATIENCE, Kit
from .which import spec_for

LEASE = "30s"
APP, FOLDER = "JOBSWORTH_TESTING_APP", "JOBSWORTH_TESTING_FOLDER"  # told to the worker: what it runs, and where
HERE = "jobsworth.testing.elsewhere:jobs"  # the app as the worker has it
DATABASE, MOMENT = "jobs.db", "moment"  # files


class RealKit(Kit):
    """A real worker in a process of its own. What a test patches in this one does not reach it.

    path: the database's file.  process: the worker's, None while there is none.
    """

    patience = None
    advice = "what is delayed runs once the clock was moved; jobs_real.said is what the worker wrote"

    def __init__(self, app: Jobsworth, folder: Path, clock: HandClock, spec: str | None = None) -> None:
        clock.show(folder / MOMENT)
        self.path = folder / DATABASE
        super().__init__(app, SqliteEngine(self.path, clock=clock), clock)
        found = spec or spec_for(app)
        if found is None:
            raise BadOption(
                "jobs_real needs an app that another process can import",
                hint='make the Jobsworth a module\'s top-level variable, or say jobsworth_app = "module:name"',
            )
        self._spec = found
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a worker process; it needs a moment until it takes jobs. Raises BadOption if there is one."""
        if self.process is not None:
            raise BadOption(f"there is a worker already, process {self.process.pid}")
        self.bridge.open()  # the tables are there before two processes want to make them
        path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
        environment = {**os.environ, "PYTHONPATH": path, APP: self._spec, FOLDER: str(self._folder)}
        command = [sys.executable, "-m", "jobsworth", "worker", HERE, f"--lease={LEASE}", "--grace=10s"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """Stop the worker as a deployment does: running jobs get ten seconds. Nothing if there is none."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the worker process, as a power cut would. Its running jobs are another's once their leases run out."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()

    def drain(self, within: float = PATIENCE) -> None:
        """Wait until nothing is due. Raises AssertionError after `within` seconds, with what the worker said."""
        __tracebackhide__ = True
        for _ in range(max(1, round(within * 10))):
            if self.bridge.wait(self._idle, 0.1):
                return
            if self.process is None or self.process.poll() is not None:
                raise AssertionError(f"there is no worker to run what is due; it said:\n{self.said}")
        raise AssertionError(f"jobs are still due after {within:g} s; the worker said:\n{self.said}")

    async def _idle(self, engine: Engine) -> bool | None:
        live = await engine.find(Where(states=tuple(LIVE), limit=None))
        return None if any(self._due(job) for job in live) else True

    def _due(self, job: Job) -> bool:
        return job.state in HELD or (job.run_at or 0.0) <= self.clock.now

    @property
    def said(self) -> str:
        """What the worker process has written to its outputs so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self._folder / "worker.log"
