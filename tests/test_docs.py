"""What the documents show is run, and what they list is compared with the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from jobsworth import Queue, Retry, errors
from jobsworth.errors import JobsworthError
from jobsworth.snapshot import job_part
from jobsworth.task import OptionsGiven
from jobsworth.web import refusal

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_readme_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBSWORTH_URL", raising=False)
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) == 5
    names: dict[str, object] = {"__name__": "readme"}
    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f"README.md, block {number}", "exec"), names)
    finally:
        names["jobs"].close()  # type: ignore[attr-defined]
    assert (tmp_path / "jobsworth.db").exists()


def test_every_error_code_is_documented_once() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    kinds = [
        kind
        for module in (errors, refusal)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, JobsworthError) and not kind.__subclasses__()
    ]
    assert len(kinds) > 20
    for kind in kinds:
        assert kind.code in page, kind
        assert f"`{kind.__name__}`" in page, kind
    assert len({kind.code for kind in kinds}) == len(set(kinds))


def test_every_option_is_documented() -> None:
    page = (ROOT / "docs" / "queues.md").read_text(encoding="utf-8")
    for option in (*Queue._OPTIONS, *OptionsGiven.__annotations__, *Retry.__slots__):
        assert re.search(rf"`{option}\b|\b{option}=", page), option


def test_the_snapshot_has_the_documented_keys() -> None:
    from jobsworth import Job, State

    page = (ROOT / "docs" / "queues.md").read_text(encoding="utf-8")
    shown = job_part(Job(id="a", queue="q", task="t", state=State.QUEUED, args=b"{}"))
    for key in shown:
        assert f'"{key}"' in page, key
