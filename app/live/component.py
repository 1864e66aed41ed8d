"""Registers the live component once, and puts plotly.js where the page loads it from."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "static"
ADDRESS = f"app/static/plotly.min.js?v={plotly.__version__}"


def _script(*names: str) -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


_chart = st.components.v2.component(
    "kdlab_live", js=_script("plotly.js", "figure.js", "live.js"), css=_script("live.css"), isolate_styles=False
)
_warm = st.components.v2.component("kdlab_warm", js=_script("plotly.js", "warm.js"), isolate_styles=False)


_small = st.components.v2.component(
    "kdlab_small", js=_script("plotly.js", "small.js"), css=".kdlab-small { width: 100%; min-height: 12rem; }",
    isolate_styles=False,
)  # fmt: skip


def publish_plotly() -> Path:
    """Copies the installed plotly's script to app/static, unless this very one is there. Gives back where it is.

    Raises OSError if the folder cannot be written.
    """
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    target = STATIC / "plotly.min.js"
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return target
    STATIC.mkdir(exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    shutil.copyfile(source, part)
    os.replace(part, target)
    return target


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
