"""Where Celery's programs look for what they need beside tasks."""
