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
INI = "[pytest]\naddopts = -p jobsworth_pytest -p no:cacheprovider\nfilterwarnings =\n    error\n"
WARNED = "    ignore:result_backend=.* has no effect\n"  # of the program in celery_upload, at its import
UPLOAD = Path(__file__).parent / "celery_upload"


def written(folder: Path) -> int:
    """Write the page's files, and beside them a Celery program with its tests; how many tests there are."""
    files: dict[str, list[str]] = defaultdict(list)
    text = PAGE.read_text(encoding="utf-8")
    found = BLOCK.findall(text)
    assert len(found) == text.count("```python"), "each block says which file it is a part of"
    for name, block in found:
        files[name].append(block)
    for each in UPLOAD.glob("*.py"):
        assert each.name not in files
        files[each.name].append(each.read_text(encoding="utf-8"))
    for name, parts in files.items():
        (folder / name).write_text("\n\n".join(parts), encoding="utf-8")
    return sum(
        len(re.findall(r"^ *(?:async )?def test_", part, re.MULTILINE)) for parts in files.values() for part in parts
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("plugins", "coroutines", "server"),
    [
        (("pytest_asyncio.plugin",), "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n", False),
        (("anyio", "xdist"), "anyio_mode = auto\n", True),
    ],
    ids=["alone with pytest-asyncio", "xdist, anyio and PostgreSQL"],
)
def test_the_guide_runs(
    request: pytest.FixtureRequest, tmp_path: Path, plugins: tuple[str, ...], coroutines: str, server: bool
) -> None:
    tests = written(tmp_path)
    assert tests > 25
    (tmp_path / "pytest.ini").write_text(f"{INI}{WARNED}{coroutines}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "JOBSWORTH_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = (
        "1"  # what else is installed here takes longer to load than the tests
    )
    options = [f"-p{plugin}" for plugin in plugins] + (["-n2"] if "xdist" in plugins else [])
    if server:
        environment["TEST_DATABASE_URL"] = request.getfixturevalue("postgres").new_database()
    command = [sys.executable, "-m", "pytest", "-q", *options]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=220)
    said = f"{tests} passed" if server else f"{tests - 1} passed, 1 skipped"
    assert said in done.stdout, done.stdout + done.stderr
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
