"""SPRAG: `from jobsworth.integrations.sprag import QueueService` takes the place of `sprag.QueueService`."""

from jobsworth.errors import ExtraMissing

try:
    import sprag  # noqa: F401
except ImportError as exc:
    raise ExtraMissing(
        f"jobsworth.integrations.sprag needs SPRAG, which is not installed ({exc})",
        hint="pip install 'jobsworth[sprag]'",
    ) from exc

from .service import QueueService

__all__ = ["QueueService"]
