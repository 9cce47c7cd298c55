"""Stored tracebacks as their users care for them: without our frames, and their own one named."""

from __future__ import annotations

import re
from pathlib import Path

from .log import clean

_FRAME = re.compile(r'  File "(.+)", line (\d+), in (.+)')
_OURS = re.compile(r"[/\\]jobsworth[/\\](runners|worker)[/\\]")
_LIBRARY = re.compile(r"[/\\](site-packages|dist-packages|lib[/\\]python3[^/\\]*)[/\\]|^<frozen")


def user_traceback(traceback: str) -> list[str]:
    """A stored traceback without the frames of the worker that called the handler, each line made harmless."""
    lines: list[str] = []
    skipping = False
    for line in traceback.splitlines():
        frame = _FRAME.match(line)
        if frame is not None:
            skipping = _OURS.search(frame[1]) is not None
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            lines.append(clean(line, 2000))
    return lines


def user_frame(traceback: str | None) -> str | None:
    """Where it happened in the user's own code: "app/reports.py:41 in fetch"; else in whatever code it was."""
    frames = [match for match in map(_FRAME.match, (traceback or "").splitlines()) if match is not None]
    frames = [frame for frame in frames if not _OURS.search(frame[1])]
    own = [frame for frame in frames if not _LIBRARY.search(frame[1])] or frames
    if not own:
        return None
    path, line, function = own[-1].groups()
    here = Path.cwd()
    shown = Path(path)
    if shown.is_relative_to(here):
        shown = shown.relative_to(here)
    return clean(f"{shown}:{line} in {function}", 300)
