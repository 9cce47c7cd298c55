"""Flask: one extension that brings a Jobsworth to an app and the app to its handlers.

    jobsworth = JobsworthFlask(jobs, authorize=who)
    jobsworth.init_app(app)                     # now, or in an application factory

An app's config says where its jobs live, where the Site is mounted, and whether a worker runs in its process.
"""

from __future__ import annotations

import atexit
import functools
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jobsworth.app import Jobsworth
from jobsworth.cli import guest
from jobsworth.errors import AppImportFailed, AppNotFound, BadOption, ConfigurationError, ExtraMissing
from jobsworth.tokens import Tokens
from jobsworth.web import Level, Site, Visitor
from jobsworth.worker.spec import spec_of

try:
    import click
    from flask import Flask, Response, current_app, has_app_context, request
    from flask.cli import ScriptInfo, with_appcontext
except ImportError as exc:
    raise ExtraMissing(
        f"jobsworth.integrations.flask needs Flask, which is not installed ({exc})",
        hint="pip install 'jobsworth[flask]'",
    ) from exc

if TYPE_CHECKING:
    from flask.ctx import AppContext
    from werkzeug.wrappers import Response as AnyResponse

    from jobsworth.context import CurrentJob
    from jobsworth.web.access import Authorize
    from jobsworth.worker import Worker

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]  # the site itself says which it refuses
_APP = "app:"


class JobsworthFlask:
    """A Jobsworth in a Flask app.

    authorize: who asks for jobs over HTTP? It is called within the request, so `flask.session` and `current_user` are
               at hand. With it the Site is mounted; without it nothing is.
    site:      the other options of jobsworth.web.Site.

    The app's config may hold JOBSWORTH_URL and JOBSWORTH_SECRET, instead of what the Jobsworth was made with;
    JOBSWORTH_PATH, where the Site is ("/background"); and JOBSWORTH_WORKER: True for a worker in the process that
    serves, from its first request on, or its options, as in {"queues": "images:4", "grace": 5}.

    Handlers run within the app's context: of the app that was initialised last, if there are several.
    """

    def __init__(
        self,
        jobs: Jobsworth,
        app: Flask | None = None,
        *,
        authorize: Authorize | Visitor | Level | None = None,
        **site: Any,
    ) -> None:
        if authorize is None and site:
            raise BadOption(f"nobody heeds {', '.join(site)} here", hint="a Site is mounted where authorize= is given")
        given: object = jobs  # other extensions take the app first
        if not isinstance(given, Jobsworth):
            raise BadOption(f"JobsworthFlask takes a Jobsworth first, and then the app; not {given!r}")
        self.jobs = jobs
        self._authorize = authorize
        self._options = site
        self._app: Flask | None = None
        self._worker: Worker | None = None
        jobs.around.append(self._context)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Bring the Jobsworth to this app. Raises BadOption (E105)."""
        if "jobsworth" in app.extensions:
            raise BadOption(f"the app {app.name!r} has a Jobsworth already")
        url, secret, worker = (app.config.get(f"JOBSWORTH_{name}") for name in ("URL", "SECRET", "WORKER"))
        if not (worker is None or isinstance(worker, (bool, Mapping))):
            raise BadOption(
                f"JOBSWORTH_WORKER must be True, False or a dict of jobs.worker()'s options, not {worker!r}"
            )
        if url and url != self.jobs.url:
            self.jobs.use(url)
        if secret:
            self.jobs.tokens = Tokens(secret)
        app.extensions["jobsworth"] = self
        self._app = app
        context = click.get_current_context(silent=True)  # there is one while `flask ...` makes the app
        info = context.find_object(ScriptInfo) if context is not None else None
        spec = functools.partial(_spec_of, app, info)
        own = guest.command(spec)
        own.callback = with_appcontext(own.callback)  # type: ignore[type-var]
        app.cli.add_command(own)
        if self._authorize is not None:
            self._mount(app, Site(self.jobs, authorize=self._authorize, **self._options))
        if worker is True or isinstance(worker, Mapping):
            options = {} if worker is True else dict(worker)
            begin = functools.partial(self._begin, app, spec, options)
            app.wsgi_app = _First(app.wsgi_app, begin)  # type: ignore[method-assign]

    def close(self) -> None:
        """End the worker that a request has begun, if there is one, and let go of the engine."""
        worker, self._worker = self._worker, None
        if worker is not None:
            atexit.unregister(self.close)
            worker.__exit__(None, None, None)
        self.jobs.close()

    def _begin(self, app: Flask, spec: Callable[[], str], options: Mapping[str, Any]) -> None:
        # Nobody who saves a file wants to wait: under the reloader running jobs go back to their queue, at no cost.
        quickly = {"grace": 0.0} if app.debug else {}
        worker = self.jobs.worker(**{"spec": spec(), **quickly, **options})
        worker.__enter__()
        self._worker = worker
        atexit.register(self.close)

    def _context(self, _job: CurrentJob) -> AppContext:
        if self._app is None:
            raise ConfigurationError(
                "this handler belongs to a Flask app, and none has been made in this process",
                hint="flask --app NAME jobs worker; or name a module that makes the app: jobsworth worker wsgi:jobs",
            )
        return self._app.app_context()

    def _mount(self, app: Flask, site: Site) -> None:
        path = f"/{app.config.get('JOBSWORTH_PATH', '/background').strip('/')}"

        def answer(**_below: str) -> AnyResponse:
            environ = request.environ
            prefix, below = environ.get("SCRIPT_NAME", "") + path, environ["PATH_INFO"][len(path) :]
            return Response.from_app(site.wsgi, {**environ, "SCRIPT_NAME": prefix, "PATH_INFO": below})

        for rule in (f"{path}/", f"{path}/<path:below>"):
            app.add_url_rule(rule, "jobsworth", answer, methods=_METHODS, provide_automatic_options=False)


class _First:
    """A WSGI app before whose first request something is done, in each process: a parent may not outlive its fork."""

    def __init__(self, app: Callable[..., Iterable[bytes]], begin: Callable[[], None]) -> None:
        self._app = app
        self._begin = begin
        self._lock = threading.Lock()
        self._pid = 0

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._begin()
                    self._pid = os.getpid()
        return self._app(environ, start_response)


def _spec_of(app: Flask, info: ScriptInfo | None) -> str:
    """Where other processes find this app's Jobsworth, and make the app with it: see __getattr__."""
    known = spec_of(app) or (info.app_import_path if info is not None else None)
    return f"{__name__}:{_APP}{known or os.environ.get('FLASK_APP', '')}"


def _jobs_of(path: str) -> Jobsworth:
    """The Jobsworth of the current app, else of the one that Flask finds by this path."""
    try:
        app = current_app if has_app_context() else ScriptInfo(path or None).load_app()
    except click.UsageError as exc:
        raise AppNotFound(exc.format_message(), hint="name the app: flask --app shop jobs worker") from exc
    except Exception as exc:  # an AttributeError would seem to say that there is no such app
        raise AppImportFailed(f"could not make the Flask app {path!r}: {type(exc).__name__}: {exc}") from exc
    if "jobsworth" not in app.extensions:
        raise AppNotFound(f"the Flask app {app.name!r} has no Jobsworth", hint="JobsworthFlask(jobs).init_app(app)")
    found: Jobsworth = app.extensions["jobsworth"].jobs
    return found


if not TYPE_CHECKING:  # with it every misspelt import from here would look right to a type checker

    def __getattr__(name: str) -> Jobsworth:
        """`jobsworth worker jobsworth.integrations.flask:app:shop:create_app` makes the app, as flask --app does."""
        if not name.startswith(_APP):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return _jobs_of(name.removeprefix(_APP))
