"""docs/django.md, followed by somebody with a new project."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="Django is not installed: pip install 'jobsworth[django]'")
import django_processes
from django import VERSION
from django.core.management import call_command

from jobsworth.integrations.django import checks, settings, tasks

PAGE = (Path(__file__).parent.parent.parent / "docs" / "django.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n# (\S+)\n(.*?)```", re.DOTALL)
MODELS = """
from django.db import models


class Order(models.Model):
    what = models.TextField()
    confirmed = models.BooleanField(default=False)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What `startproject` and `startapp` make, and what the page adds to it."""
    call_command("startproject", "mysite", str(tmp_path))
    (tmp_path / "shop").mkdir()
    call_command("startapp", "shop", str(tmp_path / "shop"))
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    added: dict[str, str] = defaultdict(str)
    for name, text in BLOCK.findall(PAGE):
        added[name] += text
    assert len(added) == 5
    added["mysite/settings.py"] += f"INSTALLED_APPS += {['shop', *(['django_tasks'] if VERSION < (6, 0) else [])]}\n"
    for name, text in added.items():
        kept = (tmp_path / name).read_text() if name.startswith("mysite/") else ""
        (tmp_path / name).write_text(f"{kept}\n{text}")
    return tmp_path


def test_the_page_makes_a_project_that_works(project: Path) -> None:
    for words, said in ((("makemigrations", "shop"), "Create model Order"), (("test",), "Ran 4 tests")):
        with django_processes.running(project, "manage.py", *words) as command:
            assert command.ends(within=60) == 0, command.said
        assert said in command.said, command.said
        assert "WARNINGS" not in command.said, command.said  # of the checks, which both commands make


def test_every_setting_and_every_check_is_on_the_page() -> None:
    for name in settings.NAMES:
        assert f'| `"{name}"` |' in PAGE, name
    ids: list[Any] = [value for module in (checks, tasks) for value in vars(module).values()]
    known = {each for each in ids if isinstance(each, str) and re.fullmatch(r"jobsworth\.[EW]\d{3}", each)}
    assert set(re.findall(r"^\| `(jobsworth\.\w+)` \|", PAGE, re.MULTILINE)) == known
    for option in tasks.OPTIONS:
        assert f"`{option}" in PAGE or f'"{option}"' in PAGE, option
