"""What test_web_openapi.py has schemathesis ask, as a test run of its own."""

from __future__ import annotations

import itertools
from typing import Any

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
from web_client import a_dead_letter, a_site, an_app

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
    query = case.query or {}
    if "since" in query and isinstance(query.get("wait", 0), int | float) and 0 <= query.get("wait", 0) <= 30:
        case.query["wait"] = 0  # half a minute of waiting shows nothing more
    case.call_and_validate(
        headers={"authorization": f"Bearer {KEY}"},
        checks=[
            not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
            nonsense_is_refused, unsupported_method,
        ],
    )  # fmt: skip
