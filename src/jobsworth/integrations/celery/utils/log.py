"""Celery's way to a logger. What a task logs is kept with its job."""

from __future__ import annotations

import logging


def get_task_logger(name: str) -> logging.Logger:
    """The logger of that name."""
    return logging.getLogger(name)


get_logger = get_task_logger
