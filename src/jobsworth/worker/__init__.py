"""A worker: the office talks to the engine, the shop runs the jobs."""

from .worker import Worker

__all__ = ["Worker"]
