"""Narrow: the same layers with fewer channels."""

from __future__ import annotations

import math

from kdcore.derivation import Inheriting
from kdcore.recipe import Pick
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class Narrow(Inheriting):
    """The teacher with fewer channels in every layer; the strongest are kept.

    A channel's strength is the length of its filter times what the norm behind it multiplies with, summed over all
    layers that share the channel (those that a shortcut adds up). Each layer's inputs are cut to what the one before
    still gives. The width falls with the root of the ratio, since a layer's numbers go with its square.
    """

    title = "Narrow"
    paper = Paper(
        "Li, Kadav, Durdanovic, Samet, Graf", 2017, "https://arxiv.org/abs/1608.08710",
        "Pruning Filters for Efficient ConvNets",
    )  # fmt: skip
    provenance = "filter norms from the paper (there L1); counting the norm's factor in is our decision"
    ratio: float = knob(0.5, 0.02, 1.0, help="Share of the numbers that is kept, about.")

    def pick(self, teacher: Pick, student: Pick) -> Pick:
        name = next((name for name in ("width", "widen") if name in teacher.settings), None)
        if name is None:
            raise ValueError(f"{teacher.key} has no width that could be less; plain, resnet, vgg and mlp have one")
        wide = teacher.settings[name]
        narrow = wide * math.sqrt(self.ratio)
        least = max(1, round(narrow)) if isinstance(wide, int) else max(0.1, narrow)
        return Pick(teacher.key, {**teacher.settings, name: least})
