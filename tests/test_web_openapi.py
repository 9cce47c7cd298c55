"""The document of all addresses says what is true: schemathesis asks every one of them by it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobsworth.web import Level
from jobsworth.web.openapi import document
from jobsworth.web.routes import TABLE
from web_client import Client, a_site

ASKING = Path(__file__).with_name("openapi_asking.py")


@pytest.mark.timeout(600)
def test_every_answer_is_as_the_document_says() -> None:
    """In a test run of its own: what schemathesis does to collect takes seconds, and every process of ours collects."""
    without = ["-p", "no:cacheprovider", "-p", "no:asyncio", "-o", "addopts="]
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", *without, ASKING]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    asked = [route for route in TABLE.routes if not route.path.endswith("/events")]
    assert re.search(rf"^{len(asked)} passed in ", done.stdout, re.MULTILINE), done.stdout


def test_the_document_names_every_route_once() -> None:
    made = document(TABLE)
    assert made["openapi"].startswith("3.1")
    found = {(method.upper(), path) for path, item in made["paths"].items() for method in item}
    assert found == {(route.method, route.path) for route in TABLE.routes}
    names = [operation["operationId"] for item in made["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


def test_the_document_says_which_level_is_needed() -> None:
    for route in TABLE.routes:
        operation = document(TABLE)["paths"][route.path][route.method.lower()]
        assert ("security" in operation) is (route.level is not Level.NONE)
        assert {"500", "503"} <= set(operation["responses"])


def test_the_document_is_served_where_the_site_is_mounted() -> None:
    answer = Client(a_site()).get("/openapi.json")
    assert answer.json()["servers"] == [{"url": "."}]


@pytest.mark.parametrize("path", ["/api/jobs/bulk", "/api/dead/discard"])
def test_what_deletes_says_so(path: str) -> None:
    assert "admin" in document(TABLE)["paths"][path]["post"]["description"]
