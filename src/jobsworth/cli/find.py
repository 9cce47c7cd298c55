"""From what a person typed to what is stored: ids by their beginning, queues that exist."""

from __future__ import annotations

from collections.abc import Sequence

from jobsworth.app import Jobsworth
from jobsworth.errors import BadOption, JobNotFound, UnknownQueue
from jobsworth.job import Job
from jobsworth.log import clean
from jobsworth.suggest import did_you_mean

from .options import Filters

_SHOWN = 5  # candidates named when a beginning fits several ids
_LOOKED_AT = 200


def find_job(store: Jobsworth, typed: str) -> Job:
    """The job of that id, or of the only id that begins so. Raises JobNotFound (E301) or BadOption."""
    exact = store.find(ids=[typed])
    if exact:
        return exact[0]
    found = [job for job in store.find(text=typed, limit=_LOOKED_AT) if job.id.startswith(typed)] if typed else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise JobNotFound(
            f"there is no job {clean(typed, 128)}",
            hint="`jobsworth list` shows the newest; finished jobs are removed after their queue's `keep`",
        )
    names = "".join(f"\n  {job.id}  {clean(job.task, 128)}, {job.state.value}" for job in found[:_SHOWN])
    more = f"\n  and {len(found) - _SHOWN}{'+' if len(found) == _LOOKED_AT else ''} more" if len(found) > _SHOWN else ""
    raise BadOption(f"{typed} begins several ids{names}{more}", hint="type a few more characters")


def find_jobs(store: Jobsworth, typed: Sequence[str]) -> list[Job]:
    """The same for several, each once."""
    return list({job.id: job for job in (find_job(store, each) for each in typed)}.values())


def queue_names(store: Jobsworth) -> set[str]:
    """Queues that the store or the app knows."""
    return {status.queue for status in store.queue_statuses()} | set(store.queues)


def known_queue(store: Jobsworth, name: str) -> str:
    """The name, if such a queue exists. A mistyped one must not be "paused" silently. Raises UnknownQueue (E107)."""
    names = queue_names(store)
    if name not in names:
        raise UnknownQueue(f"there is no queue {clean(name, 128)!r}", hint=did_you_mean(name, names))
    return name


def why_nothing(store: Jobsworth, filters: Filters) -> str:
    """Why a search may have found nothing: nothing at all, nothing that matches, or a name mistyped."""
    if filters.queue and filters.queue not in (names := queue_names(store)):
        return f"there is no queue {clean(filters.queue, 128)!r}: {did_you_mean(filters.queue, names)}"
    if filters.task and store.tasks and filters.task not in store.tasks:
        return f"the app has no task {clean(filters.task, 128)!r}: {did_you_mean(filters.task, store.tasks)}"
    if filters.given:
        return f"no job matches{clean(filters)}"
    return "no jobs yet; `jobsworth enqueue TASK` or your program makes some"
