"""The photo example's page in a real Chromium: drop, watch, cancel, download; by mouse, by keyboard, for everybody."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from stage import Stage, Visitor
from test_showing import violations

pytest.importorskip("PIL", reason="the photo example needs Pillow: pip install 'jobsworth[photos]'")
from PIL import Image

from photo_page import PICTURES, Served, served

PACE = 0.5  # seconds the worker lingers after each of six steps: time enough to see it, and to cancel it
DROP = """async (files) => {
    const carried = new DataTransfer();
    const bytes = (it) => it > 0 ? new Uint8Array(it) : Uint8Array.from(atob(it), (sign) => sign.charCodeAt(0));
    for (const [name, content] of files) carried.items.add(new File([bytes(content)], name));
    for (const kind of ["dragenter", "dragover", "drop"]) {
        const event = new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true });
        document.getElementById("zone").dispatchEvent(event);
    }
}"""
LOOK = """() => {  // what each picture's bar has shown so far, again and again
    globalThis.seen = new Map();
    const look = () => {
        for (const shown of document.querySelectorAll("job-progress")) {
            const label = shown.getAttribute("label");
            const { value } = shown.shadowRoot.querySelector("progress");
            seen.set(label, (seen.get(label) ?? new Set()).add(value));
        }
        requestAnimationFrame(look);
    };
    look();
}"""
Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page and its worker."""
    with served(tmp_path_factory.mktemp("photos"), PACE) as page:
        yield page


@pytest.fixture
def visits(stage: Stage, photos: Served) -> Iterator[Opener]:
    """Open the page as somebody new. Options are those of a Playwright context. Nothing may go wrong unnoticed."""
    made: list[Visitor] = []

    def open_page(*expected: str, **options: Any) -> Page:
        made.append(Visitor(stage.browser, photos.url, accept_downloads=True, **options))
        made[-1].expects(*expected)
        return made[-1].open("/")

    yield open_page
    while made:
        made.pop().close()


def drop(page: Page, **contents: bytes) -> None:
    """Drop files onto the page; an underline in a name stands for the dot."""
    files = [[name.replace("_", "."), base64.b64encode(content).decode()] for name, content in contents.items()]
    page.evaluate(DROP, files)


def item(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has=page.locator(f"job-progress[label='{name}']"))


def content_of(name: str) -> bytes:
    return (PICTURES / name).read_bytes()


def test_drop_watch_cancel_and_download(visits: Opener, tmp_path: Path) -> None:
    page = visits()
    rocket = content_of("rocket.jpg")
    page.evaluate(LOOK)
    drop(page, rocket_jpg=rocket, cut_jpg=rocket[: len(rocket) // 2], coffee_jpg=content_of("coffee.jpg"))
    expect(page.locator("#said")).to_have_text("3 of 3 sent")
    expect(page.get_by_role("listitem")).to_have_count(3)

    cancelled = item(page, "coffee.jpg")
    cancelled.get_by_role("button", name="Cancel").click()
    expect(cancelled.get_by_role("status")).to_contain_text("cancelled")
    expect(cancelled.get_by_role("link")).to_have_count(0)

    done = item(page, "rocket.jpg")
    expect(done.get_by_role("status")).to_contain_text("completed")
    seen = page.evaluate("[...seen.get('rocket.jpg')]")
    assert len(seen) > 2, f"the bar moves: {seen}"
    assert seen == sorted(seen)
    expect(done.get_by_role("img", name="Thumbnail of rocket.jpg")).to_be_visible()
    assert done.get_by_role("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 160

    failed = item(page, "cut.jpg")
    expect(failed.get_by_role("status")).to_contain_text("cut.jpg is damaged: image file is truncated")

    with page.expect_download() as carried:
        done.get_by_role("link", name="large.jpg of rocket.jpg").click()
    assert carried.value.suggested_filename == "rocket large.jpg"
    with Image.open(io.BytesIO(Path(carried.value.path()).read_bytes())) as picture:
        assert max(picture.size) <= 1280
    expect(done.get_by_role("link")).to_have_count(6)


def test_who_comes_back_finds_their_own_pictures_and_nobody_elses(visits: Opener) -> None:
    page = visits()
    drop(page, mine_jpg=content_of("rocket.jpg"))
    expect(item(page, "mine.jpg").get_by_role("status")).to_contain_text("completed")
    page.reload()
    expect(item(page, "mine.jpg").get_by_role("link")).to_have_count(6)
    other = visits()
    expect(other.get_by_text("None yet.")).to_be_visible()
    expect(other.get_by_role("listitem")).to_have_count(0)


def test_by_keyboard_alone(visits: Opener, tmp_path: Path) -> None:
    (tmp_path / "keys.jpg").write_bytes(content_of("coffee.jpg"))
    page = visits()
    page.on("filechooser", lambda _: None)  # so that Chromium knows in good time that there will be no dialog
    expect(page.get_by_text("None yet.")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#choice")).to_be_focused()
    with page.expect_file_chooser() as asked:
        page.keyboard.press("Enter")
    asked.value.set_files(tmp_path / "keys.jpg")
    mine = item(page, "keys.jpg")
    expect(mine.get_by_role("button", name="Cancel · keys.jpg")).to_be_visible()
    page.keyboard.press("Tab")
    expect(mine.get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(mine.get_by_role("status")).to_contain_text("cancelled")


def test_what_is_no_picture_is_refused_in_words(visits: Opener) -> None:
    page = visits(r"status of 415", r"status of 413")
    drop(page, letter_txt=b"Dear reader", fake_png=b"<script>alert(1)</script>", good_jpg=content_of("rocket.jpg"))
    said = page.locator("#said")
    expect(said).to_contain_text("1 of 3 sent")
    expect(said).to_contain_text("letter.txt: not a kind of picture we can read")
    expect(said).to_contain_text("fake.png: not a picture, whatever its name says")
    page.evaluate(DROP, [["large.jpg", 20_000_001]])
    expect(said).to_contain_text("large.jpg: larger than 20 MB")


def test_a_name_is_text_and_nothing_else(visits: Opener) -> None:
    page = visits()
    bad = "<img src=x onerror=alert(1)>.jpg"
    page.evaluate(DROP, [[bad, base64.b64encode(content_of("rocket.jpg")).decode()]])
    expect(page.locator("job-progress").get_by_role("status")).to_have_text(f"completed · {bad}")
    expect(page.get_by_role("link", name=f"thumb.jpg of {bad}")).to_be_visible()


def test_everybody_can_use_it_on_a_narrow_screen_and_in_the_dark(visits: Opener) -> None:
    page = visits(color_scheme="light", viewport={"width": 320, "height": 800})
    rocket = content_of("rocket.jpg")
    long = "a-name-as-long-as-some-cameras-give_jpg"
    drop(page, **{"one_jpg": rocket, "cut_jpg": rocket[:9000], long: rocket})
    expect(page.get_by_role("link")).to_have_count(12)
    expect(item(page, "cut.jpg").get_by_role("status")).to_contain_text(re.compile("failed", re.IGNORECASE))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert violations(page) == []
