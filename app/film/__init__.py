"""The film component: figures of one kind over the epochs of a run, scrubbed and played in the browser alone.

For tests in a browser: `.kdlab-film` (its data-frame counts from 0, data-frames is how many there are, data-drawn
counts drawings), and in it `.chart` (the Plotly node, the same one for the life of the page), `.play`, `.slider`,
`.where`, `.says`, `.png`, `.svg`.
"""

from app.film.component import play

__all__ = ["play"]
