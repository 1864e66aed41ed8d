"""The gallery component: pictures to choose from, and the chosen one's probabilities under a temperature.

For tests in a browser: `.kdlab-gallery` (its data-chosen is the chosen picture's place, data-drawn counts drawings),
and in it `.cards button` (data-place), `.heat` (the temperature), `.degrees`, `.chart` (the Plotly node), `.png`,
`.svg`.
"""

from app.gallery.component import gallery

__all__ = ["gallery"]
