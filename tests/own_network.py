"""A network of its own for a program that listens on a fixed port, so that any number of them can run side by side.

Run as a program, in that network, it starts COMMAND and passes connections on to it: from a listening socket that was
made outside, for a socket stays in the network in which it was made, to the fixed port inside.

    unshare --map-root-user --net python own_network.py LISTENER PORT COMMAND...

Where networks cannot be had (macOS, some containers) the program is run here, on its own port, one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from private_server import Missing
from undertaker import dies_with_us, kill_family

UNSHARE = ("unshare", "--map-root-user", "--net")
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # <linux/sockios.h>, <linux/if.h>


@contextmanager
def in_own_network(port: int, command: Sequence[str], **more: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The running command and where its port is reached. It ends with the block, whatever happens.

    Raises Missing where there is neither a network to be had nor the port to be used here.
    """
    if networks():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            outside = listener.getsockname()[1]
            here = [*UNSHARE, sys.executable, __file__, str(listener.fileno()), str(port)]
            process = subprocess.Popen([*here, *command], text=True, pass_fds=[listener.fileno()], **more)
        with _running(process):
            yield process, outside
        return
    with _alone_on(port), _running(subprocess.Popen(command, text=True, **more)) as process:
        yield process, port


@functools.cache
def networks() -> bool:
    """Whether this machine lets us make a network."""
    return shutil.which("unshare") is not None and not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode


@contextmanager
def _running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    dies_with_us(process.pid)
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_family(process.pid)
        process.wait()


@contextmanager
def _alone_on(port: int) -> Iterator[None]:
    """The only one of all test processes of this machine that uses the port."""
    with (Path(tempfile.gettempdir()) / f"jobsworth-port-{port}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise Missing(f"port {port} is in use by another program, and no network of our own can be made")
        yield


# Inside.


async def main(listener: int, port: int, command: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    _bring_up("lo")
    process = await asyncio.create_subprocess_exec(*command)
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, process.send_signal, each)
    await asyncio.start_server(functools.partial(_relay, port), sock=socket.socket(fileno=listener))
    return await process.wait()


def _bring_up(interface: str) -> None:
    with socket.socket() as any_socket:
        asked = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH22x", interface.encode(), 0))
        (flags,) = struct.unpack_from("H", asked, 16)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", interface.encode(), flags | IFF_UP))


async def _relay(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        try:
            there, here = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pump(reader, here), _pump(there, writer))
            here.close()
        finally:
            writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(65_536):
        sink.write(piece)
        await sink.drain()
    sink.write_eof()


if __name__ == "__main__":
    code = asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
    os._exit(code if code >= 0 else 128 - code)
