"""A Pillow picture of any mode as plain grey or colour, and what no picture may be. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy

if TYPE_CHECKING:
    from PIL.Image import Image


def plain(image: Image, mode: Literal["L", "RGB"]) -> Image:
    """The picture in that mode; 16-bit grey keeps its upper byte, what is transparent becomes white."""
    from PIL import Image

    if image.mode.startswith("I"):
        values = numpy.asarray(image).astype(numpy.int64)
        image = Image.fromarray((values.clip(0, 65535) >> 8).astype(numpy.uint8))
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
