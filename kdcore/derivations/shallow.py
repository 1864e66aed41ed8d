"""Shallow: the same width with fewer blocks."""

from __future__ import annotations

from kdcore.derivation import Inheriting
from kdcore.networks.vgg import COUNTS
from kdcore.recipe import Pick
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class Shallow(Inheriting):
    """The teacher with fewer blocks in each stage: the first, and evenly spaced others up to the last.

    The first block of a stage changes width and plane and cannot go. A residual network bears it best, for a block that
    is left out was only a correction. Where a stage has one block, whole stages go, the deepest first; then the
    classifier reads other channels than the teacher's and keeps its random start.
    """

    title = "Shallow"
    paper = Paper(
        "Sanh, Debut, Chaumond, Wolf", 2019, "https://arxiv.org/abs/1910.01108",
        "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter",
    )  # fmt: skip
    provenance = "as DistilBERT is started; keeping the first block of a stage is our decision"
    ratio: float = knob(0.5, 0.02, 1.0, help="Share of the blocks that is kept, at least one in a stage.")

    def pick(self, teacher: Pick, student: Pick) -> Pick:
        for name in ("blocks", "depth", "stage_count"):
            long = teacher.settings.get(name)
            if isinstance(long, int) and long > 1:
                return Pick(teacher.key, {**teacher.settings, name: max(1, round(long * self.ratio))})
        if teacher.key == "vgg" and teacher.settings["depth"] != "8":
            sizes = {name: sum(counts) for name, counts in COUNTS.items()}
            most = self.ratio * sizes[teacher.settings["depth"]]
            return Pick(
                "vgg", {**teacher.settings, "depth": max((n for n in sizes if sizes[n] <= most), key=int, default="8")}
            )
        raise ValueError(f"{teacher.key} as it stands has no blocks to leave out; a teacher with more depth has")
