"""The Django example as tests use it: its database made, its servers and its worker as processes of their own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from private_server import free_port
from programs import Program, running

EXAMPLE = Path(__file__).parent.parent / "examples" / "django"
PASSWORD = "a long password"
BEGIN = f"""
from django.contrib.auth.models import User
from django.core.management import call_command

call_command("migrate", verbosity=0)
User.objects.create_superuser("root", password={PASSWORD!r})
User.objects.create_user("ada", password={PASSWORD!r})
User.objects.create_user("bob", password={PASSWORD!r})
"""
# The project's own settings, but for what makes passwords slow on purpose.
SETTINGS = """
from project.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""


class Place:
    """The project with a database of its own, in which there are people."""

    def __init__(self, folder: Path, pace: float = 0.0) -> None:
        (folder / "quick_settings.py").write_text(SETTINGS)
        self.environment = {
            **os.environ, "DATABASE_FILE": str(folder / "project.db"), "REPORTS_PACE": str(pace),
            "DJANGO_SETTINGS_MODULE": "quick_settings",
            "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)]),
        }  # fmt: skip
        with self.running("manage.py", "shell", "-c", BEGIN) as command:
            assert command.ends() == 0, command.said

    @contextmanager
    def running(self, *words: str, **environment: str) -> Iterator[Program]:
        with running([sys.executable, *words], EXAMPLE, {**self.environment, **environment}) as program:
            yield program

    @contextmanager
    def served(self, host: str, worker: str) -> Iterator[tuple[Program, str]]:
        """The server and its address. host: "wsgi" for runserver, "asgi" for uvicorn; worker: "inside" or "outside"."""
        port = free_port()
        server = {
            "wsgi": ("manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"),
            "asgi": ("-m", "uvicorn", "project.asgi:application", f"--port={port}", "--log-level=warning"),
        }[host]
        with self.running(*server, WORKER=worker) as program:
            program.answers(f"http://127.0.0.1:{port}/accounts/login/")
            yield program, f"http://127.0.0.1:{port}"


class Person(httpx.Client):
    """Somebody with a browser of their own who has signed in."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(base_url=url, follow_redirects=True, timeout=30, headers={"Origin": url})
        answer = self.send_form("/accounts/login/", username=name, password=PASSWORD)
        assert answer.url.path == "/", answer.text

    def send_form(self, path: str, **fields: str) -> httpx.Response:
        page = self.get(path)
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert found is not None, page.text
        return self.post(path, data={"csrfmiddlewaretoken": found[1], **fields})
