"""Celery apps under test: app.py says where their jobs live meanwhile, worker.py runs them."""
