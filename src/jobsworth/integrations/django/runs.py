"""What Django wants of those who work: connections that are too old, or broken, are closed before and after it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections, reset_queries


def _tidy() -> None:
    reset_queries()
    close_old_connections()


def let_go() -> None:
    """Close this thread's connections, also those that would be kept: what follows takes long and asks no database."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # a test's
            connection.close()


class Tidy(AbstractContextManager[None], AbstractAsyncContextManager[None]):
    """Around a run: as request_started and request_finished do around a request.

    A coroutine's queries run in the thread that Django keeps for those who may not change threads; so does this.
    """

    def __enter__(self) -> None:
        _tidy()

    def __exit__(self, *exc: object) -> None:
        close_old_connections()

    async def __aenter__(self) -> None:
        await sync_to_async(_tidy, thread_sensitive=True)()

    async def __aexit__(self, *exc: object) -> None:
        await sync_to_async(close_old_connections, thread_sensitive=True)()
