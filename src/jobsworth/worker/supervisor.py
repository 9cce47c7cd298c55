"""Keeps a number of worker processes alive: starts them, restarts one that dies, stops them in order.

It knows nothing of jobs: only how a child is started and how it ended. The children hold the reading end of a pipe
whose writing end only the supervisor has, so they notice its end however it ends, kill -9 included.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

PARENT_FD = "JOBSWORTH_PARENT_FD"  # where a child finds its end of the pipe
BACKOFF = (0.5, 30.0)  # seconds before a dead child is started again: first, longest
STEADY_AFTER = 20.0  # seconds of life after which a child's next death is its first again
KILL_AFTER = 10.0  # seconds beyond the grace after which a child that does not stop is killed
USAGE = 2  # the exit code of a child that cannot work whatever we do: a bad app, a bad option


class Supervisor:
    """Runs `count` children until it is told to stop.

    command: gives the command line of child number 1, 2...
    grace:   seconds that children get to stop by themselves after SIGTERM.
    say:     hears a line for a person whenever something happened.
    """

    def __init__(
        self, command: Callable[[int], Sequence[str]], count: int, *, grace: float, say: Callable[[str], None]
    ) -> None:
        self._command = command
        self._count = count
        self._grace = grace
        self._say = say
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._proven = False  # some child has lived long enough to be sure that the command works
        self._unusable = False
        self._urgent = False

    async def run(self) -> int:
        """Work until SIGTERM or SIGINT (a second one makes the children hand their jobs back at once).

        Returns the exit code: 0, or 2 if the children cannot be started as they were asked to.
        """
        self._stopping = asyncio.Event()
        self._pipe = os.pipe()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            await asyncio.gather(*(self._keep(number) for number in range(1, self._count + 1)))
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            for end in self._pipe:
                os.close(end)
        return USAGE if self._unusable else 0

    def stop(self) -> None:
        """Stop the children in order; called again, at once."""
        if self._stopping.is_set():
            self._urgent = True
        self._stopping.set()
        for process in self._children.values():
            _signal(process, signal.SIGTERM)

    async def _keep(self, number: int) -> None:
        """Keep one child alive."""
        pause, longest = BACKOFF
        while not self._stopping.is_set():
            started = time.monotonic()
            process = await self._start(number)
            code = await self._ended(process)
            del self._children[number]
            if self._stopping.is_set():
                return
            lived = time.monotonic() - started
            self._proven = self._proven or lived > STEADY_AFTER
            if code == USAGE and not self._proven:
                self._unusable = True
                self.stop()
                return
            pause = BACKOFF[0] if lived > STEADY_AFTER else pause
            self._say(f"worker-{number} pid {process.pid} {how_it_ended(code)}; starting it again in {pause:g} s")
            await self._sleep(pause)
            pause = min(longest, pause * 2)

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        # A session of its own: the terminal's Ctrl-C reaches us alone, and we pass it on once.
        process = await asyncio.create_subprocess_exec(
            *self._command(number), stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            pass_fds=(self._pipe[0],), env={**os.environ, PARENT_FD: str(self._pipe[0])},
        )  # fmt: skip
        self._children[number] = process
        if self._stopping.is_set():  # while it was being started
            _signal(process, signal.SIGTERM)
        return process

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait for its end; once we are stopping, not for ever."""
        waiting = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        patience = self._grace + KILL_AFTER
        while not waiting.done() and patience > 0:
            await asyncio.wait((waiting,), timeout=0.2)
            patience = min(patience - 0.2, KILL_AFTER if self._urgent else patience)
        if not waiting.done():
            self._say(f"pid {process.pid} does not stop; it is killed, its jobs are rescued when their leases run out")
            _signal(process, signal.SIGKILL)
        return await waiting

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def how_it_ended(code: int) -> str:
    """A process's return code in words."""
    if code >= 0:
        return f"ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (likely out of memory)" if name == "SIGKILL" else "")


def stop_with_parent(grace: float) -> bool:
    """In a child: stop as by SIGTERM when the supervisor is gone. False if there is no supervisor.

    A handler that blocks the loop would keep the signal from being heard, so after the grace this ends the process:
    its leases run out and other workers take its jobs over.
    """
    number = os.environ.pop(PARENT_FD, None)  # programs that a handler starts are not its children
    if number is None:
        return False
    end = int(number)
    os.set_inheritable(end, False)

    def watch() -> None:
        while os.read(end, 1):
            continue
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace + KILL_AFTER)
        os._exit(1)

    threading.Thread(target=watch, name="jobsworth-parent", daemon=True).start()
    return True


def worker_command(*options: str) -> list[str]:
    """The command line of a worker process in this Python."""
    return [sys.executable, "-m", "jobsworth", "worker", *options]


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:  # it ended in this very moment
        return
