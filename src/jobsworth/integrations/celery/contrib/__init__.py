"""What Celery has under `celery.contrib` and programs import from there."""
