"""Packs figures of one kind into a film that a page can scrub without asking the server again."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

LEVELS = 254
"""Values of a heat map are sent as one byte: its colour range in 254 steps; 255 says nothing there."""


def packed(figure: go.Figure) -> dict[str, Any]:
    """{"traces": [JSON text], "layout"}: a figure ready for a film.

    A figure with a slider has "lens" {"label", "values", "start"} and "lenses" besides: for each of its values
    {"traces", "texts", "axes"}, what the figure is there.
    """
    plain = json.loads(figure.to_json())
    layout = plain["layout"]
    sliders = layout.pop("sliders", [])
    traces = [_cleaned(trace) for trace in plain["data"]]
    found: dict[str, Any] = {"traces": [_text(trace) for trace in traces], "layout": layout}
    for slider in sliders[:1]:
        steps = [step for step in slider["steps"] if step.get("method") == "update"]
        found["lens"] = {
            "label": slider.get("currentvalue", {}).get("prefix", ""),
            "values": [step["label"] for step in steps],
            "start": int(slider.get("active", 0)),
        }
        found["lenses"] = [_lens(traces, layout, *step["args"]) for step in steps]
    return found


def film(frames: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """JSON-ready: {"layout", "traces": each different trace once, "frames": [{…told, "traces": [number], "texts"}]}.

    Each frame is (packed figure, what is told of it: {"name", "epoch", "label", "says"}) and gets a "stamp" that is the
    same as long as the frame is. All figures have the same axes; the last one's layout is used, and its "lens" where
    it has one: each frame then has "lenses", [{"traces", "texts", "axes": axis -> range}].
    """
    numbers: dict[str, int] = {}

    def numbered(traces: list[str]) -> list[int]:
        return [numbers.setdefault(trace, len(numbers)) for trace in traces]

    told = []
    for figure, about in frames:
        texts = figure["layout"].get("annotations", [])
        lenses = figure.get("lenses", [])
        frame = {**about, "traces": numbered(figure["traces"]), "texts": texts, "stamp": _stamp(figure)}
        if lenses:
            frame["lenses"] = [{**lens, "traces": numbered(lens["traces"])} for lens in lenses]
        told.append(frame)
    last = frames[-1][0] if frames else {"layout": {}}
    layout = {name: value for name, value in last["layout"].items() if name != "annotations"}
    found = {"layout": layout, "traces": [json.loads(trace) for trace in numbers], "frames": told}
    return {**found, "lens": last["lens"]} if "lens" in last else found


def _lens(
    traces: list[dict[str, Any]], layout: dict[str, Any], changed: dict[str, Any], laid: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A step of a slider, [changes of the traces, changes of the layout], as the figure that it leads to."""
    laid = laid or {}
    made = []
    for number, trace in enumerate(traces):
        news = {name: values[number] for name, values in changed.items() if values[number] is not None}
        made.append(_text({**trace, **news}))
    axes = {name.removesuffix(".range"): value for name, value in laid.items() if name.endswith(".range")}
    return {"traces": made, "texts": laid.get("annotations", layout.get("annotations", [])), "axes": axes}


def _cleaned(trace: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in trace.items() if name != "uid"}


def _text(trace: dict[str, Any]) -> str:
    return json.dumps(_small(trace), sort_keys=True)


def _stamp(figure: dict[str, Any]) -> str:
    said = [figure["traces"], figure["layout"].get("annotations", []), figure.get("lenses", [])]
    return hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()


def _small(trace: dict[str, Any]) -> dict[str, Any]:
    """The trace, a heat map's values packed as {"bytes", "rows", "columns", "low", "high"}."""
    if trace["type"] != "heatmap" or trace.get("zmin") is None or trace.get("text") is not None:
        return trace
    array = _array(trace["z"])
    low, high = float(trace["zmin"]), float(trace["zmax"])
    steps = numpy.clip((array - low) / max(high - low, 1e-12), 0.0, 1.0) * LEVELS
    levels = numpy.where(numpy.isnan(array), 255, numpy.rint(numpy.nan_to_num(steps))).astype(numpy.uint8)
    return {
        **trace,
        "z": {
            "bytes": base64.b64encode(levels.tobytes()).decode(),
            "rows": array.shape[0],
            "columns": array.shape[1],
            "low": low,
            "high": high,
        },
    }


def _array(z: Any) -> numpy.ndarray:
    """A heat map's values as plotly writes them, lists or packed ones, as an array of floats."""
    if isinstance(z, dict):
        shape = [int(side) for side in str(z["shape"]).split(",")]
        return numpy.frombuffer(base64.b64decode(z["bdata"]), dtype=z["dtype"]).reshape(shape).astype(float)
    return numpy.array([[numpy.nan if value is None else value for value in line] for line in z], dtype=float)
