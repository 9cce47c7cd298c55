"""What the tests here have beside the fixtures of Jobsworth's plugin."""

from __future__ import annotations

import httpx
import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def client(celery_app):
    from main import app

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client
