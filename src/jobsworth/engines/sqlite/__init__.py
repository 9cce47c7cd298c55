"""The embedded engine on one SQLite file."""

from .engine import SqliteEngine

__all__ = ["SqliteEngine"]
