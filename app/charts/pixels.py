"""Pictures as addresses that a page can show: PNG in base64."""

from __future__ import annotations

import base64
import io

import numpy
from PIL import Image

SIDE = 96
"""Pictures smaller than this are enlarged with hard edges: their pixels are what the networks see."""


def address_of(pixels: numpy.ndarray) -> str:
    """A picture (h, w, 1 or 3), uint8 or in [0, 1], as a data address."""
    if pixels.dtype != numpy.uint8:
        pixels = numpy.rint(pixels.clip(0.0, 1.0) * 255).astype(numpy.uint8)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    times = max(1, -(-SIDE // max(image.size)))
    image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    kept = io.BytesIO()
    image.save(kept, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(kept.getvalue()).decode('ascii')}"
