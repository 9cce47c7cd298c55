"""Run a handler in a child process that can be killed. Children are started when needed and used again."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time

from jobsworth.context import CurrentJob
from jobsworth.errors import Cancelled, Interrupted, LeaseLost, TimedOut
from jobsworth.job import Claim, Failure
from jobsworth.outcome import Failed, Lost, Outcome

from .ending import stopped
from .wire import HEADER, Ended, Note, Ready, Start, Stop, ToChild, ToParent, frame, to_parent

START_PATIENCE = 60.0  # seconds for a child to import the app


class ChildFailed(Exception):
    """A child could not be started: its app did not import."""


class ChildProcess:
    """One child process as its worker sees it."""

    def __init__(self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._process = process
        self._reader = reader
        self._writer = writer
        self.killed = False

    @classmethod
    async def start(cls, spec: str) -> ChildProcess:
        """Start a child that imports `spec`. Raises ChildFailed with what it said if it cannot."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "jobsworth.child", str(theirs.fileno()), spec]
            process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)  # noqa: S603, ASYNC220
        reader, writer = await asyncio.open_connection(sock=ours)
        child = cls(process, reader, writer)
        try:
            ready = await asyncio.wait_for(child._receive(), START_PATIENCE)
        except (asyncio.IncompleteReadError, TimeoutError, OSError) as exc:
            child.kill()
            raise ChildFailed(f"the child process did not start ({type(exc).__name__})") from exc
        if not isinstance(ready, Ready) or ready.error:
            child.kill()
            raise ChildFailed(ready.error if isinstance(ready, Ready) else "the child process spoke out of turn")
        return child

    async def run(self, claim: Claim, context: CurrentJob) -> Outcome:
        """One run, start to end. A child that dies on its own ends it as Lost; one that we killed, as it was told."""
        remaining = None if context.deadline is None else max(0.0, context.deadline - time.monotonic())
        try:
            await self._send(Start(claim, remaining))
            while True:
                message = await self._receive()
                if isinstance(message, Ended):
                    return message.outcome
                if isinstance(message, Note):
                    note = message.progress
                    context.report_progress(note.current, note.total, note.percent, note.message)
        except (asyncio.IncompleteReadError, OSError):
            return self._died(context)

    def tell(self, why: Cancelled | LeaseLost) -> None:
        """Pass a request to stop on to the handler."""
        kinds = {TimedOut: "timed_out", Interrupted: "interrupted", LeaseLost: "lease_lost"}
        reason = why.reason if isinstance(why, Cancelled) else str(why)
        self._writer.write(frame(Stop(kinds.get(type(why), "cancelled"), reason)))

    def kill(self) -> None:
        """End the process, whatever it does."""
        self.killed = True
        self._process.kill()
        self._writer.close()
        self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None and not self.killed

    def _died(self, context: CurrentJob) -> Outcome:
        why = context.why
        if self.killed and why is not None:
            return stopped(why, context)
        self._writer.close()
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            hint = ", likely out of memory" if name == "SIGKILL" else ""
            return Lost(f"its child process was killed by {name}{hint}", context.untold())
        return Lost(f"its child process exited with code {code}", context.untold())

    async def _send(self, message: ToChild) -> None:
        self._writer.write(frame(message))
        await self._writer.drain()

    async def _receive(self) -> ToParent:
        header = await self._reader.readexactly(HEADER.size)
        message: ToParent = to_parent(await self._reader.readexactly(HEADER.unpack(header)[0]))
        return message


def failed_to_start(exc: ChildFailed) -> Failed:
    """A child that cannot import the app: not the job's fault, so no attempt is used, but a person must look."""
    return Failed(Failure("ChildFailed", str(exc), "incompatible"), final=True, charged=False)
