"""Run a handler in a child process that can be killed. Children are started when needed and used again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from jobsworth.codec import decode
from jobsworth.context import CurrentJob
from jobsworth.errors import Cancelled, Interrupted, LeaseLost, TimedOut
from jobsworth.job import Claim, Failure
from jobsworth.outcome import Failed, Lost, Outcome

from .ending import stopped
from .wire import HEADER, Completing, Ended, Note, Ready, Start, Stop, ToChild, ToParent, frame, to_parent

EXIT_PATIENCE = 1.0  # seconds between the end of the connection and that of the process, either way round
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
        self._loop = asyncio.get_running_loop()
        self._exited = asyncio.Event()
        threading.Thread(target=self._reap, name=f"jobsworth-child-{process.pid}", daemon=True).start()

    @classmethod
    async def start(cls, spec: str) -> ChildProcess:
        """Start a child that imports `spec`. Raises ChildFailed with what it said if it cannot."""
        ours, theirs = socket.socketpair()
        with theirs:
            path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
            level = str(logging.getLogger().getEffectiveLevel())
            command = [sys.executable, "-m", "jobsworth.child", str(theirs.fileno()), spec, path, level]
            process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)  # noqa: S603, ASYNC220
        reader, writer = await asyncio.open_connection(sock=ours)
        child = cls(process, reader, writer)
        try:
            ready = await asyncio.wait_for(child._receive(), START_PATIENCE)
        except (asyncio.IncompleteReadError, TimeoutError, OSError) as exc:
            child.kill()
            raise ChildFailed(f"the child process did not start ({type(exc).__name__})") from exc
        except BaseException:
            child.kill()
            raise
        if not isinstance(ready, Ready) or ready.error:
            child.kill()
            raise ChildFailed(ready.error if isinstance(ready, Ready) else "the child process spoke out of turn")
        return child

    async def run(self, claim: Claim, context: CurrentJob) -> Outcome:
        """One run, start to end. A child that dies on its own ends it as Lost; one that we killed, as it was told."""
        now = time.monotonic()
        remaining = None if context.deadline is None else max(0.0, context.deadline - now)
        try:
            await self._send(Start(claim, remaining, now - context.began, context.log_level))
            while True:
                message = await self._receive()
                if isinstance(message, Ended):
                    context.relay(message.lines)
                    return _with_last_note(message.outcome, context)
                if isinstance(message, Note):
                    _pass_on(message, context)
                if isinstance(message, Completing):
                    context.settling = message.settlement
                    context.settled = message.settlement if message.done else None
        except (asyncio.IncompleteReadError, OSError):
            return await self._died(context)

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

    async def _died(self, context: CurrentJob) -> Outcome:
        why = context.why
        if self.killed and why is not None:
            return stopped(why, context)
        self._writer.close()
        try:
            await asyncio.wait_for(self._exited.wait(), EXIT_PATIENCE)
        except TimeoutError:  # it lives but has closed its end: nobody can talk to it any more
            self.kill()
            return Lost("its child process closed its connection", context.untold())
        code = self._process.wait()
        if code < 0:
            name = _signal_name(-code)
            hint = ", likely out of memory" if name == "SIGKILL" else ""
            return Lost(f"its child process was killed by {name}{hint}", context.untold())
        return Lost(f"its child process exited with code {code}", context.untold())

    def _reap(self) -> None:
        """On a thread: notice the exit itself. A handler's own children may hold the connection open after it."""
        self._process.wait()
        try:
            self._loop.call_soon_threadsafe(self._exited.set)
            self._loop.call_soon_threadsafe(self._loop.call_later, EXIT_PATIENCE, self._writer.close)
        except RuntimeError:  # the loop has closed; nobody waits there any more
            return

    async def _send(self, message: ToChild) -> None:
        self._writer.write(frame(message))
        await self._writer.drain()

    async def _receive(self) -> ToParent:
        header = await self._reader.readexactly(HEADER.size)
        message: ToParent = to_parent(await self._reader.readexactly(HEADER.unpack(header)[0]))
        return message


def _pass_on(message: Note, context: CurrentJob) -> None:
    note = message.progress
    if note is not None:
        result = None if note.result is None else decode(note.result.encode())
        context.report_progress(note.current, note.total, note.percent, note.message, result)
    context.relay(message.lines)


def _with_last_note(outcome: Outcome, context: CurrentJob) -> Outcome:
    """The child counts a note as told once it is sent to us; it may still have to travel further."""
    note = context.untold() if outcome.progress is None else None
    return outcome if note is None else msgspec.structs.replace(outcome, progress=note)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return f"signal {number}"


def failed_to_start(exc: ChildFailed) -> Failed:
    """A child that cannot import the app: not the job's fault, so no attempt is used, but a person must look."""
    return Failed(Failure("ChildFailed", str(exc), "incompatible"), final=True, charged=False)
