"""Inherited weights: the student of the recipe begins with a part of the teacher's weights."""

from __future__ import annotations

from kdcore.derivation import Inheriting
from kdcore.recipe import Pick
from kdcore.vocabulary import Paper


class WeightInherit(Inheriting):
    """The student that you chose begins with the teacher's strongest channels and evenly spaced blocks.

    It must be a network of the teacher's kind, nowhere larger. Its size follows from its own knobs, not from the ratio.
    """

    title = "Inherited weights"
    paper = Paper(
        "Sanh, Debut, Chaumond, Wolf", 2019, "https://arxiv.org/abs/1910.01108",
        "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter",
    )  # fmt: skip
    provenance = "as DistilBERT is started; which channels are kept is our decision"

    def pick(self, teacher: Pick, student: Pick) -> Pick:
        if teacher.key != student.key:
            raise ValueError(f"weights go from {teacher.key} to a student of the same kind, not to {student.key}")
        for name, large in teacher.settings.items():
            small = student.settings[name]
            if isinstance(large, int | float) and isinstance(small, int | float) and small > large:
                raise ValueError(f"{name}={small:g} is more than the teacher's {large:g}, whose weights it is to take")
        return student
