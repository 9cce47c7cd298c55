"""`make demo`, played for real: everything it promises happens, it says so, and it leaves nothing running behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="the photo example needs Pillow: pip install 'jobsworth[photos]'")
from PIL import Image

DEMO = Path(__file__).parent.parent / "examples" / "photos" / "demo.py"
LIMIT = 55  # seconds; it takes about fifteen where nothing else is going on

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")


@contextmanager
def demo(folder: Path, photos: str = "") -> Iterator[subprocess.Popen[str]]:
    """The demo without a terminal, with `folder` as the place for temporary folders; ended whatever happens."""
    environment = {**os.environ, "TMPDIR": str(folder), "PHOTOS": photos, "PYTHONUNBUFFERED": "1"}
    for name in ("JOBSWORTH_URL", "JOBSWORTH_APP", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, str(DEMO)], env=environment, text=True, encoding="utf-8", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()  # it takes its workers along
        process.communicate(timeout=30)


def wait_for_line(process: subprocess.Popen[str], words: str) -> str:
    """Everything said up to the line that holds `words`."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"{words!r} was never said in:\n{said}")


def left_behind(folder: Path) -> list[str]:
    """Processes that still work in `folder` (on Linux; elsewhere the demo's own checks have to do)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # ended meanwhile, or not ours
    return found


def wait_until_nothing_is_left(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while (left := left_behind(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def test_the_demo_does_all_it_promises_and_cleans_up(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        said, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, said
    assert "NO  " not in said
    assert said.count("\nok  ") == 7, said
    for words in ("cancel ", "kill -9 worker-", "worker lost -> attempt 2", "dead letter", "What happened"):
        assert words in said
    assert "cut short.jpg is damaged: image file is truncated" in said
    assert re.search(r"completed +2 +\d lost → \d ", said), said
    assert re.search(r"cancelled +1 +\d .*stopped halfway \([34] of 7 steps\)", said), said
    (folder,) = tmp_path.glob("jobsworth-photos-*")
    assert f"Pictures       {folder}/pictures\n" in said
    for size, longest in (("thumb", 160), ("medium", 640), ("large", 1280)):
        made = list((folder / "pictures" / size).iterdir())
        assert len(made) >= 20
        for path in made:
            with Image.open(path) as picture:
                assert max(picture.size) <= longest
    with Image.open(folder / "pictures" / "contact-sheet.jpg") as sheet:
        assert sheet.width > 4 * 160
    wait_until_nothing_is_left(folder)


def test_ctrl_c_takes_the_workers_along(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        wait_for_line(process, " running ")
        (folder,) = tmp_path.glob("jobsworth-photos-*")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert f"What was made so far is in {folder}" in said
    assert "Traceback" not in said
    wait_until_nothing_is_left(folder)


def test_being_ended_from_outside_takes_the_workers_along(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        wait_for_line(process, " running ")
        (folder,) = tmp_path.glob("jobsworth-photos-*")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "Traceback" not in said
    wait_until_nothing_is_left(folder)


@pytest.mark.parametrize(("wanted", "why"), [("no/such", "there is no such folder"), (".", "no pictures in there")])
def test_a_folder_without_pictures_is_refused_before_anything_starts(tmp_path: Path, wanted: str, why: str) -> None:
    with demo(tmp_path, str(tmp_path / wanted)) as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert why in said
    assert list(tmp_path.iterdir()) == []
