"""The pictures on which student and teacher disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.gallery import Gallery
from kdcore.asked_picture import asked_picture, own_knob
from kdcore.beside import sides, view_logits
from kdcore.gap import divergence
from kdcore.probe import Probe, ProbeError, percent
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived


class Disagreements(Probe):
    """On which pictures does the student say something else than its teacher?

    Sorted by how far apart their probabilities are, or by how sure one of them is. What the student alone says stands
    beside it: a disagreement that it shares comes from the student's size, one that only the distilled student has
    comes from the teaching.
    """

    title = "Disagreements"
    answers = "Gallery"
    needs = ("images",)
    split: str = knob("validation", choices=("validation", "test"), help="From which pictures.")
    which: str = knob(
        "disagreements",
        choices=("disagreements", "teacher right", "student right", "both wrong", "everything"),
        help="All disagreements, those in which one of the two is right or neither is, or every picture.",
    )
    order: str = knob(
        "divergence",
        choices=("divergence", "student surest", "teacher surest", "student least sure"),
        help="First comes what lies furthest apart (KL divergence), or where one of the two is most or least sure.",
    )
    most: int = knob(48, 1, 200, help="How many pictures are kept.", unit="pictures")
    inputs: int = knob(1000, 16, 20000, help="How many pictures of the split are looked at.", unit="pictures")
    own: str = own_knob()

    def ask(self, revived: Revived) -> Gallery:
        data = revived.data
        if not data.images_of_plane:
            raise ProbeError(
                "points in a plane are no pictures; what the networks make of them stands under Activation boundaries"
            )
        who = sides(revived)
        if self.own:
            return self._of_own(revived)
        split = getattr(data, self.split)
        looked = min(self.inputs, len(split))
        logits = {
            part: view_logits(
                revived, view, (split.images if part != "teacher" or split.partner is None else split.partner)[:looked]
            )
            for part, view in who.views().items()
        }
        truth = split.truth[:looked]
        said = {part: values.argmax(dim=1) for part, values in logits.items()}
        differ = said["student"] != said["teacher"]
        logs = {part: values.log_softmax(dim=1) for part, values in logits.items()}
        apart = divergence(logits["teacher"], logits["student"])
        asked = _asked(self.which, differ, {part: found == truth for part, found in said.items()})
        sure = {part: values.max(dim=1).values.exp() for part, values in logs.items()}
        key = {
            "divergence": apart, "student surest": sure["student"], "teacher surest": sure["teacher"],
            "student least sure": -sure["student"],
        }[self.order]  # fmt: skip
        places = asked.nonzero().flatten()
        places = places[key[places].argsort(descending=True, stable=True)]
        kept = places[: self.most]
        share = float(differ.float().mean())
        first = "the first " if looked < len(split) else ""
        near = {part: 1.0 - _mean(found != said["teacher"]) for part, found in said.items() if part != "teacher"}
        says = (
            f"Student and teacher differ on {int(differ.sum()):,} of {first}{looked:,} {self.split} pictures "
            f"({percent(share, digits=1)})"
        )
        if "baseline" in said:
            alone = said["baseline"] != said["teacher"]
            says += f", student alone and teacher on {int(alone.sum()):,} ({percent(_mean(alone), digits=1)})"
        return Gallery(
            title=_title(self.which, len(places), len(kept)),
            says=says + ".",
            nearness=near,
            nearness_of=f"{self.split} pictures answered alike",
            pictures=_shown(data.pixels(split.images[kept])),
            places=kept.tolist(),
            truth=truth[kept].to(torch.int16).cpu().numpy(),
            logits={part: values[kept].float().cpu().numpy() for part, values in logits.items()},
            divergence=apart[kept].float().cpu().numpy(),
            class_names=list(data.class_names),
            split=self.split,
        )

    def _of_own(self, revived: Revived) -> Gallery:
        """What each network says of a picture of one's own: a gallery of one."""
        asked, who = asked_picture(revived, self.split, 0, self.own), sides(revived)
        logits = {part: view_logits(revived, view, asked.split.images) for part, view in who.views().items()}
        words, names = revived.data.class_names, {"teacher": "The teacher", "student": "the student"}
        told = [
            f"{names.get(part, 'the student alone')} says {words[int(values.argmax())]} "
            f"({percent(float(values.softmax(dim=1).max()))})"
            for part, values in logits.items()
        ]
        return Gallery(
            title="Your picture, as the networks see it",
            says=f"{asked.says} {', '.join(told)}.",
            pictures=_shown(revived.data.pixels(asked.split.images)),
            places=[-1],
            truth=numpy.array([-1], dtype=numpy.int16),
            logits={part: values.float().cpu().numpy() for part, values in logits.items()},
            divergence=divergence(logits["teacher"], logits["student"]).float().cpu().numpy(),
            class_names=list(words),
            split="own",
        )


def _shown(pixels: Tensor) -> numpy.ndarray:
    """(N, c, h, w) in [0, 1] as (N, h, w, c) uint8."""
    return (pixels.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _asked(which: str, differ: Tensor, right: dict[str, Tensor]) -> Tensor:
    if which == "everything":
        return torch.ones_like(differ)
    if which == "disagreements":
        return differ
    if which == "both wrong":
        return differ & ~right["student"] & ~right["teacher"]
    return differ & right[which.split()[0]]


def _mean(chosen: Tensor) -> float:
    return float(chosen.float().mean())


def _title(which: str, found: int, kept: int) -> str:
    names = {
        "disagreements": "on which student and teacher disagree",
        "teacher right": "on which the teacher is right and the student is not",
        "student right": "on which the student is right and the teacher is not",
        "both wrong": "on which both are wrong, each in its own way",
        "everything": "of the split",
    }
    if not found:
        return f"No picture {names[which]}"
    number = f"{found:,} picture{'' if found == 1 else 's'} {names[which]}"
    return number if kept == found else f"{number}, the first {kept} of them"
