"""What is done to a picture. This file knows nothing of jobs, and everything in it may be done twice."""

import base64
import io
import os
import secrets
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

# Outside the project: `sprag dev` builds it anew when a picture in it changes.
FOLDER = Path(os.environ.get("PICTURES_FOLDER") or Path(tempfile.gettempdir()) / "smaller-pictures").resolve()
PACE = float(os.environ.get("PICTURES_PACE", "1"))  # seconds that a step takes at least, so that there is much to see
LARGEST = 20_000_000  # bytes of a file that is sent
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


class NotAPicture(ValueError):
    """The file is no picture that we can read; the message is for whoever sent it."""


def keep(content):
    """Put what was sent into a file of its own; returns its path. What people call their files is not used."""
    if len(content) > LARGEST:
        raise NotAPicture("This file is too large.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{secrets.token_hex(8)}.sent"
    path.write_bytes(content)
    return str(path)


def load_image(file_path):
    time.sleep(PACE)
    try:
        with Image.open(file_path, formats=FORMATS) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError) as exc:
        raise NotAPicture("This is not a picture that we can read.") from exc


def resize(image, size):
    time.sleep(PACE)
    return ImageOps.contain(image, tuple(size))


def save(image, file_path):
    time.sleep(PACE)
    output = Path(file_path).with_suffix(".jpg")
    unfinished = output.with_suffix(".part")
    image.save(unfinished, "JPEG", quality=85)
    unfinished.replace(output)  # whole, or not at all
    return output.name


def preview(image):
    """A small one as a data: address, which a page can show as it is."""
    small = ImageOps.contain(image, (320, 320))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
