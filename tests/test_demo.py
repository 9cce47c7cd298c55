"""`make demo`, played for real: everything it promises happens, it says so, and it leaves nothing running behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("PIL", reason="the photo example needs Pillow: pip install 'jobsworth[photos]'")
from PIL import Image

from undertaker import dies_with_us
from waiting import until

DEMO = Path(__file__).parent.parent / "examples" / "photos" / "demo.py"
LIMIT = 55  # seconds; it takes about fifteen where nothing else is going on

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")


def surroundings(folder: Path, photos: str, **more: str) -> dict[str, str]:
    """The demo's environment, with `folder` as the place for temporary folders."""
    environment = {**os.environ, "TMPDIR": str(folder), "PHOTOS": photos, "PYTHONUNBUFFERED": "1"}
    for name in ("JOBSWORTH_URL", "JOBSWORTH_APP", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "BROWSER", "DISPLAY"):
        environment.pop(name, None)
    return {**environment, **more}


@contextmanager
def demo(folder: Path, photos: str = "", *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """The demo without a terminal; ended whatever happens."""
    process = subprocess.Popen(
        [sys.executable, str(DEMO), *arguments], env=surroundings(folder, photos, **more), text=True,
        encoding="utf-8", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    dies_with_us(process.pid)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()  # it takes its workers along
        process.communicate(timeout=30)


class OnTerminal:
    """The demo on a terminal of its own. `said` grows as it speaks, `opened` is the address that it gave a browser."""

    def __init__(self, folder: Path, photos: Path, *arguments: str) -> None:
        self._note, browser = folder / "opened", folder / "browser"
        part = f"{self._note}.part"
        browser.write_text(f"#!/bin/sh\nprintf '%s' \"$1\" >'{part}'\nmv '{part}' '{self._note}'\n")
        browser.chmod(0o755)
        self._terminal, side = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, str(DEMO), *arguments], stdin=side, stdout=side, stderr=side, start_new_session=True,
            env=surroundings(folder, str(photos), TERM="xterm", COLUMNS="120", LINES="40", BROWSER=str(browser)),
        )  # fmt: skip
        os.close(side)
        dies_with_us(self.process.pid)
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._terminal, 65536)
            except OSError:  # Linux: the other side has closed
                part = b""
            if not part:
                break
            self.said += part.decode(errors="replace")

    @property
    def opened(self) -> str:
        until(lambda: self._note.exists() or self.process.poll() is not None, LIMIT, "a browser is asked to open")
        assert self._note.exists(), self.said
        return self._note.read_text()

    def ends(self, within: float) -> int:
        code = self.process.wait(within)
        self._reader.join(10)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.ends(30)
        os.close(self._terminal)


@contextmanager
def on_terminal(folder: Path, photos: Path, *arguments: str) -> Iterator[OnTerminal]:
    demo = OnTerminal(folder, photos, *arguments)
    try:
        yield demo
    finally:
        demo.close()


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
    until(lambda: not left_behind(folder), what=f"nobody works in {folder} any more")


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


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with as many pictures as a story needs, soon done."""
    folder = tmp_path / "small"
    folder.mkdir()
    for number in range(8):
        Image.new("RGB", (200, 100), (number * 30, 90, 120)).save(folder / f"{number}.jpg")
    return folder


def test_on_a_terminal_its_page_shows_the_same_and_stays_for_ones_own_pictures(tmp_path: Path, small: Path) -> None:
    with on_terminal(tmp_path, small) as demo:
        address = demo.opened
        until(lambda: address in demo.said, what="it says what it has opened")
        with httpx.Client(follow_redirects=True, trust_env=False) as browser:
            base = str(browser.get(address).url)
            shown = browser.get(f"{base}pictures").json()["pictures"]
            assert {picture["name"] for picture in shown} == {*(f"{n}.jpg" for n in range(8)), "cut short.jpg"}
            assert httpx.get(f"{base}pictures", trust_env=False).status_code == 401, "others know no such address"

            def status(job: str) -> Any:
                return browser.get(f"{base}background/jobs/{job}/status").json()["job"]["status"]

            until(lambda: "Your turn:" in demo.said or demo.process.poll() is not None, LIMIT, demo.said)
            ends = [status(picture["job"]) for picture in shown]
            assert sorted(ends) == ["cancelled", *["completed"] * 7, "failed"]
            mine = browser.post(f"{base}pictures", params={"name": "mine.jpg"}, content=(small / "1.jpg").read_bytes())
            until(lambda: status(mine.json()["job"]) == "completed", 30)
            assert browser.get(f"{base}pictures/{mine.json()['job']}/large.webp").status_code == 200
            with browser.stream("GET", f"{base}background/events") as stream:  # somebody still looks on
                assert stream.status_code == 200
                demo.process.send_signal(signal.SIGINT)
                assert demo.ends(30) == 0, demo.said
    assert "Traceback" not in demo.said
    assert "exceeded" not in demo.said
    (folder,) = tmp_path.glob("jobsworth-photos-*")
    wait_until_nothing_is_left(folder)


def test_ctrl_c_in_the_middle_ends_it_with_a_page_and_without(tmp_path: Path, small: Path) -> None:
    places = [tmp_path / "shown", tmp_path / "plain"]
    for place in places:
        place.mkdir()
    with on_terminal(places[0], small) as shown, on_terminal(places[1], small, "--no-browser") as plain:
        address = shown.opened
        until(lambda: "running" in plain.said or plain.process.poll() is not None, LIMIT, plain.said)
        for demo in (shown, plain):
            demo.process.send_signal(signal.SIGINT)
        for demo in (shown, plain):
            assert demo.ends(30) == 130, demo.said
            assert "Traceback" not in demo.said
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)
    assert "http://" not in plain.said
    assert not (places[1] / "opened").exists()
    for place in places:
        (folder,) = place.glob("jobsworth-photos-*")
        wait_until_nothing_is_left(folder)


@pytest.mark.parametrize(("wanted", "why"), [("no/such", "there is no such folder"), (".", "no pictures in there")])
def test_a_folder_without_pictures_is_refused_before_anything_starts(tmp_path: Path, wanted: str, why: str) -> None:
    with demo(tmp_path, str(tmp_path / wanted)) as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert why in said
    assert list(tmp_path.iterdir()) == []
