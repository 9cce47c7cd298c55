"""`make demo`: real photographs, real worker processes, and what can go wrong with them.

PHOTOS=~/Pictures makes it use the pictures of that folder (they are only read) instead of its own. It ends with 0 only
if everything it promises has happened: it checks.

In a terminal with a browser at hand it also opens its page, on which the same jobs move, and keeps it open for your own
pictures until Ctrl-C. --no-browser leaves that out; anywhere else the demo ends by itself.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pictures
from rich.console import Console
from rich.markup import escape

OWN = Path(__file__).parent / "pictures"
FEWEST, MOST = 8, 40  # pictures: with fewer nobody is left to be cancelled or killed, more take longer than a demo may


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Real photographs through a real queue.")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page; end when the story does")
    wishes = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows few letters still gets the rest
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120  # of a log, instead of an assumed terminal's 80
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        sources = gather(os.environ.get("PHOTOS", ""), console)
    except ValueError as exc:
        console.print(f"[red]make demo:[/] {escape(str(exc))}", soft_wrap=True)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="jobsworth-photos-"))
    os.environ["JOBSWORTH_URL"] = f"sqlite:///{folder / 'jobs.db'}"
    os.environ["PHOTOS_FOLDER"] = str(folder / "sent")
    # Only now: importing app.py and web.py reads the variables, and all is to be as fresh as the folder.
    from stage import play
    from window import Window, can_open

    window = None if wishes.no_browser or not can_open(console) else Window()
    try:
        return play(sources, OWN / "rocket.jpg", folder, console, window)
    except KeyboardInterrupt:
        console.print(f"\nStopped, and so are the workers. What was made so far is in {folder}", soft_wrap=True)
        return 130


def gather(wanted: str, console: Console) -> list[Path]:
    """The pictures to work on: those below the folder `wanted`, and some of our own if they are few.

    Raises ValueError if there is no such folder, or no picture in it.
    """
    own = sorted(_pictures_below(OWN))
    if not wanted:
        return own
    root = Path(wanted).expanduser()
    if not root.is_dir():
        raise ValueError(f"PHOTOS={wanted}: there is no such folder")
    found = sorted(_pictures_below(root))
    if not found:
        raise ValueError(f"PHOTOS={wanted}: no pictures in there ({' '.join(pictures.SUFFIXES)})")
    if len(found) > MOST:
        console.print(f"{len(found)} pictures in {escape(str(root))}; the demo takes the first {MOST}", soft_wrap=True)
    if len(found) < FEWEST:
        console.print(f"{len(found)} in {escape(str(root))} are few; the demo adds pictures of its own", soft_wrap=True)
        found += own[: FEWEST - len(found)]
    return found[:MOST]


def _pictures_below(root: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(pictures.SUFFIXES) and not name.startswith("."):
                path = Path(folder, name).absolute()
                if os.access(path, os.R_OK):
                    yield path


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """Ended from outside: leave through every `finally`, so that no worker stays behind."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
