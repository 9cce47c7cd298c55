"""The photo example's picture work: what a person sees must be right, and doing it twice must change nothing."""

from __future__ import annotations

import importlib.util
import io
import os
import zlib
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("PIL", reason="the photo example needs Pillow: pip install 'jobsworth[photos]'")
from PIL import Image, ImageCms

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
PICTURES = PHOTOS / "pictures"


def imported(path: Path) -> ModuleType:
    """A file of the example, under a name that cannot meet another test's."""
    spec = importlib.util.spec_from_file_location(f"photos_example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pictures = imported(PHOTOS / "pictures.py")

ALL = sorted(path for path in PICTURES.iterdir() if path.suffix in pictures.SUFFIXES)


def saved(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)
    return path


def reopened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_every_picture_in_the_folder_gets_every_size_in_both_formats(path: Path) -> None:
    picture = pictures.load(path)
    for longest in pictures.SIZES.values():
        small = pictures.shrink(picture, longest)
        for content, form in ((pictures.as_webp(small), "WEBP"), (pictures.as_jpeg(small), "JPEG")):
            again = reopened(content)
            assert (again.format, again.size) == (form, small.size)
            assert max(again.size) == min(longest, max(picture.size))


def test_the_folder_holds_what_the_example_promises() -> None:
    assert 8 <= len(ALL) <= 12
    assert sum(path.stat().st_size for path in ALL) < 2_500_000
    assert {path.suffix for path in ALL} == {".jpg", ".png", ".webp"}
    assert any(" " in path.name for path in ALL)
    assert any(not path.name.isascii() for path in ALL)
    opened = [reopened(path.read_bytes()) for path in ALL]
    assert any(picture.mode == "RGBA" for picture in opened)
    assert any(picture.getexif().get(0x0112, 1) != 1 for picture in opened)


def test_every_picture_says_where_it_comes_from() -> None:
    sources = (PICTURES / "SOURCES.md").read_text(encoding="utf-8")
    assert [path.name for path in ALL if f"`{path.name}`" not in sources] == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stored_on_its_side_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (40, 20), "white")
    upright.paste("red", (0, 0, 20, 10))  # upper left
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = pictures.load(saved(stored, tmp_path / "a.png", exif=exif))
    assert picture.size == (40, 20)
    assert picture.getpixel((5, 5)) == (255, 0, 0)
    assert picture.getpixel((35, 15)) == (255, 255, 255)
    again = reopened(pictures.as_webp(picture))
    assert again.getexif().get(0x0112, 1) == 1, "the tag must not turn it a second time"


def test_a_small_picture_is_never_enlarged() -> None:
    tiny = Image.new("RGB", (30, 7))
    assert all(pictures.shrink(tiny, longest).size == (30, 7) for longest in pictures.SIZES.values())


def test_a_picture_as_thin_as_a_thread_keeps_a_pixel() -> None:
    assert pictures.shrink(Image.new("RGB", (5000, 1)), 160).size == (160, 1)


def test_transparency_becomes_white_in_jpeg_and_stays_in_webp(tmp_path: Path) -> None:
    picture = pictures.load(saved(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), tmp_path / "a.png"))
    assert reopened(pictures.as_jpeg(picture)).getpixel((10, 10)) == (255, 255, 255)
    assert reopened(pictures.as_webp(picture)).getpixel((10, 10))[3] == 0


def test_a_palette_with_a_transparent_colour_stays_transparent(tmp_path: Path) -> None:
    paletted = Image.new("P", (20, 20), 0)
    paletted.putpalette([255, 0, 0, 0, 0, 255])
    paletted.paste(1, (0, 0, 10, 20))
    picture = pictures.load(saved(paletted, tmp_path / "a.png", transparency=0))
    assert picture.mode == "RGBA"
    assert picture.getpixel((15, 5))[3] == 0
    assert picture.getpixel((5, 5)) == (0, 0, 255, 255)


def test_the_colour_profile_survives_the_journey(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = pictures.load(saved(Image.new("RGB", (900, 20)), tmp_path / "a.jpg", icc_profile=profile))
    small = pictures.shrink(picture, 640)
    assert reopened(pictures.as_jpeg(small)).info["icc_profile"] == profile
    assert reopened(pictures.as_webp(small)).info["icc_profile"] == profile


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16"])
def test_other_kinds_of_pixels_become_plain_colours(tmp_path: Path, mode: str) -> None:
    path = saved(Image.new(mode, (20, 20)), tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"))
    assert reopened(pictures.as_jpeg(pictures.load(path))).size == (20, 20)


def test_sixteen_bits_of_grey_keep_their_brightness(tmp_path: Path) -> None:
    picture = pictures.load(saved(Image.new("I;16", (20, 20), 0x80FF), tmp_path / "a.png"))
    assert picture.getpixel((5, 5)) == (0x80, 0x80, 0x80)


def test_where_and_with_what_a_picture_was_taken_is_left_behind(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCam"
    exif.get_ifd(0x8825)[1] = "N"
    picture = pictures.load(saved(Image.new("RGB", (20, 20)), tmp_path / "a.jpg", exif=exif))
    for content in (pictures.as_jpeg(picture), pictures.as_webp(picture)):
        assert b"SecretCam" not in content
        assert not reopened(content).getexif()


def test_jpegs_are_progressive() -> None:
    assert reopened(pictures.as_jpeg(Image.new("RGB", (64, 64)))).info.get("progressive")


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
@pytest.mark.parametrize("name", ["rocket.jpg", "cameraman.png", "moose.webp"])
def test_a_picture_cut_short_is_called_damaged(tmp_path: Path, name: str, share: float) -> None:
    whole = (PICTURES / name).read_bytes()
    path = tmp_path / f"broken {name}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(pictures.PictureError, match=f"broken {name} is (damaged|not a picture)"):
        pictures.load(path)


def test_a_text_that_calls_itself_a_picture_is_refused_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear reader")
    with pytest.raises(pictures.PictureError, match=r"letter\.jpg is not a picture we can read"):
        pictures.load(path)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(pictures.PictureError, match=r"gone\.jpg is not there"):
        pictures.load(tmp_path / "gone.jpg")


def test_a_format_that_needs_another_program_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "script.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(pictures.PictureError, match="not a picture we can read"):
        pictures.load(path)


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path, side: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(pictures.PictureError, match=r"bomb\.png is too large"):
        pictures.load(path)


def test_a_disk_that_fails_is_not_blamed_on_the_picture(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory") as caught:
        pictures.load(tmp_path)
    assert not isinstance(caught.value, pictures.PictureError), "trying again later may help"


def test_writing_twice_leaves_one_file_and_no_scraps(tmp_path: Path) -> None:
    path = pictures.output_path(tmp_path, "coffee", "thumb", "jpg")
    pictures.write(path, b"first")
    pictures.write(path, b"second")
    assert path.read_bytes() == b"second"
    assert [file.name for file in path.parent.iterdir()] == ["coffee.jpg"]


def test_a_write_that_fails_leaves_the_old_file_and_no_scraps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pictures.write(tmp_path / "coffee.jpg", b"first")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        pictures.write(path, b"second")
    assert path.read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["coffee.jpg"]


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "/etc/passwd", ".hidden"])
def test_an_output_never_leaves_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(pictures.PictureError):
        pictures.output_path(tmp_path, name, "thumb", "jpg")


@pytest.mark.parametrize(("count", "size"), [(1, (192, 264)), (4, (720, 264)), (11, (720, 664))])
def test_the_contact_sheet_has_a_place_for_every_thumbnail(tmp_path: Path, count: int, size: tuple[int, int]) -> None:
    thumb = saved(Image.new("RGB", (160, 160), "red"), tmp_path / "thumb.png")
    sheet = pictures.contact_sheet(
        [(thumb, f"Löwenzahn {n}.jpg, a rather long name") for n in range(count)], title="All"
    )
    assert sheet.size == size
    colours = {colour: times for times, colour in sheet.getcolors(1 << 16)}
    assert colours[255, 0, 0] == count * 160 * 160


def test_captions_do_without_any_font_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "FONTS", ("no such font.ttf",))
    thumb = saved(Image.new("RGB", (20, 20), "red"), tmp_path / "thumb.png")
    assert pictures.contact_sheet([(thumb, "Löwenzahn 蒲公英.jpg")], title="Alles").size == (192, 264)
