"""Background jobs for Python web apps, done by the book."""

from .again import retrying
from .app import Jobsworth
from .context import CurrentJob, current_job
from .errors import (
    Cancelled,
    EngineError,
    EngineUnavailable,
    GiveUp,
    Interrupted,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobsworthError,
    LeaseLost,
    QueueFull,
    RetryAfter,
    Snooze,
    StorageFull,
    TimedOut,
    ValueRefused,
    WaitTimeout,
)
from .handle import JobHandle
from .job import Job, NewJob, Progress, State
from .queue import Keep, Queue, QueueService
from .retry import Retry
from .task import Task

__all__ = [
    "Cancelled", "CurrentJob", "EngineError", "EngineUnavailable", "GiveUp", "Interrupted", "Job", "JobCancelled",
    "JobFailed", "JobHandle", "JobNotFound", "Jobsworth", "JobsworthError", "Keep", "LeaseLost", "NewJob", "Progress",
    "Queue", "QueueFull", "QueueService", "Retry", "RetryAfter", "Snooze", "State", "StorageFull", "Task", "TimedOut",
    "ValueRefused", "WaitTimeout", "current_job", "retrying",
]  # fmt: skip
