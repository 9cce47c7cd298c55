"""The project as other processes find it: `jobsworth worker`, `manage.py runjobs`, the children of isolation="process".

Importing this sets Django up, which by that finds every task; `jobs` is then the project's Jobsworth. The settings are
those of DJANGO_SETTINGS_MODULE, else those that the manage.py in this folder names.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

import django
from django.apps import apps

from jobsworth.errors import AppNotFound

__all__ = ["jobs"]
_VARIABLE = "DJANGO_SETTINGS_MODULE"


def named_in(program: Path) -> str | None:
    """The settings that a manage.py names: os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site.settings")."""
    tree = ast.parse(program.read_text(encoding="utf-8")) if program.is_file() else ast.Module([], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = [each.value for each in node.args if isinstance(each, ast.Constant)]
            if len(words) == 2 and words[0] == _VARIABLE and isinstance(words[1], str):
                return words[1]
    return None


def set_up() -> None:
    """Set Django up, unless it is. Raises AppNotFound (E102)."""
    if not apps.ready:
        found = os.environ.get(_VARIABLE) or named_in(Path("manage.py"))
        if found is None:
            raise AppNotFound(
                "this is no Django project: no settings are named",
                hint=f"run it in the folder of manage.py, or set {_VARIABLE}",
            )
        os.environ[_VARIABLE] = found
        django.setup()
    if not apps.is_installed("jobsworth.integrations.django"):
        raise AppNotFound(
            f"the project of {os.environ.get(_VARIABLE)} does not use Jobsworth",
            hint='add "jobsworth.integrations.django" to INSTALLED_APPS',
        )


set_up()

from jobsworth.integrations.django import jobs  # noqa: E402 (there are no settings before)
