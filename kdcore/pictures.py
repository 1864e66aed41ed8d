"""Picture files from anywhere, read with care: no bombs, no links that lead out, all of one size."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kdcore.data import DataError
from kdcore.plain_picture import plain

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
MOST_PIXELS = 50_000_000
"""Of one picture as stored: a photograph has up to so many, a decompression bomb more."""


def picture_files(folder: Path, *, below: Path) -> list[Path]:
    """The files in a folder whose endings are those of pictures, sorted by name.

    Raises DataError for one that leads out of `below` by a link.
    """
    if below.resolve() not in folder.resolve().parents:
        raise DataError(f"{folder.relative_to(below)} is a link that leads out of its folder")
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in ENDINGS or path.name.startswith(".") or not path.is_file():
            continue
        if path.is_symlink() and below.resolve() not in path.resolve().parents:
            raise DataError(f"{path.relative_to(below)} is a link that leads out of its folder")
        found.append(path)
    return found


def read_pictures(classes: list[list[Path]], *, below: Path, side: int, grey: bool) -> tuple[Tensor, Tensor]:
    """All files as pictures (N, 1 or 3, side, side) uint8 and labels (N,), the class's place in the list.

    Raises DataError, which names the file below `below`, for one that is no picture or too large.
    """
    count = sum(len(files) for files in classes)
    images = torch.empty(count, 1 if grey else 3, side, side, dtype=torch.uint8)
    labels = torch.empty(count, dtype=torch.int64)
    place = 0
    for label, files in enumerate(classes):
        for path in files:
            try:
                images[place] = read_picture(path, side=side, grey=grey)
            except DataError as error:
                raise DataError(f"{path.relative_to(below)} {error}") from error.__cause__
            labels[place] = label
            place += 1
    return images, labels


def read_picture(path: Path, *, side: int, grey: bool) -> Tensor:
    """The middle square of a picture, resized: (1 or 3, side, side) uint8, what is transparent as white.

    Raises DataError, whose message continues the file's name, for what is no picture or too large.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs and odd metadata; the check below is stricter
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise DataError(
                        f"has {width} x {height} pixels; {MOST_PIXELS // 1_000_000} million at most, make it smaller"
                    )
                if image.format == "JPEG":
                    image.draft("RGB", (2 * side, 2 * side))  # large photographs decode several times faster
                upright = plain(ImageOps.exif_transpose(image), "L" if grey else "RGB")
                square = ImageOps.fit(upright, (side, side), method=Image.Resampling.BILINEAR)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"has too many pixels; {MOST_PIXELS // 1_000_000} million at most, make it smaller") from error
    except Exception as error:  # broken files fail in a dozen ways, from OSError over SyntaxError to struct.error
        raise DataError(f"is no picture that can be read ({type(error).__name__}); replace or remove it") from error
    return torch.from_numpy(np.array(square)).view(side, side, -1).permute(2, 0, 1)
