"""FastAPI and Starlette: `Depends(get_jobs)` gives a view the Jobsworth that `lifespan=jobs.lifespan` opened."""

from __future__ import annotations

from jobsworth.app import Jobsworth
from jobsworth.errors import ConfigurationError, ExtraMissing
from jobsworth.lifespan import STATE

try:
    from starlette.requests import HTTPConnection
except ImportError as exc:
    raise ExtraMissing(
        f"jobsworth.integrations.fastapi needs FastAPI or Starlette, and neither is installed ({exc})",
        hint="pip install 'jobsworth[fastapi]', or 'jobsworth[starlette]'",
    ) from exc


async def get_jobs(connection: HTTPConnection) -> Jobsworth:
    """The Jobsworth of the app that answers this request or WebSocket. Raises ConfigurationError (E100).

    FastAPI: `Annotated[Jobsworth, Depends(get_jobs)]`. Starlette: `jobs = await get_jobs(request)`.
    """
    # A coroutine function, because FastAPI calls others in a thread.
    found = getattr(connection.app.state, STATE, None)
    if not isinstance(found, Jobsworth):
        raise ConfigurationError(
            f"no Jobsworth was opened with this {type(connection.app).__name__} app",
            hint=f"FastAPI(lifespan=jobs.lifespan); for an app mounted in another one: inner.state.{STATE} = jobs",
        )
    return found
