"""The canvas component: draw a picture with pointer or finger; its pixels come back when the pen is lifted.

For tests in a browser: `.kdlab-canvas` (its data-sent counts what was told), and in it `canvas`, `.brush`, `.ink`
(colour pictures only), `.clear`.
"""

from app.canvas.component import canvas

__all__ = ["canvas"]
