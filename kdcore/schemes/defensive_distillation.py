"""Defensive distillation: a student of the same build learns a teacher's soft classes at a high temperature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy
import torch
import torch.nn.functional as F
from torch import nn

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.attacks import Attacker, accuracy
from kdcore.network import Network
from kdcore.peers import spoken
from kdcore.recipe import Pick
from kdcore.response import at_least_float, label_mean, log_softened
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms

EPSILONS = 5
"""Strengths at which attacks are measured, from none to the largest."""
HOW = ("no attack", "FGSM, as deployed", "FGSM, logits / T", "PGD, as deployed", "PGD, logits / T", "PGD, transferred")


class DefensiveDistillation(Scheme):
    """Teacher and student of one build learn at temperature T; the student is deployed at temperature 1.

    Trained at T, the logits grow about T times as large, so at temperature 1 the softmax is saturated and its slope
    with respect to the pixels vanishes: attacks that follow the slope find nothing to follow. That is no robustness
    but a masked gradient, and it was broken soon after (Carlini and Wagner 2017): dividing the logits by T before the
    attack gives the slope back, and attacks made on another network carry over. The scheme measures both: accuracy
    under FGSM and PGD against their strength, and the same attacks by someone who knows. The teacher is the student's
    build, so the recipe's teacher plays no role.
    """

    title = "Robustness: defensive distillation"
    kind = "robustness"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Papernot, McDaniel, Wu, Jha, Swami", 2016, "https://arxiv.org/abs/1511.04508",
        "Distillation as a Defense to Adversarial Perturbations against Deep Neural Networks",
    )  # fmt: skip
    provenance = (
        "Paper; the break after Carlini and Wagner, https://arxiv.org/abs/1608.04644. Attacks are in the L-infinity "
        "norm on held-out pictures, PGD in 2.5 epsilon / steps without a random start. Own decision: the last layer "
        "starts T times as large, so that training at T starts where training at 1 would; from the usual start a short "
        "training does not reach logits of that size."
    )
    pitfalls = (
        "Broken: it masks the gradient and protects from nobody who divides the logits by T or transfers an attack.",
        "Cross-entropy at temperature T has T times smaller slopes: plain SGD needs a larger rate, Adam does not.",
    )
    example = {
        "data": {"is": "digits"},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "scheme": {"is": "defensive_distillation", "temperature": 40.0},
        "methods": [],
        "training": {"epochs": 30},
    }
    temperature: float = knob(20.0, 1.0, 100.0, help="T, at which teacher and student are trained.")
    faster: float = knob(
        6.0, 0.1, 20.0, scale="log",
        help="Learning rate at T, as a multiple of the student's: logits have to grow T times as large.",
    )  # fmt: skip
    strongest: float = knob(
        0.25, 0.01, 1.0, help="Largest change of a pixel, as a share of its range (of a point: in its units)."
    )
    steps: int = knob(10, 1, 100, help="Steps of the iterated attack (PGD).", unit="steps")
    pictures: int = knob(100, 16, 2000, help="Validation pictures that are attacked.", unit="pictures")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"teacher": Casting(student, "teacher"), "student": Casting(student, "student")}
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.baseline:
            yield alone(between)

        def hard(moment: Moment) -> Terms:
            logits = at_least_float(moment.see("teacher").logits) / self.temperature
            labels = moment.batch.labels
            losses = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
            return {"ce": label_mean(losses, labels)}

        def soft(moment: Moment) -> Terms:
            told = log_softened(moment.see("teacher").logits, self.temperature).exp()
            return {"soft": -(told * log_softened(moment.see("student").logits, self.temperature)).sum(dim=1)}

        title = f"The teacher learns from the labels at temperature {self.temperature:g}"
        yield Phase(
            "teacher", title, (Turn("teacher", own=hard),), pictures="teacher",
            rate=self.faster,            begins=lambda: enlarge_answers(cast["teacher"], self.temperature),
        )  # fmt: skip
        measured: dict[str, dict[str, list[float]]] = {}

        def shows() -> Sequence[Answer]:
            return self._pictures(cast, between, measured)

        title = f"The student learns the teacher's soft classes at temperature {self.temperature:g}"
        turn = Turn("student", own=soft, told_by=("teacher",), hears=("logits",))
        yield Phase(
            "student",
            title,
            (turn,),
            shows=shows,
            rate=self.faster,
            begins=lambda: enlarge_answers(cast["student"], self.temperature),
        )

    def _pictures(
        self, cast: Mapping[str, Network], between: Between, measured: dict[str, dict[str, list[float]]]
    ) -> list[Answer]:
        """Accuracy under attack. `measured` keeps what was found of those that do not learn any more."""
        data = between.data()
        attacker = Attacker(data, self.steps)
        images, truth = data.validation.images[: self.pictures], data.validation.truth[: self.pictures]
        strengths = [self.strongest * place / (EPSILONS - 1) for place in range(EPSILONS)]
        middle = strengths[EPSILONS // 2]
        modes = {role: network.training for role, network in cast.items()}
        for network in cast.values():
            network.eval()
        found: dict[str, dict[str, list[float]]] = {}
        for role, network in cast.items():
            if role in measured:
                found[role] = measured[role]
                continue
            found[role] = {
                name: [accuracy(network, attack(network, images, truth, one), truth) for one in strengths]
                for name, attack in (("FGSM", attacker.fgsm), ("PGD", attacker.pgd))
            }
            if role != "student":
                measured[role] = found[role]
        student, other = cast["student"], cast.get("baseline", cast["teacher"])
        known = [
            accuracy(student, attack(student, images, truth, middle, self.temperature), truth)
            for attack in (attacker.fgsm, attacker.pgd)
        ]
        carried = accuracy(student, attacker.pgd(other, images, truth, middle, 1.0), truth)
        for role, network in cast.items():
            network.train(modes[role])
        pictures: list[Answer] = [self._against(name, found, strengths, len(images)) for name in ("FGSM", "PGD")]
        ways = [
            found["student"]["FGSM"][0], found["student"]["FGSM"][EPSILONS // 2], known[0],
            found["student"]["PGD"][EPSILONS // 2], known[1], carried,
        ]  # fmt: skip
        source = "student alone" if "baseline" in cast else "teacher"
        pictures.append(
            Bars(
                title="The break: the same attacks by someone who knows",
                says=f"Pixels changed by {middle:.3g}: PGD as deployed leaves the student {100 * ways[3]:.0f} %, with "
                f"logits divided by T {100 * ways[4]:.0f} %, carried over from the {source} {100 * ways[5]:.0f} %.",
                series={"student": numpy.array(ways, dtype=numpy.float32)},
                categories=list(HOW),
                category_axis=f"attack on {len(images)} validation pictures, change of a pixel {middle:.3g}",
                value_axis="accuracy left",
                low=0.0,
                high=1.0,
                parts={"student": "student"},
                reference=1.0 / data.classes,
                reference_says="chance",
            )
        )
        return pictures

    def _against(self, name: str, found: dict[str, dict[str, list[float]]], strengths: list[float], count: int) -> Bars:
        middle = EPSILONS // 2
        left = ", ".join(f"{spoken(role)} {100 * values[name][middle]:.0f} %" for role, values in found.items())
        return Bars(
            title=f"Accuracy under {name}, by strength",
            says=f"Where {name} may change a pixel by {strengths[middle]:.3g}, it leaves right: {left}.",
            series={role: numpy.array(values[name], dtype=numpy.float32) for role, values in found.items()},
            categories=[f"{one:.3g}" for one in strengths],
            category_axis=f"largest change of a pixel, share of its range ({count} validation pictures)",
            value_axis="accuracy",
            low=0.0,
            high=1.0,
            parts={role: role for role in found},
            reference=None,
            reference_says="",
        )


def enlarge_answers(network: Network, factor: float) -> None:
    """Make the logits of an untrained network `factor` times as large, by its last linear layer."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1:]
    with torch.no_grad():
        for layer in last:
            for parameter in layer.parameters():
                parameter.mul_(factor)
