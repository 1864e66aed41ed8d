"""Packs figures of one kind into a film that a page can scrub without asking the server again."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

LEVELS = 254
"""Values of a heat map are sent as one byte: its colour range in 254 steps; 255 says nothing there."""


def packed(figure: go.Figure) -> dict[str, Any]:
    """{"traces": [JSON text], "layout"}: a figure ready for a film."""
    plain = json.loads(figure.to_json())
    traces = [_small(trace, found) for trace, found in zip(figure.data, plain["data"], strict=True)]
    return {"traces": [json.dumps(trace, sort_keys=True) for trace in traces], "layout": plain["layout"]}


def film(frames: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """JSON-ready: {"layout", "traces": each different trace once, "frames": [{…told, "traces": [number], "texts"}]}.

    Each frame is (packed figure, what is told of it: {"name", "label", "says"}). All figures have the same axes; the
    last one's layout is used.
    """
    numbers: dict[str, int] = {}
    told = [
        {
            **about,
            "traces": [numbers.setdefault(trace, len(numbers)) for trace in figure["traces"]],
            "texts": figure["layout"].get("annotations", []),
        }
        for figure, about in frames
    ]
    layout = frames[-1][0]["layout"] if frames else {}
    return {"layout": layout, "traces": [json.loads(trace) for trace in numbers], "frames": told}


def _small(trace: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The trace as JSON, a heat map's values packed as {"bytes", "rows", "columns", "low", "high"}."""
    found.pop("uid", None)
    if trace.type != "heatmap" or trace.zmin is None or trace.text is not None:
        return found
    array = numpy.asarray(trace.z, dtype=float)
    low, high = float(trace.zmin), float(trace.zmax)
    steps = numpy.clip((array - low) / max(high - low, 1e-12), 0.0, 1.0) * LEVELS
    levels = numpy.where(numpy.isnan(array), 255, numpy.rint(numpy.nan_to_num(steps))).astype(numpy.uint8)
    return {
        **found,
        "z": {
            "bytes": base64.b64encode(levels.tobytes()).decode(),
            "rows": array.shape[0],
            "columns": array.shape[1],
            "low": low,
            "high": high,
        },
    }
