"""What is done to one picture, and to all of them together. Pillow only: this file knows nothing of jobs.

Everything here may be done twice: a name says which picture and which size it is, nothing else, and a file appears
whole or not at all. That is what makes a job safe to run again after its worker died.
"""

from __future__ import annotations

import io
import math
import secrets
import struct
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

SIZES = {"thumb": 160, "medium": 640, "large": 1280}  # name -> longest side in pixels
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF")  # what we read; nothing that needs another program to decode
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif")
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF87a", b"GIF89a")
MAX_PIXELS = 80_000_000  # a small file can unfold into gigabytes; beyond this it is not even decoded

LONGEST_NAME = 150  # bytes; file systems take 255, and ours get longer while they are written

WHITE = (255, 255, 255)
# Tried in this order for captions; Pillow's own font knows little more than ASCII.
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial Unicode.ttf", "Arial.ttf")


class PictureError(ValueError):
    """This file will never become a picture, however often it is tried. The message is for people."""


def load(path: Path, *, largest: int = max(SIZES.values())) -> Image.Image:
    """Open a picture, upright, as RGB or RGBA, with its colour profile.

    A JPEG much larger than `largest` pixels is decoded at a fraction of its size. Raises PictureError for what is not
    a picture, is damaged or is too large; an OSError (a disk that fails, a right that is missing) passes through.
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise PictureError(f"{path.name} is too large: {width} x {height} pixels, the limit is {MAX_PIXELS:,}")
            picture.draft(None, (2 * largest, 2 * largest))
            picture.load()
            return _plain(ImageOps.exif_transpose(picture))
    except FileNotFoundError as exc:
        raise PictureError(f"{path.name} is not there") from exc
    except UnidentifiedImageError as exc:
        raise PictureError(f"{path.name} is not a picture we can read ({', '.join(FORMATS)})") from exc
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise PictureError(f"{path.name} is too large: {exc}") from exc
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as exc:
        if isinstance(exc, PictureError) or getattr(exc, "errno", None) is not None:
            raise
        # Pillow tells of broken content with any of these, without an errno.
        raise PictureError(f"{path.name} is damaged: {exc}") from exc


def begins_like_one(start: bytes) -> bool:
    """Whether a file whose first 16 bytes are these may be a picture. Only load() knows whether it is."""
    return start.startswith(STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def safe_name(given: str) -> str:
    """A file name that somebody sent, as one that stays in its folder and can be read: perhaps shorter, perhaps ""."""
    last = unicodedata.normalize("NFC", given).replace("\\", "/").rpartition("/")[2]
    readable = "".join(sign for sign in last if sign.isprintable())
    return readable.encode()[-LONGEST_NAME:].decode(errors="ignore").strip(" .")


def shrink(picture: Image.Image, longest: int) -> Image.Image:
    """The picture with its longest side at most `longest` pixels. Never enlarges."""
    scale = longest / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.LANCZOS)
    small.info = dict(picture.info)
    return small


def as_webp(picture: Image.Image) -> bytes:
    """The picture as WebP, transparency and colour profile kept. Camera data and places are left behind."""
    return _encoded(picture, "WEBP", quality=80, method=4)


def as_jpeg(picture: Image.Image) -> bytes:
    """The picture as progressive JPEG, on white where it was transparent, colour profile kept, camera data not."""
    return _encoded(_on_white(picture), "JPEG", quality=85, progressive=True, optimize=True)


def write(path: Path, content: bytes) -> Path:
    """Write a file that is there whole or not at all, replacing one of the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


ENCODERS = {"webp": as_webp, "jpg": as_jpeg}  # a file's suffix -> how its content is made


def output_path(folder: Path, name: str, size: str, form: str) -> Path:
    """Where a picture's output goes: `folder/large/coffee.webp`. The same question gets the same answer."""
    if form not in ENCODERS or size not in SIZES or not name or name != Path(name).name or name.startswith("."):
        raise PictureError(f"no output can be called {size}/{name}.{form}")
    return folder / size / f"{name}.{form}"


def contact_sheet(thumbs: Sequence[tuple[Path, str]], *, title: str = "") -> Image.Image:
    """All thumbnails on one sheet, each with its caption below."""
    if not thumbs:
        raise PictureError("there are no pictures to put on the sheet")
    cell, gap, line = SIZES["thumb"], 16, 24
    columns = _columns(len(thumbs))
    rows = math.ceil(len(thumbs) / columns)
    top = gap + (2 * line if title else 0)
    sheet = Image.new("RGB", (gap + columns * (cell + gap), top + rows * (cell + line + gap)), WHITE)
    draw = ImageDraw.Draw(sheet)
    if title:
        font, text = _type(title, 20)
        draw.text((gap, gap), text, fill="#222222", font=font)
    for index, (path, caption) in enumerate(thumbs):
        left, upper = gap + index % columns * (cell + gap), top + index // columns * (cell + line + gap)
        thumb = shrink(load(path), cell)
        sheet.paste(_on_white(thumb), (left + (cell - thumb.width) // 2, upper + (cell - thumb.height) // 2))
        font, text = _type(caption, 13)
        draw.text(
            (left + cell // 2, upper + cell + 6), _fitted(text, font, cell), fill="#444444", font=font, anchor="ma"
        )
    return sheet


def _plain(picture: Image.Image) -> Image.Image:
    """RGB or RGBA. A profile stays if it still describes the colours; otherwise the colours are turned into sRGB."""
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    if picture.mode == mode:
        return picture
    if picture.mode.startswith(("I", "F")):  # 16 bits and more per pixel: keep the upper eight
        picture = picture.convert("I").point([value >> 8 for value in range(65536)], "L")
    profile = picture.info.pop("icc_profile", None)
    if profile and picture.mode in {"L", "CMYK"}:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            turned = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except ImageCms.PyCMSError:
            turned = None  # a profile that cannot be used: the plain conversion is the best there is
        if turned is not None:
            turned.info.pop("icc_profile", None)
            return turned
    plain = picture.convert(mode)
    if profile and picture.mode in {"P", "PA", "RGB", "RGBX", "RGBa"}:
        plain.info["icc_profile"] = profile
    return plain


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    flat = Image.new("RGB", picture.size, WHITE)
    flat.paste(picture, mask=picture.getchannel("A"))
    flat.info = dict(picture.info)
    return flat


def _encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, icc_profile=picture.info.get("icc_profile"), exif=b"", **options)
    return buffer.getvalue()


def _columns(count: int) -> int:
    """Wider than high, with as few empty places in the last row as can be."""
    if count <= 4:
        return count
    about = max(4, round(math.sqrt(count * 1.5)))
    return min(range(about, about + 3), key=lambda columns: (-count % columns, columns))


def _type(text: str, size: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, str]:
    """A font and the text in letters that it has."""
    text = unicodedata.normalize("NFC", text)
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size), text
        except OSError:
            continue  # not on this machine
    bare = "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))
    return ImageFont.load_default(size), bare.encode("ascii", "replace").decode("ascii")


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
