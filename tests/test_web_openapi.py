"""The document of all addresses says what is true: schemathesis asks every one of them by it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from jobsworth.web import Level, Request, Visitor
from jobsworth.web.openapi import document
from jobsworth.web.routes import TABLE
from web_client import Client, a_dead_letter, a_site, an_app

TURNS = itertools.count()
KEY = "a-key-that-lets-in"
JOBS = an_app()
JOBS.find_task("send").enqueue("ada")
a_dead_letter(JOBS)


def who(request: Request) -> Visitor | None:
    return Visitor(Level.ADMIN, name="fuzz") if request.headers.get("authorization") == f"Bearer {KEY}" else None


SITE = a_site(JOBS, who)
schema = schemathesis.openapi.from_asgi("/openapi.json", SITE.asgi, headers={"authorization": f"Bearer {KEY}"})


def nonsense_is_refused(context: Any, response: Any, case: Any) -> Any:
    """What the document does not allow is refused. Cases that lack the key do not count: they are given it here."""
    header = case.meta.components.get(ParameterLocation.HEADER) if case.meta is not None else None
    if header is not None and header.mode.is_negative:
        return None
    return negative_data_rejection(context, response, case)


@schema.exclude(path_regex="/events$").parametrize()  # streams have no end to wait for
@settings(
    max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    derandomize=True,
)  # fmt: skip
def test_every_answer_is_as_the_document_says(case: Any) -> None:
    if "id" in case.path_parameters and next(TURNS) % 2:  # a job that is there; of made-up ids there is none
        case.path_parameters["id"] = JOBS.find_task("send").enqueue("ada").id
    if "queue" in case.path_parameters and next(TURNS) % 2:
        case.path_parameters["queue"] = "mail"
    case.call_and_validate(
        headers={"authorization": f"Bearer {KEY}"},
        checks=[
            not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
            nonsense_is_refused, unsupported_method,
        ],
    )  # fmt: skip


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
