"""Pictures of one's own: read with care, kept small beside a run, found again by their content. No torch."""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy
from PIL import Image, ImageOps
from safetensors.numpy import load, save

from kdcore.plain_picture import plain

BYTES = 2_000_000
"""Of an uploaded file at most."""
PIXELS = 25_000_000
"""Of an uploaded picture at most: a camera's picture has up to so many, a decompression bomb more."""
SIDE = 128
"""Longest side of what is kept, in pixels: twice that of the largest pictures that networks here look at."""
FORMATS = ("PNG", "JPEG")
FITS = {
    "like the data": "Like the data",
    "swapped": "Dark and light swapped",
    "as it is": "As it is, only resized",
}
"""How a picture is brought to the shape of a data set -> what that means."""
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)
"""EXIF's number for how the camera was held, and the ways in which width and height change places."""
NAME = re.compile(r"[0-9a-f]{16}\Z")


class OwnPictureError(ValueError):
    """A picture that cannot be used; the message says what was found and what would be right."""


class Keeps(Protocol):
    """What is needed of a run: `kdcore.run.Run` is one."""

    def answer(self, key: str) -> bytes | None: ...

    def keep_answer(self, key: str, content: bytes) -> None: ...


@dataclass(frozen=True)
class OwnPicture:
    """A picture of one's own, before it is brought to the shape of a data set."""

    pixels: numpy.ndarray
    """(h, w, 1 or 3) uint8, neither side longer than `SIDE`."""
    origin: str
    """drawn or uploaded."""
    size: tuple[int, int]
    """Width and height as it came."""
    fit: str = "like the data"
    """One of `FITS`."""

    def to_bytes(self) -> bytes:
        """Safetensors with a JSON header; the same picture always gives the same bytes."""
        about = json.dumps({"origin": self.origin, "size": list(self.size), "fit": self.fit})
        return save({"pixels": numpy.ascontiguousarray(self.pixels)}, metadata={"about": about})


def uploaded(content: bytes, *, fit: str = "like the data") -> OwnPicture:
    """The picture in an uploaded PNG or JPEG file, upright as its camera meant it, nothing else of its metadata kept.

    Raises OwnPictureError with a sentence for a file that is too large, damaged or of another kind.
    """
    if not content:
        raise OwnPictureError("The file is empty; a PNG or JPEG picture is right.")
    if len(content) > BYTES:
        raise OwnPictureError(
            f"The file has {len(content) / 1e6:.1f} MB; {BYTES / 1e6:.0f} MB at most. Make the picture smaller."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs and odd metadata; the check below is stricter
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                size = image.size
                if size[0] * size[1] > PIXELS:
                    raise OwnPictureError(
                        f"The picture has {size[0]:,} × {size[1]:,} pixels; {PIXELS // 1_000_000} million at most. "
                        "Make it smaller."
                    )
                image.verify()  # checksums; it leaves the picture unreadable, so it is opened once more
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                image.draft("RGB", (2 * SIDE, 2 * SIDE))  # large photographs decode several times faster
                if image.getexif().get(ORIENTATION) in LYING:
                    size = (size[1], size[0])
                small = plain(ImageOps.exif_transpose(image), "RGB")
    except OwnPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise OwnPictureError(
            f"The picture has too many pixels; {PIXELS // 1_000_000} million at most. Make it smaller."
        ) from error
    except Exception as error:  # broken files fail in a dozen ways, from OSError over SyntaxError to struct.error
        raise OwnPictureError(
            "This is no PNG or JPEG picture that can be read; save it anew as PNG or JPEG."
        ) from error
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    pixels = numpy.asarray(small)
    if (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    return OwnPicture(pixels.copy(), "uploaded", size, _fit(fit))


def drawn(side: int, values: bytes, *, fit: str = "like the data") -> OwnPicture:
    """The picture on a square canvas: `values` are its grey (side²) or red, green, blue (3 side²) bytes, row by row.

    Raises OwnPictureError for anything else.
    """
    if not 8 <= side <= SIDE or len(values) not in (side * side, 3 * side * side):
        raise OwnPictureError(
            f"A canvas of side {side} came with {len(values):,} bytes; a side of 8 to {SIDE} with one or three bytes "
            "for each pixel is right."
        )
    pixels = numpy.frombuffer(values, dtype=numpy.uint8).reshape(side, side, -1)
    return OwnPicture(pixels.copy(), "drawn", (side, side), _fit(fit))


def keep(run: Keeps, picture: OwnPicture) -> str:
    """Keep it beside the run; its name, by which probes find it: sixteen letters made of its content.

    A run keeps 256 at most: each has a place by its name's first two letters, where the newest stands. Raises OSError
    when the disk is full.
    """
    content = picture.to_bytes()
    name = hashlib.sha256(content).hexdigest()[:16]
    run.keep_answer(_place(name), content)
    return name


def find(run: Keeps, name: str) -> OwnPicture:
    """The picture of that name. Raises OwnPictureError where there is none."""
    if not NAME.match(name):
        raise OwnPictureError(f"{name[:40]!r} is no name of a picture of one's own: sixteen of 0-9 a-f")
    content = run.answer(_place(name))
    if content is None or hashlib.sha256(content).hexdigest()[:16] != name:
        raise OwnPictureError(
            "This picture of one's own is not kept with this run (any more); draw or upload it once more."
        )
    about = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["about"])
    return OwnPicture(load(content)["pixels"], about["origin"], (about["size"][0], about["size"][1]), about["fit"])


def _place(name: str) -> str:
    return f"own-{name[:2]}"


def _fit(fit: str) -> str:
    if fit not in FITS:
        raise OwnPictureError(f"fit={fit!r} is none of {', '.join(FITS)}")
    return fit
