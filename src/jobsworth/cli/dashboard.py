"""`jobsworth dashboard`: the site for operators, by itself."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter

from jobsworth.web.access import Level, is_loopback
from jobsworth.web.server import AUTH, HOST, PORT, address_of, listen, serve, who_may
from jobsworth.web.site import Site

from .logs import LogFormat, configure
from .options import HERE, Place, looking, name_of, spec_of
from .terminal import say

Flag = Annotated[bool, Parameter(negative="")]


def dashboard(
    spec: Annotated[str | None, Parameter(name="spec")] = None,
    /,
    *,
    host: str = HOST,
    port: int = PORT,
    auth: str | None = None,
    no_auth_on_loopback: Flag = False,
    read_only: Flag = False,
    log_format: LogFormat | None = None,
    place: Place = HERE,
) -> int:
    """Serve the dashboard and the HTTP interface until Ctrl-C.

    For example:
      jobsworth dashboard
      jobsworth dashboard app:jobs --port 9000
      JOBSWORTH_DASHBOARD_AUTH=ada:long-secret jobsworth dashboard --host 0.0.0.0

    It listens for this machine alone. Beyond that it asks for a user and a password, and does not start without them.
    To have it in your app, behind your own sign-in: jobsworth.web.Site.

    Parameters
    ----------
    spec
        The app, as module:name or file.py; the same as --app. Without one there are no tasks to enqueue.
    host
        The address to listen on.
    port
        The port; 0 for any that is free.
    auth
        user:password that a browser must give. Better in $JOBSWORTH_DASHBOARD_AUTH, where `ps` does not show it.
    no_auth_on_loopback
        Whoever sits at this machine need not give it.
    read_only
        Look, and change nothing.
    log_format
        text or json lines, on stderr.
    """
    level = Level.READ if read_only else Level.ADMIN
    authorize = who_may(host, auth or os.environ.get(AUTH), level=level, local_without=no_auth_on_loopback)
    configure(log_format, verbose=False, quiet=False)
    named = spec_of(place, spec)
    with looking(Place(app=named, url=place.url), makes=named is not None) as store, listen(host, port) as sock:
        say(f"dashboard  {address_of(sock)} · {name_of(store.engine)} · Ctrl-C to stop")
        if not is_loopback(host):
            say("warning: passwords and jobs travel unencrypted; put something that speaks TLS in front")
        serve(Site(store, authorize=authorize), sock)
    return 0
