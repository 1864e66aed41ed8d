"""The live component: one chart of a run that is never remounted, fed with whole decimated series.

For tests in a browser: `#kdlab-live` (its data-updates counts drawings, data-points the points drawn, data-state is
"running" or "over"), `#kdlab-live-chart` (the Plotly node, the same one for the life of the page), `#kdlab-live-legend`
(a button for each curve: data-name is "loss kd" or "score student", aria-pressed "false" once it is hidden), and
`#kdlab-live-` phase, weighted, raw, log, smooth, pause, png, svg, csv, play, slider, where. Each id is a data-testid.
`.kdlab-small` is a small figure that grows in place (its data-updates counts drawings).
Zoom of the accuracy panel (axes x2, y2) is kept for the life of the run, that of the losses (x, y) within a phase.
"""

from app.live.component import live_chart, live_figure, warm_up
from app.live.series import live_data, role_name

__all__ = ["live_chart", "live_data", "live_figure", "role_name", "warm_up"]
