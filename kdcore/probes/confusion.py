"""Which classes the teacher helped with, and which confusions went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdcore.answers.class_gain import ClassGain
from kdcore.beside import sides
from kdcore.gap import confusion, overlap
from kdcore.outputs import outputs, some
from kdcore.probe import Probe
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived


class Confusion(Probe):
    """Which classes gain from the teacher, and which are no longer mistaken for which?

    Accuracy of each class for teacher, student and student alone, and the confusion matrix of the student less that of
    the student alone: what is more on the diagonal and less beside it was gained.
    """

    title = "Classes and confusions"
    answers = "ClassGain"
    inputs: int = knob(2000, 20, 20000, help="Most test inputs looked at.", unit="inputs")

    def ask(self, revived: Revived) -> ClassGain:
        who = sides(revived)
        test = some(revived.data.test, self.inputs)
        found = {part: confusion(said.logits, test.truth) for part, said in outputs(who, test).items()}
        names = [str(name) for name in revived.data.class_names]
        counts = torch.bincount(test.truth, minlength=len(names))
        hits = {part: matrix.diagonal() for part, matrix in found.items()}
        weight = counts.to(hits["student"]) / max(1, len(test))
        return ClassGain(
            title="Which classes gain, and which confusions go",
            says=_sentence({part: values.tolist() for part, values in hits.items()}, counts.tolist(), names),
            nearness={
                part: float(overlap(found["teacher"], matrix) @ weight)
                for part, matrix in found.items()
                if part != "teacher"
            },
            nearness_of="what the answers to each class have in common",
            class_names=names,
            counts=counts.tolist(),
            accuracy={part: values.float().contiguous().numpy() for part, values in hits.items()},
            confusion={part: matrix.float().numpy() for part, matrix in found.items()},
        )


def _sentence(hits: dict[str, list[float]], counts: list[int], names: list[str]) -> str:
    there = [number for number, count in enumerate(counts) if count]
    other, called = ("baseline", "the student alone") if "baseline" in hits else ("teacher", "the teacher")
    gains = {number: 100 * (hits["student"][number] - hits[other][number]) for number in there}
    most, least = max(gains, key=lambda n: gains[n]), min(gains, key=lambda n: gains[n])
    better = sum(gain > 0 for gain in gains.values())
    return (
        f"Against {called}, the student is better on {better} of {len(there)} classes; from {gains[least]:+.0f} points "
        f"on {names[least]} to {gains[most]:+.0f} on {names[most]}."
    ).replace("-", "−")
