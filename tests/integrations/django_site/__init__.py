"""A Django project for the tests: a shop whose orders send letters. See settings.py for what is set by a test."""
