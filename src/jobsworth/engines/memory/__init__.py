"""The memory engine: jobs in this process, and the specification of every other engine."""

from .engine import MemoryEngine

__all__ = ["MemoryEngine"]
