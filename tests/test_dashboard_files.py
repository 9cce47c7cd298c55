"""The dashboard's files: small, whole, and what they say they are."""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib import resources
from pathlib import Path

from jobsworth.web.pages import _TYPES
from web_client import Client, a_site

FOLDER = Path(str(resources.files("jobsworth"))) / "web" / "static" / "dashboard"
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
VENDORED = FOLDER / "vendor" / "VENDORED"
LOADED = [path for path in FILES if path.suffix in (".js", ".css", ".html", ".svg")]
OURS = [path for path in LOADED if "vendor" not in path.parts]
SCRIPTS = [path for path in OURS if path.suffix == ".js"]


def test_all_that_a_browser_loads_has_at_most_sixty_kilobytes() -> None:
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in LOADED) <= 60 * 1024


def test_our_files_can_be_read() -> None:
    for path in OURS:
        lines = path.read_text().split("\n")
        assert len(lines) < 300, path.name
    for path in SCRIPTS:
        assert path.read_text().startswith("// "), f"{path.name} does not say what it is"


def test_nothing_makes_html_or_a_program_of_text_and_nothing_comes_from_elsewhere() -> None:
    made = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(.on|DOMParser"
    for path in OURS:
        text = path.read_text()
        assert not re.search(made, text), path.name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path.name
        assert not re.search(r"\sstyle=", text), f"{path.name}: the policy allows no style attributes"


def test_every_import_leads_to_a_file() -> None:
    for path in (each for each in LOADED if each.suffix == ".js"):
        for name in re.findall(r"""(?:from|import)\s*["']([^"']+)["']""", path.read_text()):
            assert name.startswith("."), f"{path.name} imports {name}, which no browser can find"
            assert (path.parent / name).resolve() in FILES, f"{path.name} imports {name}"


def test_every_file_is_asked_for() -> None:
    asked = {FOLDER / "index.html"}
    for path in LOADED:
        names = re.findall(r"""(?:from|import)\s*["']([^"']+)["']""", path.read_text())
        names += re.findall(r"""(?:href|src)="static/dashboard/([^"]+)""", path.read_text())
        asked |= {(path.parent / name).resolve() for name in names}
    assert set(LOADED) == asked


def test_the_libraries_are_the_ones_that_vendored_names() -> None:
    named = r"^([\w.-]+\.js)\b.*\n(?:.*\n)*?  sha256 here: ([0-9a-f]{64})$"
    said = dict(re.findall(named, VENDORED.read_text(), re.MULTILINE))
    kept = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (FOLDER / "vendor").glob("*.js")}
    assert said == kept
    assert len(list((FOLDER / "vendor").glob("LICENSE-*"))) == 2


def test_each_is_served_under_its_name_and_the_papers_are_not() -> None:
    client = Client(a_site())
    for path in FILES:
        answer = client.get(f"/static/dashboard/{path.relative_to(FOLDER).as_posix()}")
        assert answer.status_code == (200 if path.suffix in _TYPES else 404), path.name
    page = client.get("/").text
    assert "static/dashboard/main.js" in page
