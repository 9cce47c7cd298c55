"""What docs/celery.md shows is run: what is Celery's with its import lines changed, as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from commandline import run_here
from jobsworth.cli.tree import COMMANDS
from jobsworth.integrations.celery.inspecting import HINTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "celery.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_guide_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sum("from celery import" in block for block in BLOCKS) == 1
    names: dict[str, object] = {"__name__": "guide"}
    try:
        for number, block in enumerate(BLOCKS):
            changed = block.replace("from celery", "from jobsworth.integrations.celery")
            exec(compile(changed, f"celery.md, block {number}", "exec", dont_inherit=True), names)
    finally:
        names["celery_app"].close()  # type: ignore[attr-defined]
    assert names["value"] == names["later"] | {"file_id": 7}  # type: ignore[operator]
    assert (names["status"], names["told"]) == ("SUCCESS", "told of 7")
    assert list(tmp_path.iterdir()) == []


def test_the_guides_program_is_one_that_only_its_imports_are_to_be_changed_of(tmp_path: Path) -> None:
    (program,) = [block for block in BLOCKS if "from celery import" in block]
    (tmp_path / "tasks.py").write_text(program)
    told = run_here(tmp_path, "celery-check", "tasks.py")
    lines = [line for line in told.out.splitlines() if not re.search(": change:|task_acks_late|worker_pool", line)]
    assert (told.code, lines) == (0, ["3 findings, 0 of them refused"])


def test_the_commands_that_the_guide_names_exist() -> None:
    shown = set(re.findall(r"jobsworth ([a-z-]+)", PAGE + " ".join(HINTS.values()))) - {"import"}
    assert shown <= {name.partition(" ")[0] for name, _, _ in COMMANDS}
