"""Function matching: a patient student that sees exactly what its teacher sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy
import torch
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.gallery import Gallery
from kdcore.blending import cutmix, mixup
from kdcore.network import Network
from kdcore.recipe import RecipeError
from kdcore.response import soft_kl
from kdcore.scheme import Between, Moment, Phase, Scheme, Turn, alone, taught_by_labels
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms

SHOWN = 12


class FunctionMatching(Scheme):
    """The student learns to say what the teacher says of mixed pictures, both looking at the very same ones.

    No labels are used: the teacher is a function, and any picture is a place to match it. Mixed pictures give no end of
    such places, so a long training does not learn the few by heart. That both see the same view matters: a teacher that
    looked at another crop says something that the student's picture does not show.
    """

    title = "Offline: function matching"
    kind = "offline"
    uses_methods = False
    paper = Paper(
        "Beyer, Zhai, Royer, Markeeva, Anil, Kolesnikov", 2022, "https://arxiv.org/abs/2106.05237",
        "Knowledge distillation: A good teacher is patient and consistent",
    )  # fmt: skip
    provenance = (
        "Paper and authors' code (temperature 1, mixup of every picture with an even share). Crops and flips are the "
        "data set's knob here; optimiser and schedule the recipe's."
    )
    pitfalls = (
        "Patience is the point: with few epochs, mixed pictures only make the task harder.",
        "view='fixed' keeps one answer for each picture while the student sees it mixed: what the paper warns of.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.1},
        "teacher": {"is": "plain", "width": 16, "stage_count": 2},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 60, "teacher_epochs": 15, "teacher_rate": 0.005},
        "scheme": {"is": "funmatch"},
    }
    mix: str = knob("mixup", choices=("mixup", "cutmix", "none"), help="How two pictures become one.")
    view: str = knob(
        "same", choices=("same", "independent", "fixed"),
        help="What the teacher sees: the student's very picture; one mixed anew; or the plain picture.",
    )  # fmt: skip
    temperature: float = knob(1.0, 1.0, 20.0, help="Softness of both distributions.")

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        data = between.data()
        if data.train.partner is not None:
            raise RecipeError(
                "data", "function matching shows both the same picture; here the teacher sees another one"
            )
        if self.mix == "cutmix" and not data.images_of_plane:
            raise RecipeError("scheme.mix", "mix='cutmix' cuts rectangles out of pictures; points take mixup or none")
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between)

        def mixed(moment: Moment) -> Tensor:
            if self.mix == "none":
                return moment.batch.images
            how = mixup if self.mix == "mixup" else cutmix
            return how(moment.batch.images, moment.generator)[0]

        def own(moment: Moment) -> Terms:
            images = mixed(moment)
            if self.view == "fixed":
                teacher = moment.see("teacher")
            else:
                teacher = moment.see("teacher", images if self.view == "same" else mixed(moment))
            return {"kd": soft_kl(moment.see("student", images).logits, teacher.logits, self.temperature)}

        def shows() -> Sequence[Answer]:
            return [self._gallery(cast, between)] if data.images_of_plane else []

        turn = Turn("student", own=own, told_by=("teacher",))
        yield Phase("student", "The student matches the teacher on mixed pictures", (turn,), shows=shows)

    def _gallery(self, cast: Mapping[str, Network], between: Between) -> Gallery:
        """Some mixed validation pictures, and what both make of them."""
        data = between.data()
        split = data.validation.of(torch.arange(min(SHOWN, len(data.validation)), device=data.train.labels.device))
        images = split.images
        if self.mix != "none":
            how = mixup if self.mix == "mixup" else cutmix
            images = how(images, torch.Generator().manual_seed(0))[0]
        student, teacher = logits_of(cast["student"], images), logits_of(cast["teacher"], images)
        gaps = soft_kl(student, teacher, 1.0)
        pixels = data.pixels(images)[:, : 3 if data.shape[0] == 3 else 1].mul(255).round().byte().permute(0, 2, 3, 1)
        agree = int((student.argmax(dim=1) == teacher.argmax(dim=1)).sum())
        return Gallery(
            "Pictures that both look at",
            f"Student and teacher say the same of {agree} of {len(split)} mixed validation pictures; "
            f"they are {float(gaps.mean()):.2f} nats apart.",
            pixels.cpu().numpy(), split.index.tolist(), numpy.full(len(split), -1, dtype=numpy.int16),
            {"teacher": teacher.cpu().numpy().astype(numpy.float32),
             "student": student.cpu().numpy().astype(numpy.float32)},
            gaps.cpu().numpy().astype(numpy.float32), list(data.class_names), "validation",
        )  # fmt: skip
