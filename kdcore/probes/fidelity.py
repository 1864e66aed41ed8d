"""How faithfully the student answers as its teacher does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdcore.answers.fidelity import Fidelity as Answered
from kdcore.beside import sides
from kdcore.gap import agreement, divergence, wins
from kdcore.outputs import outputs, some
from kdcore.probe import Probe, percent
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived


class Fidelity(Probe):
    """How often does the student answer as its teacher does, also where the teacher is wrong?

    A student can be as accurate as its teacher and still be another network. Where the teacher is wrong, agreement
    cannot come from both having learned the truth: what is repeated there more often than by the student alone was
    taken over from the teacher (Stanton et al. 2021). "Right" is meant by the true labels. KL is that of the
    untempered probabilities, both ways round: KL(teacher ‖ student) is large where the student rules out what the
    teacher finds possible, KL(student ‖ teacher) where it believes in what the teacher rules out.
    """

    title = "Fidelity"
    answers = "Fidelity"
    ahead = 2
    inputs: int = knob(2000, 20, 20000, help="Most test inputs, and most training inputs, looked at.", unit="inputs")

    def ask(self, revived: Revived) -> Answered:
        who = sides(revived)
        splits = {"test": some(revived.data.test, self.inputs), "training": some(revived.data.train, self.inputs)}
        said = {name: outputs(who, split) for name, split in splits.items()}
        truth = splits["test"].truth
        right = said["test"]["teacher"].logits.argmax(dim=1) == truth
        same: dict[str, list[float]] = {}
        apart: dict[str, list[float]] = {}
        back: dict[str, list[float]] = {}
        won = {}
        for part in said["test"]:
            if part == "teacher":
                continue
            pairs = {name: (found["teacher"].logits, found[part].logits) for name, found in said.items()}
            agrees = {name: agreement(*pair) for name, pair in pairs.items()}
            rows = [agrees["test"], agrees["training"], agrees["test"][right], agrees["test"][~right]]
            same[part] = [float(row.double().mean()) if len(row) else 0.0 for row in rows]
            apart[part] = [float(divergence(*pair).mean()) for pair in pairs.values()]
            back[part] = [float(divergence(ours, theirs).mean()) for theirs, ours in pairs.values()]
            won[part] = wins(*pairs["test"], truth)
        kind = "pictures" if revived.data.images_of_plane else "points"
        return Answered(
            title="Who answers as the teacher does",
            says=_sentence(same, int((~right).sum()), len(truth), kind),
            nearness={part: values[0] for part, values in same.items()},
            nearness_of=f"test {kind} answered alike",
            groups=[f"test {kind}", f"training {kind}", "test, teacher right", "test, teacher wrong"],
            counts=[len(truth), len(splits["training"]), int(right.sum()), int((~right).sum())],
            agreement={part: torch.tensor(values).numpy() for part, values in same.items()},
            divergence={part: torch.tensor(values).numpy() for part, values in apart.items()},
            reverse={part: torch.tensor(values).numpy() for part, values in back.items()},
            wins={part: counts.numpy() for part, counts in won.items()},
            inputs=kind,
        )


def _sentence(same: dict[str, list[float]], wrong: int, count: int, kind: str) -> str:
    def all_of(place: int) -> str:
        found = f"{percent(same['student'][place], digits=1)}"
        return found + (f" (student alone {percent(same['baseline'][place], digits=1)})" if "baseline" in same else "")

    says = f"The student gives the teacher's answer for {all_of(0)} of {count:,} test {kind}"
    if wrong:
        return f"{says}, and repeats its mistake on {all_of(3)} of the {wrong:,} that the teacher gets wrong."
    return f"{says}; the teacher gets none of them wrong."
