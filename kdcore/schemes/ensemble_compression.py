"""Model compression: a whole ensemble put into one student, with as many made pictures as that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy
import torch

from kdcore.answer import Answer
from kdcore.answers.gallery import Gallery
from kdcore.data import Split
from kdcore.ensembles import together
from kdcore.network import Network
from kdcore.recipe import RecipeError
from kdcore.response import soft_kl
from kdcore.scheme import Between, Moment, Phase, Turn
from kdcore.schooling import Ensemble, Report, label_loss, told
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.transfer_set import enlarged
from kdcore.vocabulary import Paper, Terms

SHOWN = 12


class EnsembleCompression(Ensemble):
    """One student learns what an ensemble says, of the pictures and of many more that are made from them.

    The ensemble is a function that can be asked anywhere. Made pictures that look like real ones ask it where it
    matters, and the more there are, the less a student can learn the few by heart. Larger sets are gone through fewer
    times: the number of steps stays that of the student alone.
    """

    title = "Multi-teacher: ensemble compression"
    paper = Paper(
        "Bucila, Caruana, Niculescu-Mizil", 2006, "https://doi.org/10.1145/1150402.1150464", "Model Compression"
    )
    provenance = (
        "Paper only. MUNGE as printed, its neighbours always those of the original rows; disturbed copies, and soft "
        "targets where it has errors of probabilities, are our own."
    )
    pitfalls = (
        "MUNGE with a small spread leaves the data: what the ensemble says there is worth nothing.",
        "With the same number of steps each picture is seen less often; made pictures must be worth that.",
    )
    example = {
        "data": {"is": "toy2d", "figure": "spirals", "classes": 3, "size": 120, "noise": 0.03},
        "teacher": {"is": "mlp", "width": 64, "depth": 3},
        "student": {"is": "mlp", "width": 32, "depth": 2},
        "methods": [],
        "training": {"epochs": 300, "teacher_epochs": 300, "teacher_rate": 0.01, "batch": 32},
        "scheme": {"is": "ensemble_compression", "labels": 0.0},
    }
    temperature = 2.0
    by: str = knob("munge", choices=("munge", "disturbed"), help="How further pictures are made.")
    times: int = knob(3, 0, 20, help="How many made pictures there are for each real one. 0: none.")
    swap: float = knob(0.5, 0.0, 1.0, help="munge: chance that a number of a row is redrawn around its neighbour's.")
    spread: float = knob(1.0, 0.1, 20.0, help="munge: the larger, the closer to the neighbour's.", scale="log")

    def student_phase(self, cast: Mapping[str, Network], between: Between) -> Phase:
        data = between.data()
        if data.train.partner is not None:
            raise RecipeError("data", "pictures cannot be made where the teachers see other ones than the student")
        names, report = self.names(), Report(cast, self.names(), data)

        def own(moment: Moment) -> Terms:
            student = moment.see("student").logits
            target = together(told(moment, names), self.temperature, "probability")
            terms = {"kd": soft_kl(student, target, self.temperature)}
            return {"ce": label_loss(student, moment.batch.labels), **terms} if self.labels else terms

        def split() -> Split:
            with between.seeded("made pictures"):
                seed = int(torch.randint(2**31, (1,)))
            return enlarged(data.train, by=self.by, times=self.times, swap=self.swap, spread=self.spread, seed=seed)

        made: list[Split] = []

        def shows() -> Sequence[Answer]:
            found: list[Answer] = [
                report.knowledge(together(report.said("validation"), self.temperature, "probability"))
            ]
            if data.images_of_plane and self.times:
                if not made:
                    made.append(split())
                found.append(self._gallery(made[0], cast, between))
            return found

        turn = Turn("student", own=own, weights={"ce": self.labels}, told_by=tuple(names), hears=("logits",))
        title = f"The student learns what the ensemble says of {self.times + 1} times as many pictures"
        return Phase("student", title, (turn,), split=split, share=1.0 / (self.times + 1), shows=shows)

    def _gallery(self, made: Split, cast: Mapping[str, Network], between: Between) -> Gallery:
        """Some made pictures, and what the ensemble and the student make of them."""
        data = between.data()
        real = len(data.train)
        some = made.of(torch.arange(real, real + min(SHOWN, real), device=made.labels.device))
        said = torch.stack([logits_of(cast[name], some.images) for name in self.names()])
        teacher, student = together(said, 1.0, "probability"), logits_of(cast["student"], some.images)
        gaps = soft_kl(student, teacher, 1.0)
        pixels = data.pixels(some.images)[:, : 3 if data.shape[0] == 3 else 1].mul(255).round().byte()
        return Gallery(
            "Pictures that were made",
            f"Ensemble and student are {float(gaps.mean()):.2f} nats apart on {len(some)} of "
            f"{len(made) - real} made pictures.",
            pixels.permute(0, 2, 3, 1).cpu().numpy(), [-1] * len(some), numpy.full(len(some), -1, dtype=numpy.int16),
            {"teacher": teacher.cpu().numpy().astype(numpy.float32),
             "student": student.cpu().numpy().astype(numpy.float32)},
            gaps.cpu().numpy().astype(numpy.float32), list(data.class_names), "own",
        )  # fmt: skip
