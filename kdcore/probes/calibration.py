"""Whether the networks are as sure as they are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.calibration import Calibration as Answered
from kdcore.beside import sides
from kdcore.gap import Reliability, brier, fit_temperature, reliability_of, shared_bins
from kdcore.outputs import outputs, some
from kdcore.probe import Probe, percent
from kdcore.recalled import recalled, tensors_key
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived


class Calibration(Probe):
    """Is a network that is 90 % sure right in 90 % of the cases?

    Test inputs are sorted into bins by the greatest probability; the expected calibration error (ECE) is the mean
    distance of confidence and accuracy, weighted by the inputs of each bin, and depends on how many bins there are. One
    temperature for each network is then fitted to the validation labels and tried on the test inputs: it changes how
    sure a network is, never what it says (Guo et al. 2017).
    """

    title = "Calibration"
    answers = "Calibration"
    ahead = 3
    bins: int = knob(15, 2, 50, help="Bins of confidence, all equally wide. 15 and 10 are usual.", unit="bins")
    inputs: int = knob(2000, 20, 20000, help="Most test inputs looked at, and most to fit on.", unit="inputs")

    def ask(self, revived: Revived) -> Answered:
        who = sides(revived)
        test, validation = some(revived.data.test, self.inputs), some(revived.data.validation, self.inputs)
        said, fitted_on = outputs(who, test), outputs(who, validation)
        before: dict[str, Reliability] = {}
        after: dict[str, Reliability] = {}
        temperatures, scores, accuracy = {}, {}, {}
        for part, found in said.items():
            warm = _temperature(fitted_on[part].logits, validation.truth)
            before[part] = reliability_of(found.logits, test.truth, bins=self.bins)
            after[part] = reliability_of(found.logits, test.truth, bins=self.bins, temperature=warm)
            temperatures[part] = warm
            scores[part] = [brier(found.logits, test.truth, temperature=t) for t in (1.0, warm)]
            accuracy[part] = float((found.logits.argmax(dim=1) == test.truth).double().mean())
        kind = "pictures" if revived.data.images_of_plane else "points"
        names = {"teacher": "teacher", "student": "student", "baseline": "student alone"}
        errors = ", ".join(f"{names[part]} {percent(found.ece, digits=1)}" for part, found in before.items())
        sure = float(before["student"].confidence @ before["student"].count / len(test))
        return Answered(
            title="Is a network right as often as it is sure?",
            says=f"The student is right in {percent(accuracy['student'], digits=1)} of the cases and "
            f"{percent(sure, digits=1)} sure on average. Expected calibration error ({self.bins} bins, {len(test):,} "
            f"test {kind}): {errors}.",
            nearness={part: shared_bins(before["teacher"], before[part]) for part in before if part != "teacher"},
            nearness_of="what the diagrams have in common",
            bins={part: _rows(found) for part, found in before.items()},
            scaled={part: _rows(found) for part, found in after.items()},
            temperature=temperatures,
            ece={part: [before[part].ece, after[part].ece] for part in before},
            brier=scores,
            accuracy=accuracy,
            inputs=f"{len(test):,} test {kind}; temperatures fitted on {len(validation):,} validation {kind}",
        )


def _temperature(logits: Tensor, truth: Tensor) -> float:
    """Kept: it does not depend on the bins."""
    return recalled(("temperature", tensors_key(logits, truth)), lambda: fit_temperature(logits, truth))


def _rows(found: Reliability) -> numpy.ndarray:
    return torch.stack([found.accuracy, found.confidence, found.count], dim=1).float().numpy()
