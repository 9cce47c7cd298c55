"""Finding a program's Jobsworth, where it is not the program itself that holds it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobsworth import Jobsworth
from jobsworth.errors import AppNotFound
from jobsworth.locate import locate

MADE = "jobs = Jobsworth('memory://')\njobs.task(name='{name}')(print)\n"
APP = "from jobsworth import Jobsworth\nclass App: pass\napp = App()\n"
HIDDEN = f"{APP}{MADE.format(name='one')}app.jobs = jobs\ndel jobs\n"
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module, whose name is given back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def new(text: str) -> str:
        names.append(f"located_{len(names)}")
        (tmp_path / f"{names[-1]}.py").write_text(text)
        return names[-1]

    yield new
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("spec", ["{0}", "{0}:app", "{0}.py", "{0}.py:app"])
def test_a_frameworks_app_stands_for_the_one_that_was_made_with_it(spec: str, write: Write) -> None:
    other = Jobsworth("memory://")
    other.task(name="other")(print)
    assert list(locate(spec.format(write(HIDDEN))).tasks) == ["one"]
    assert list(other.tasks) == ["other"]  # is still in use


def test_one_without_queues_is_nobodys(write: Write) -> None:
    name = write(f"{HIDDEN}app.empty = Jobsworth('memory://')\n")
    assert list(locate(f"{name}:app").tasks) == ["one"]


def test_a_name_that_is_not_there_is_no_app(write: Write) -> None:
    with pytest.raises(AppNotFound, match="'ap' is not there"):
        locate(f"{write(HIDDEN)}:ap")


def test_of_two_none_is_guessed(write: Write) -> None:
    name = write(f"{HIDDEN}{MADE.format(name='two')}app.more = jobs\ndel jobs\n")
    with pytest.raises(AppNotFound, match="'app' is a App, not a Jobsworth"):
        locate(f"{name}:app")
    with pytest.raises(AppNotFound, match="holds no Jobsworth"):
        locate(write(f"{HIDDEN}{MADE.format(name='two')}app.more = jobs\ndel jobs\n"))
