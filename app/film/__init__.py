"""The film component: figures of one kind over the epochs of a run, scrubbed and played in the browser alone.

For tests in a browser: `.kdlab-film` (its data-frame counts from 0, data-frames is how many there are, data-epoch is
the epoch shown, data-drawn counts drawings, data-stills the frames kept ready, data-brushed the points chosen), and in
it `.chart` (the Plotly node, the same one for the life of the page), `.stills`, `.play`, `.slider`, `.lens`, `.where`,
`.says`, `.near` (each `.dot`'s data-near is how near that network is to the teacher), `.png`, `.svg`. A still stands in
the chart's place while a hand or the player moves on, and goes once it rests.
"""

from app.film.component import Told, play

__all__ = ["Told", "play"]
