"""Run Django's own tests of django.tasks against our backend: python3.12 scripts/django_tasks.py

It fetches Django 6.0 and its tests into .venv-django6, once. Where those tests name the backends "dummy" and
"immediate" they meet ours: as it is, and with a worker that has done each job before enqueue() returns. What is left
out, and why, is in django_tasks_settings.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
PLACE = HERE / ".venv-django6"
PYTHON = str(PLACE / "bin" / "python")
DJANGO = "6.0"
NEEDS = (f"django=={DJANGO}", "msgspec>=0.19", "cyclopts>=5.0", "rich>=13.9", "itsdangerous>=2.2", "setuptools")


def fetch() -> Path:
    """A private environment with Django, and the folder of Django's tests."""
    source = PLACE / f"django-{DJANGO}"
    if not source.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True)  # noqa: S603
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *NEEDS], check=True)  # noqa: S603
        how = ["--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(PLACE)]
        subprocess.run([PYTHON, "-m", "pip", "download", *how, f"django=={DJANGO}"], check=True)  # noqa: S603
        with tarfile.open(PLACE / f"django-{DJANGO}.tar.gz") as archive:
            archive.extractall(PLACE, filter="data")
    return source / "tests"


def main() -> int:
    """Fetch, then run the tests in a process of the private environment."""
    tests = fetch()
    path = os.pathsep.join([str(HERE / "src"), str(HERE / "scripts"), str(tests)])
    environment = {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "django_tasks_settings"}
    command = [PYTHON, "-m", "django", "test", "tasks", "-t", str(tests), *sys.argv[1:]]
    return subprocess.run(command, cwd=tests, env=environment, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
