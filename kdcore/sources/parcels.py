"""Events on a journey between machines: the line that a log has, and beside it what a log keeps in own files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from kdcore.events import Checkpoint, Event, Shown, Snapshot
from kdcore.run import safetensors_of
from kdcore.start import Start
from kdcore.wellformed import event_from_line

Parcel = tuple[bytes, bytes]
"""JSON in UTF-8, and the content: safetensors, an answer's bytes, or nothing."""


def packed(event: Event) -> Parcel:
    """The event with all that it brings along."""
    content = b""
    if isinstance(event, (Snapshot, Checkpoint)):
        content = safetensors_of(event.tensors)
    elif isinstance(event, Shown):
        content = event.content
    return line_of(event), content


def unpacked(parcel: Parcel) -> Event:
    """The event, checked field by field. Raises ValueError for what is none."""
    line, content = parcel
    event = event_from_line(line)
    if isinstance(event, (Snapshot, Checkpoint)) and content:
        return replace(event, tensors=tensors_of(content))
    return replace(event, content=content) if isinstance(event, Shown) else event


def line_of(event: Event) -> bytes:
    """The event alone, without tensors and contents."""
    return json.dumps(event.to_json(), separators=(",", ":"), allow_nan=False).encode()


def packed_start(start: Start) -> Parcel:
    """Where a run begins that does not begin at the beginning."""
    told = {"phase": start.phase, "step": start.step, "epoch": start.epoch, "fork": start.fork}
    return json.dumps(told).encode(), safetensors_of(start.tensors)


def unpacked_start(parcel: Parcel) -> Start:
    """The same on the other side. Raises ValueError."""
    told: dict[str, Any] = json.loads(parcel[0])
    return Start(
        int(told["phase"]), tensors_of(parcel[1]),
        step=int(told["step"]), epoch=float(told["epoch"]), fork=bool(told["fork"]),
    )  # fmt: skip


def tensors_of(content: bytes) -> dict[str, Tensor]:
    """On the CPU. Raises ValueError for bytes that are no safetensors."""
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(f"tensors arrived damaged: {error}") from error
