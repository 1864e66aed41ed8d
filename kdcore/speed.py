"""What makes a step fast, each thing with a switch, so that its gain can be measured. The results stay the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """What training does to be fast. All is on wherever the lab trains; the benchmark switches parts off."""

    cached_teacher: bool = True
    """What a frozen teacher says of a picture, or of each of its views, is computed once and kept."""
    mapped_teacher: bool = True
    """Where memory is too small for that it is kept in a file."""
    channels_last: bool = True
    """Convolutions read and write pictures with their channels last."""
    fused: bool = True
    """The optimiser changes all weights of a group in one call."""
    lean: bool = True
    """What stays the same from step to step is not looked up again: training modes, optimiser state."""


FAST = Speed()
SLOW = Speed(cached_teacher=False, mapped_teacher=False, channels_last=False, fused=False, lean=False)
"""Tensors on the device and nothing else."""
