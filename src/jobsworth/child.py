"""The child process of isolation="process": imports the app, then runs one handler after another.

Started by the worker as `python -m jobsworth.child FD SPEC PATH LEVEL`. The main thread runs handlers; a second thread
listens to the worker, a third tells it what they say. When the worker goes away, however it went, the child ends at
once. LEVEL is that of the worker's root logger: where the app has not configured logging, it is this one's too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from jobsworth.completion import Completions
from jobsworth.context import CurrentJob
from jobsworth.engines.memory import MemoryEngine
from jobsworth.errors import Cancelled, Interrupted, JobsworthError, LeaseLost, TimedOut
from jobsworth.job import Claim
from jobsworth.locate import locate
from jobsworth.outcome import Outcome
from jobsworth.runners import capture
from jobsworth.runners.loop import run_in_loop
from jobsworth.runners.thread import run_in_thread
from jobsworth.runners.wire import HEADER, Completing, Ended, Note, Ready, Start, Stop, ToParent, frame, to_child

if TYPE_CHECKING:
    from jobsworth.engine import Engine
    from jobsworth.task import Task

NOTE_EVERY = 0.1  # seconds between notes to the worker; what is left travels with the ending


class Child:
    """This process's side of the conversation."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._starts: queue.SimpleQueue[Start] = queue.SimpleQueue()
        self._current: CurrentJob | None = None
        self._cancel: Any = None  # how to interrupt an async handler
        self._news = threading.Event()
        self._telling = threading.Lock()  # a note must not come behind the ending of its run

    def serve(self, engine: Engine, tasks: dict[str, Task[..., Any]]) -> None:
        """Run what the worker sends until it goes away."""
        completions = Completions(engine, tasks, lambda settlement, done: self.send(Completing(settlement, done)))
        threading.Thread(target=self._listen, name="jobsworth-listen", daemon=True).start()
        threading.Thread(target=self._tell, name="jobsworth-tell", daemon=True).start()
        self.send(Ready())
        while True:
            start = self._starts.get()
            began = time.monotonic() - start.elapsed
            context = CurrentJob(start.claim, self._news.set, completions.begin, began, start.log_level)
            if start.remaining is not None:
                context.deadline = time.monotonic() + start.remaining
            self._current = context
            outcome = self._run(tasks[start.claim.task], start.claim, context)
            with self._telling:
                self._current = None
                self.send(Ended(outcome, context.untold_lines()))

    def _run(self, task: Task[..., Any], claim: Claim, context: CurrentJob) -> Outcome:
        if not task.is_async:
            return run_in_thread(task, claim, context)

        async def run() -> Outcome:
            running = asyncio.ensure_future(run_in_loop(task, claim, context))
            loop = asyncio.get_running_loop()
            self._cancel = lambda: loop.call_soon_threadsafe(running.cancel)
            try:
                return await running
            finally:
                self._cancel = None

        return asyncio.run(run())

    def _tell(self) -> None:
        """Pass on what the handler says, soon, and not more often than the worker has use for."""
        while True:
            self._news.wait()
            self._news.clear()
            with self._telling:
                context = self._current
                if context is not None:
                    note, lines = context.untold(), context.untold_lines()
                    if note is not None or lines:
                        try:
                            self.send(Note(note, lines))
                        except OSError:  # the worker is gone; who listens to it ends this process
                            return
            time.sleep(NOTE_EVERY)

    def send(self, message: ToParent) -> None:
        """Say something to the worker."""
        with self._sending:
            self._connection.sendall(frame(message))

    def _listen(self) -> None:
        while True:
            header = self._receive(HEADER.size)
            message = to_child(self._receive(HEADER.unpack(header)[0]))
            if isinstance(message, Start):
                self._starts.put(message)
            else:
                self._stop(message)

    def _stop(self, message: Stop) -> None:
        context, cancel = self._current, self._cancel
        if context is not None:
            context.ask_to_stop(_why(message))
            if cancel is not None:
                cancel()

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                part = self._connection.recv(size - len(data))
            except OSError:  # a worker that dies with notes unread resets the connection
                part = b""
            if not part:
                os._exit(0)  # the worker is gone: nobody can settle what runs here any more
            data += part
        return data


def _why(message: Stop) -> Cancelled | LeaseLost:
    match message.kind:
        case "timed_out":
            return TimedOut(message.reason)
        case "interrupted":
            return Interrupted(message.reason)
        case "lease_lost":
            return LeaseLost(message.reason or "another attempt holds the lease")
        case _:
            return Cancelled(message.reason)


def main() -> None:
    """Entry point."""
    # The terminal's Ctrl-C reaches the whole group; ending jobs in order is the worker's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    sys.path[:] = sys.argv[3].split(os.pathsep)  # the worker's: what it could import, we can
    child = Child(connection)
    try:
        app = locate(sys.argv[2])
        app.prepare()
        app.prepare_child()
    except JobsworthError as exc:
        child.send(Ready(str(exc)))
        sys.exit(2)
    root = logging.getLogger()
    if not root.handlers:
        root.setLevel(int(sys.argv[4]))
    capture.begin()
    engine = app.engine
    if isinstance(engine, MemoryEngine):
        engine.apart = True
    child.serve(engine, app.tasks)


if __name__ == "__main__":
    main()
