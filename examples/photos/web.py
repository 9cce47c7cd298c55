"""The photo service's web page: drop pictures, watch them become small, cancel, download.

    python web.py                            # the page and a worker in one process: http://127.0.0.1:8000/
    uvicorn web:app                          # the page alone, beside as many `jobsworth worker app:jobs` as you like

An upload becomes a job of the visitor who sent it, its `owner`, and all else follows from that: the site mounted at
/background shows visitors their own jobs, this file gives them the files of their own jobs, and of others there is
nothing to be seen. Visitors are told apart by a signed cookie; your app has its sign-in for that. Uploads and what is
made of them stay in FOLDER: delete what is old, as it suits you.
"""

from __future__ import annotations

import contextlib
import mimetypes
import os
import secrets
import shutil
import signal
from itertools import product
from pathlib import Path

import anyio
import anyio.to_thread
import pictures
from app import Photo, images, jobs
from serving import SafeHeaders, Server
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jobsworth import EngineError, web

PAGE = Path(__file__).parent / "page"
FOLDER = Path(os.environ.get("PHOTOS_FOLDER", Path(__file__).parent / "out")).absolute()
SECRET = os.environ.get("PHOTOS_SECRET") or secrets.token_urlsafe(32)  # set it: the same everywhere and tomorrow
HOSTS = os.environ.get("PHOTOS_HOSTS", "localhost,127.0.0.1").split(",")  # the names it may be called by
LARGEST = 20_000_000  # bytes of one upload
MOST = 100  # pictures of one visitor
OUTPUTS = [f"{size}.{form}" for size, form in product(pictures.SIZES, pictures.ENCODERS)]
mimetypes.add_type("image/webp", ".webp")  # unknown to Python before 3.13


def who(request: web.Request) -> web.Visitor | None:
    """Who asks for jobs: the visitor whom the cookie names may see and cancel their own."""
    owner = request.raw["session"].get("owner")
    return web.Visitor(web.Level.USER, owner=owner) if owner else None


site = web.Site(jobs, authorize=who)


async def page(request: Request) -> Response:
    """The page itself. Whoever opens it is a visitor from then on."""
    request.session.setdefault("owner", f"visitor:{secrets.token_urlsafe(16)}")
    return FileResponse(PAGE / "index.html")


def owner_of(request: Request) -> str:
    """The visitor. Raises 401 for somebody who has not opened the page."""
    if owner := request.session.get("owner"):
        return str(owner)
    raise HTTPException(401, "open the page first")


async def listing(request: Request) -> Response:
    """The visitor's own pictures, newest first, and what may be uploaded."""
    found = await jobs.afind(queue=images.name, owner=owner_of(request), limit=MOST)
    shown = [{"job": job.id, "name": job.label} for job in found]
    return JSONResponse({"pictures": shown, "outputs": OUTPUTS, "largest": LARGEST})


async def upload(request: Request) -> Response:
    """Take one picture, which is the body as it is, and enqueue its job. 201 with the job's id."""
    owner = owner_of(request)
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "only our own page may send pictures")
    name = pictures.safe_name(request.query_params.get("name", ""))
    if not name.lower().endswith(pictures.SUFFIXES):
        raise HTTPException(415, f"not a kind of picture we can read ({' '.join(pictures.SUFFIXES)})")
    if len(await jobs.afind(queue=images.name, owner=owner, limit=MOST)) >= MOST:
        raise HTTPException(429, f"{MOST} pictures are enough for one visitor")
    source = FOLDER / secrets.token_hex(16) / name  # a folder of its own: nobody can guess it, nothing is replaced
    await anyio.Path(source.parent).mkdir(parents=True)
    try:
        await receive(request, source)
        job = await images.options(owner=owner, label=name).aenqueue(Photo(source, source.stem, source.parent))
    except BaseException:  # refused, broken off, the disk or the queue is full: nothing stays of it
        await anyio.to_thread.run_sync(shutil.rmtree, source.parent)
        raise
    return JSONResponse({"job": job.id, "name": name}, 201)


async def receive(request: Request, path: Path) -> None:
    """Write the body into a file, never more than LARGEST bytes. Raises 413, or 415 for what is no picture at all."""
    start, size = b"", 0
    async with await anyio.open_file(path, "xb") as file:
        async for part in request.stream():
            start, size = start + part[: 16 - len(start)], size + len(part)
            if size > LARGEST:
                raise HTTPException(413, f"larger than {LARGEST // 1_000_000} MB")
            await file.write(part)
    if not pictures.begins_like_one(start):
        raise HTTPException(415, "not a picture, whatever its name says")


async def download(request: Request) -> Response:
    """A file that a job of the visitor's own has made. The address only chooses among these; it names no file."""
    owner, job_id, output = owner_of(request), request.path_params["job"], request.path_params["output"]
    known = job_id.isalnum() and await jobs.afind(ids=[job_id], queue=images.name, owner=owner, state="completed")
    for path in map(Path, await jobs.handle(job_id).aresult(timeout=0) if known else ()):
        if output == f"{path.parent.name}{path.suffix}" and await anyio.Path(path).is_file():
            return FileResponse(path, filename=f"{path.stem} {path.parent.name}{path.suffix}")
    raise HTTPException(404, "there is no such picture")


async def busy(_request: Request, _exc: Exception) -> Response:
    """The queue is full, or the place where jobs live does not answer."""
    return PlainTextResponse("too much to do just now, please try again in a minute", 503)


async def broken_off(_request: Request, _exc: Exception) -> Response:
    """Whoever was sending has gone, and will not read this."""
    return PlainTextResponse("the picture did not arrive", 400)


app = Starlette(
    routes=[
        Route("/", page),
        Route("/pictures", listing),
        Route("/pictures", upload, methods=["POST"]),
        Route("/pictures/{job}/{output}", download),
        Mount("/page", StaticFiles(directory=PAGE)),
        Mount("/background", site.asgi),
    ],
    middleware=[
        Middleware(SafeHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS),
        Middleware(SessionMiddleware, secret_key=SECRET, session_cookie="photos"),  # with HTTPS: https_only=True
    ],
    exception_handlers={EngineError: busy, ClientDisconnect: broken_off},
)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both ways of stopping it are one
    with contextlib.suppress(KeyboardInterrupt), jobs.worker():
        Server(app, site, port=int(os.environ.get("PORT", "8000"))).run()
