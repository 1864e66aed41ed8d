"""Registers the live component once, and says where the page loads plotly.js from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent / "static" / "plotly-cartesian.min.js"
"""plotly.js 4.1.1 with the kinds of traces that lie in a plane, as npm's plotly.js-cartesian-dist-min has it. To run
the whole library, which the package plotly brings along, takes a browser three times as long."""
ADDRESS = f"app/static/{LIBRARY.name}?v=4.1.1"


def together(folder: Path, *names: str) -> str:
    """The texts of the files of that folder as one; a name that is not there is one of `app/live`."""
    paths = [folder / name if (folder / name).exists() else HERE / name for name in names]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


_chart = st.components.v2.component(
    "kdlab_live", js=together(HERE, "plotly.js", "lasting.js", "figure.js", "live.js"),
    css=together(HERE, "live.css"), isolate_styles=False,
)  # fmt: skip
_warm = st.components.v2.component("kdlab_warm", js=together(HERE, "plotly.js", "warm.js"), isolate_styles=False)


_small = st.components.v2.component(
    "kdlab_small", js=together(HERE, "plotly.js", "lasting.js", "small.js"),
    css=".kdlab-small { width: 100%; min-height: 12rem; }", isolate_styles=False,
)  # fmt: skip


def warm_up() -> None:
    """Lets the page get the drawing library before a chart asks for it; draws nothing."""
    with st.container(key="kdlab-warm"):
        _warm(data={"plotly": ADDRESS}, key="kdlab-warm-up")


def live_chart(data: dict[str, Any], *, key: str, height: int = 340) -> None:
    """Draws or updates the chart of `live_data`. The same key keeps the same chart; height in px on a small laptop."""
    _chart(data={**data, "plotly": ADDRESS, "height": height}, key=key, height="content")


def live_figure(figure: go.Figure, *, about: str, says: str, key: str) -> None:
    """Draws or updates a figure in place. With the same `about`, zoom and legend stay as they are."""
    made = figure.to_json()
    stamp = hashlib.blake2b(made.encode(), digest_size=8).hexdigest()
    _small(
        data={"figure": made, "stamp": stamp, "about": about, "says": says, "plotly": ADDRESS}, key=key,
        height="content",
    )  # fmt: skip
