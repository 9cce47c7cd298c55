"""Run in a network of its own it starts COMMAND there and passes connections on to the port where that listens.

They come from a listening socket that was made outside: a socket stays in the network in which it was made.

    unshare --map-root-user --net python inside_network.py LISTENER PORT COMMAND...
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # <linux/sockios.h>, <linux/if.h>


async def main(listener: int, port: int, command: Sequence[str]) -> None:
    """Run the command, and end as it ends: at once, whatever is still passed on."""
    _bring_up("lo")
    process = await asyncio.create_subprocess_exec(*command)
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, process.send_signal, each)
    await asyncio.start_server(functools.partial(_relay, port), sock=socket.socket(fileno=listener))
    code = await process.wait()
    os._exit(code if code >= 0 else 128 - code)


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
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
