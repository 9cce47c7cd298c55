"""The OpenAPI 3.1 document of a route table. All in it is read off the routes, so it cannot say anything else."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from jobsworth.version import VERSION

from .access import SAFE, Level
from .message import JSON

if TYPE_CHECKING:
    from .table import Route, Table

_REF = "#/components/schemas/{name}"


class Refused(msgspec.Struct, frozen=True):
    """Why something was not done. `code` is stable and explained in docs/errors.md."""

    error: str
    code: str
    hint: str | None = None


class Broken(msgspec.Struct, frozen=True):
    """A mistake of ours. `id` is where it stands in the log."""

    error: str
    id: str


_REFUSALS = {
    400: "The query or the body makes no sense.",
    401: "Nobody knows who asks.",
    403: "Not allowed at this level, or asked by another site's page.",
    404: "Not there, or not theirs.",
    409: "The job is not in a state for that, or the count has changed.",
    413: "The body or the arguments are too large.",
    415: "The body is not JSON.",
    426: "This is a WebSocket, and was asked for as a page.",
    429: "Too many streams at once: try again later, or ask now and then instead.",
    501: "This host, or this installation, cannot do that.",
    503: "The place where jobs live does not answer, or is full.",
}
_SWITCHED = {"description": "From here on it is a WebSocket."}
_ABOUT_LEVELS = {
    Level.NONE: "For everybody.",
    Level.USER: "For whoever a token or the app's `authorize` says may see this job.",
    Level.READ: "For the level read.",
    Level.OPERATE: "For the level operate.",
    Level.ADMIN: "For the level admin.",
}


@functools.lru_cache(maxsize=4)
def document(table: Table) -> dict[str, Any]:
    """The document."""
    kinds = [route.answer for route in table.routes if route.kind == JSON] + [Refused, Broken]
    kinds += [route.data for route in table.routes if route.data is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    known = {repr(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for route in table.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobsworth", "version": VERSION,
            "description": "Background jobs: for the app's own users, for monitors and for operators.",
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A job's token: job.token()."},
                "app": {"type": "http", "scheme": "bearer",
                        "description": "Whatever the app's `authorize` goes by: a session, a password, a header."},
            },
        },
    }  # fmt: skip


def _operation(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}",
        "summary": route.about,
        "description": " ".join([_ABOUT_LEVELS[route.level], *_raised(route)]),
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "parameters": [*_named(route), *_queried(route)],
        "responses": _responses(route, known),
    }
    if route.data is not None:
        required = any(field.required for field in msgspec.structs.fields(route.data))
        operation["requestBody"] = {"required": required, "content": {JSON: {"schema": known[repr(route.data)]}}}
    if route.level is not Level.NONE:
        operation["security"] = [{"token": []}, {"app": []}] if route.level is Level.USER else [{"app": []}]
    return operation


def _raised(route: Route) -> list[str]:
    return [f"The action {action} needs {level.name.lower()}." for action, level in route.raised.items()]


def _named(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in route.names
    ]


def _queried(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    found = []
    for field in msgspec.structs.fields(route.query):
        (schema,), _ = msgspec.json.schema_components([field.type], ref_template=_REF)
        found.append(
            {"name": field.encode_name, "in": "query", "required": field.required, "schema": _sendable(schema)}
        )
    return found


def _sendable(schema: dict[str, Any]) -> dict[str, Any]:
    """Without null, which no query can say: what is not known is left out."""
    options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return options[0] if len(options) == 1 else schema


def _responses(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": route.about}
    if route.kind == JSON:
        good["content"] = {JSON: {"schema": known[repr(route.answer)]}}
    else:
        good["content"] = {route.kind: {"schema": {"type": "string"}}}
    refused = {"content": {JSON: {"schema": known[repr(Refused)]}}}
    statuses = {400, 404, 503} if route.level is Level.NONE else {400, 401, 403, 404, 503}
    statuses |= {409, 413, 415} if route.method not in SAFE else set()
    statuses |= set(route.refuses)
    responses = {str(status): _SWITCHED if status == 101 else good for status in route.gives}
    responses |= {str(status): {"description": _REFUSALS[status], **refused} for status in sorted(statuses)
                  if status not in route.gives}  # fmt: skip
    responses["500"] = {"description": "A mistake of ours.", "content": {JSON: {"schema": known[repr(Broken)]}}}
    return responses
