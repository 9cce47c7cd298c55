"""The file jobsworth.js itself: how large it is, and that its types are true."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from house import House
from playwright.sync_api import expect
from stage import Visitor

import jobsworth.web
from servers import LOUD, required

STATIC = Path(jobsworth.web.__file__).parent / "static"
MODULE, TYPES = STATIC / "jobsworth.js", STATIC / "jobsworth.d.ts"
TYPESCRIPT = "typescript@7.0.2"
ROOT = Path(__file__).parents[2]


def test_it_has_at_most_three_kilobytes_on_the_wire() -> None:
    assert len(gzip.compress(MODULE.read_bytes(), 9)) <= 3 * 1024


def test_it_needs_nothing_and_makes_no_html_of_text() -> None:
    text = MODULE.read_text()
    forbidden = r"^\s*import\b(?!\.meta)|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\("
    assert not re.search(forbidden, text, re.MULTILINE)
    assert max(map(len, text.split("\n"))) <= 130  # source, not what a program made of it


def test_its_types_name_what_it_offers(house: House, visitor: Visitor) -> None:
    declared = re.findall(r"^export (?:function|const) (\w+)", TYPES.read_text(), re.MULTILINE)
    page = visitor.open(house.page())
    offered = page.evaluate("import('/background/static/jobsworth.js').then((module) => Object.keys(module))")
    assert sorted(offered) == sorted(declared)


def test_its_types_hold_for_a_program_that_uses_them() -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"{LOUD}npm is not on this machine, so the types of jobsworth.js are not checked")
    options = "--noEmit --strict --target es2022 --module esnext --moduleResolution bundler".split()
    command = [npm, "exec", "--yes", f"--package={TYPESCRIPT}", "--", "tsc", *options, "typed.ts"]
    here = Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    said = done.stdout + done.stderr
    if "npm error" in said and not required():
        pytest.skip(f"{LOUD}npm cannot fetch TypeScript, so the types of jobsworth.js are not checked")
    assert done.returncode == 0, said


def test_the_example_in_the_documents_works(house: House, visitor: Visitor) -> None:
    text = (ROOT / "docs" / "browser.md").read_text()
    chapter = text[text.index("## Watch a job") :]
    (page_body,) = re.findall(r"```html\n(.*?)```", chapter, re.DOTALL)
    (script,) = re.findall(r"```js\n(.*?)```", chapter, re.DOTALL)
    (house.folder / "pages" / "upload.js").write_text(script)
    job = house.enqueue()
    visitor.context.route("**/convert", lambda route: route.fulfill(json={"id": job.id, "token": job.token()}))
    page = visitor.open(house.page(page_body))
    page.get_by_role("button", name="Convert").click()
    expect(page.get_by_role("status")).to_have_text("running")
    expect(page.get_by_role("link")).to_be_hidden()
    house.tell(job, "end")
    expect(page.get_by_role("link")).to_be_visible()
