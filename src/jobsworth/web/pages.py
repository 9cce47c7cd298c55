"""What a browser loads: the dashboard's page, the files of the package, and the document of all addresses."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from .message import Request, Response, json_response
from .openapi import document
from .refusal import NoSuchPage

if TYPE_CHECKING:
    from .site import Site

STATIC = Path(__file__).parent / "static"
FRONT = "dashboard/index.html"
HTML = "text/html; charset=utf-8"
# What is not named here is not served.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": HTML,
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_PACKED = (".css", ".html", ".js", ".json", ".svg", ".ts", ".txt")


class File(NamedTuple):
    """A file as it is sent."""

    kind: str
    tag: str
    body: bytes
    packed: bytes | None  # with gzip, if that is worth it


async def front(_site: Site, request: Request) -> Response:
    """The dashboard."""
    if not request.path:  # mounted at /background and asked for just that: links are relative to /background/
        last = request.prefix.rstrip("/").rpartition("/")[2]
        return Response(308, {"location": f"{quote(last)}/"})
    return _sent(_there(FRONT), request)


async def static(_site: Site, request: Request) -> Response:
    """A file of the package."""
    response = _sent(_there(request.names["file"]), request)
    response.headers["cross-origin-resource-policy"] = "cross-origin"  # it is the same for everybody
    return response


async def openapi(site: Site, _request: Request) -> Response:
    """The document of all addresses."""
    return json_response(document(site.table))


def _sent(file: File, request: Request) -> Response:
    headers = {"content-type": file.kind, "etag": file.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(304, headers)
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(200, {**headers, "content-encoding": "gzip"}, file.packed)
    return Response(200, headers, file.body)


@functools.cache
def _names() -> frozenset[str]:
    """Every file that may be asked for, by name: a path that is not among them leads nowhere."""
    files = (path for path in STATIC.rglob("*") if path.is_file() and path.suffix in _TYPES)
    return frozenset(path.relative_to(STATIC).as_posix() for path in files)


def _there(name: str) -> File:
    if name in _names():
        with contextlib.suppress(OSError):  # it was taken away
            return _read(name, (STATIC / name).stat().st_mtime_ns)
    raise NoSuchPage("there is no such file")


@functools.lru_cache(maxsize=128)
def _read(name: str, _changed: int) -> File:
    body = (STATIC / name).read_bytes()
    suffix = Path(name).suffix
    packed = gzip.compress(body, 9, mtime=0) if suffix in _PACKED else None
    if packed is not None and len(packed) >= len(body):
        packed = None
    return File(_TYPES[suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"', body, packed)
