"""Litestar: one plugin that opens a Jobsworth with the app, gives it to handlers, mounts its Site and runs a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from jobsworth.app import Jobsworth
from jobsworth.cli import guest
from jobsworth.errors import BadOption, ExtraMissing
from jobsworth.web import Level, Site, Visitor
from jobsworth.worker.spec import spec_of

try:
    from litestar.di import Provide
    from litestar.handlers import asgi
    from litestar.plugins import CLIPlugin, InitPlugin
    from litestar.types import Receive, Scope, Send
except ImportError as exc:
    raise ExtraMissing(
        f"jobsworth.integrations.litestar needs Litestar 2.15 or newer, which is not installed ({exc})",
        hint="pip install 'jobsworth[litestar]'",
    ) from exc

if TYPE_CHECKING:
    import click
    from litestar.config.app import AppConfig

    from jobsworth.web.access import Authorize
    from jobsworth.worker import Worker


class JobsworthPlugin(InitPlugin, CLIPlugin):
    """`Litestar(plugins=[JobsworthPlugin(jobs, authorize=who)])`; handlers take `jobs: NamedDependency[Jobsworth]`.

    authorize: who asks for jobs over HTTP? With it the Site is mounted at `path`; without it nothing is.
    worker:    True for a worker in the app's own loop, or one that was made with `jobs.worker(...)`.
    name:      of the dependency.
    site:      the other options of jobsworth.web.Site (origins, streams...).
    """

    def __init__(
        self,
        jobs: Jobsworth,
        *,
        authorize: Authorize | Visitor | Level | None = None,
        path: str = "/background",
        worker: bool | Worker = False,
        name: str = "jobs",
        **site: Any,
    ) -> None:
        if authorize is None and site:
            raise BadOption(f"nobody heeds {', '.join(site)} here", hint="a Site is mounted where authorize= is given")
        self._jobs = jobs
        self._path = f"/{path.strip('/')}"
        self._lifespan = jobs.lifespan(worker=worker)
        self._name = name
        self._site = None if authorize is None else Site(jobs, authorize=authorize, **site)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Called by Litestar while the app is made."""
        jobs = self._jobs

        def provide() -> Jobsworth:
            return jobs

        app_config.lifespan.append(self._lifespan)
        app_config.dependencies = {self._name: Provide(provide, sync_to_thread=False), **app_config.dependencies}
        app_config.signature_types = [Jobsworth, *app_config.signature_types]
        if self._site is not None:
            # The site looks itself whose page asks; it knows nothing of Litestar's tokens against forged requests.
            mount = asgi(self._path, is_mount=True, copy_scope=True, opt={"exclude_from_csrf": True})
            app_config.route_handlers = [mount(self._mounted(self._site)), *app_config.route_handlers]
        return app_config

    def on_cli_init(self, cli: click.Group) -> None:
        """Called by Litestar's command line: `litestar jobs worker`, and so on."""
        cli.add_command(guest.command(lambda: spec_of(self._jobs)))

    def _mounted(self, site: Site) -> Any:
        prefix = self._path

        async def jobsworth_site(scope: Scope, receive: Receive, send: Send) -> None:
            # Litestar takes the prefix off and adds a slash; by the standard the path is whole, beside its root.
            root, sent = f"{scope.get('root_path', '')}{prefix}", unquote(scope.get("raw_path", b"").decode())
            path = sent if sent.startswith(root) else f"{root}{scope['path']}"
            await site.asgi({**scope, "path": path, "root_path": root}, receive, send)  # type: ignore[arg-type]

        return jobsworth_site
