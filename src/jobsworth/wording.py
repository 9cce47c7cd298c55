"""Numbers as a person reads them. Knows no terminal and no page."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """12 ms, 3.2 s, 41 s, 14 m, 2 h 14 m, 3 d 4 h; "-" for what is not known."""
    if seconds is None:
        return "-"
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s") if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} m"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} m" if minutes % 60 else f"{minutes // 60} h"
    hours = minutes // 60
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"


def count(number: int, word: str) -> str:
    """1 job, 12,480 jobs."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
