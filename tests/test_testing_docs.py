"""What docs/testing.md shows is run: each block is a part of the file that its first line names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"
BLOCK = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)
INI = "[pytest]\naddopts = -p jobsworth_pytest -p no:cacheprovider\nfilterwarnings = error\n"


def written(folder: Path) -> int:
    """Write the page's files; how many tests they have."""
    files: dict[str, list[str]] = defaultdict(list)
    text = PAGE.read_text(encoding="utf-8")
    found = BLOCK.findall(text)
    assert len(found) == text.count("```python"), "each block says which file it is a part of"
    for name, block in found:
        files[name].append(block)
    for name, parts in files.items():
        (folder / name).write_text("\n\n".join(parts), encoding="utf-8")
    (folder / "pytest.ini").write_text(INI)
    return sum(
        len(re.findall(r"^ *(?:async )?def test_", part, re.MULTILINE)) for parts in files.values() for part in parts
    )


@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["alone", "xdist"])
def test_the_guide_runs(tmp_path: Path, options: tuple[str, ...]) -> None:
    tests = written(tmp_path)
    assert tests > 15
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "JOBSWORTH_"))}
    command = [sys.executable, "-m", "pytest", "-q", *options]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert f"{tests} passed" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "jobsworth.db").exists(), "the app's own store was used"


def test_the_guide_shows_the_message_that_there_is() -> None:
    from jobsworth import Jobsworth
    from jobsworth.testing import fake

    jobs = Jobsworth("memory://")

    @jobs.task(name="send")
    def send(to: str, text: str = "welcome") -> None: ...

    with fake(jobs) as kit:
        send.enqueue("ada")
        send.enqueue("ada", "still there?")
        with pytest.raises(AssertionError) as caught:
            kit.assert_enqueued(send, "ada", "goodbye")
    assert f"AssertionError: {caught.value}\n" in PAGE.read_text(encoding="utf-8")
