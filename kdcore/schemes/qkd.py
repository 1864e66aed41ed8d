"""Quantisation-aware distillation in three steps: alone, together with the teacher, under the teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy
import torch
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.few_bits import FewBits, sized
from kdcore.network import Network
from kdcore.peers import Kept, on_validation, right_share
from kdcore.quantisation import QUANTISERS, chosen, quantised_in
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Phase, Turn, distilled, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class QuantisedInSteps(FewBits):
    """A student with weights of few bits studies alone, then together with the teacher, then under the teacher.

    Rounding takes away so much of a student that soft targets, which bind it further, come too early at first. So it
    begins from its own weights in full precision and settles into the few bits with the labels alone (self-studying).
    Then teacher and student learn from each other, which moves the teacher to answers that few bits can give
    (co-studying); at last the teacher stands still (tutoring), with the labels or alone. The student alone begins from
    the same weights in full precision, has the same bits and as many epochs. The size of the steps between the levels
    is learned with the weights. Weights are quantised, activations are not.
    """

    title = "Quantised: study, together, tutored (QKD)"
    kind = "quantised"
    paper = Paper(
        "Kim, Bhalgat, Lee, Patel, Kwak", 2019, "https://arxiv.org/abs/1911.12491",
        "QKD: Quantization-aware Knowledge Distillation",
    )  # fmt: skip
    provenance = (
        "Paper: the three phases and their order, a start in full precision, learned steps. Own decisions: steps per "
        "output channel as logarithms, after Esser et al. 2020 (https://arxiv.org/abs/1902.08153) where the paper "
        "learns intervals; shares of the epochs, the teacher's slower rate, labels in tutoring. The losses are the "
        "recipe's methods."
    )
    pitfalls = (
        "Co-studying changes the teacher: its own accuracy may fall.",
        "Where labels are wrong, the student alone learns the noise, for it hears them twice as long: a slower rate, "
        "or apprentice with 'learned' steps, gives a stronger one to compare with.",
        "With 'uniform' steps, two bits round most weights to zero, and the student jumps about from epoch to epoch.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "scheme": {"is": "qkd", "bits": 2, "tutor": "alone"},
        "methods": [{"is": "ce", "weight": 0.5}, {"is": "kd", "temperature": 2.0}],
        "training": {"epochs": 30},
    }
    bits: int = knob(4, 2, 8, help="Most bits of a weight; binary takes 1 of them, ternary 2.", unit="bits")
    quantiser: str = knob(
        "learned", choices=QUANTISERS,
        help="learned: equal steps, their size is trained. uniform: equal steps up to the largest weight. "
        "ternary: -a, 0, a. binary: -a, a. auto: uniform.",
    )  # fmt: skip
    alone_share: float = knob(0.15, 0.05, 0.9, help="Share of the student's epochs in which it studies alone.")
    together_share: float = knob(
        0.6, 0.05, 0.9, help="Share of the epochs left after that in which teacher and student learn from each other."
    )
    slower: float = knob(
        0.1, 0.001, 1.0, help="The teacher's learning rate then, as a multiple of the student's.", scale="log"
    )
    tuning: float = knob(
        1.0, 0.001, 1.0, scale="log",
        help="Learning rate with few bits, as a multiple of the student's; the student alone has it too.",
    )  # fmt: skip
    tutor: str = knob(
        "with labels", choices=("with labels", "alone"), help="Whether the student still hears labels in tutoring."
    )

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        chosen(self.quantiser, self.bits)
        roles = {
            "teacher": Casting(teacher, "teacher"),
            "full precision": Casting(student, "peer", twin_of="student"),
            "student": Casting(student, "student"),
        }
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        def rounded(role: str) -> Callable[[], None]:
            def begins() -> None:
                network = quantised_in(cast[role])
                assert network is not None
                network.starts_from(cast["full precision"].state_dict())

            return begins

        yield taught_by_labels(between)
        turn = Turn("full precision", (between.alone("full precision"),))
        yield Phase("full precision", "The student in full precision learns from the labels", (turn,))
        if self.baseline:
            turn = Turn("baseline", (between.alone("baseline"),))
            title = "Rounded to few bits, the student alone learns on from the labels"
            yield Phase("baseline", title, (turn,), rate=self.tuning, begins=rounded("baseline"))
        turn = Turn("student", (between.labels("student") or between.alone("student"),))
        yield Phase(
            "self-studying", "Rounded to few bits, the student learns on from the labels", (turn,),
            share=self.alone_share, rate=self.tuning, begins=rounded("student"), shows=sized(cast),
        )  # fmt: skip
        right = Kept({"right": torch.zeros(2)}).to(between.device())
        pair = {"teacher": cast["teacher"], "student": cast["student"]}

        def begins() -> None:
            said = on_validation(pair, between)
            right["right"].copy_(torch.tensor([right_share(logits, between) for logits in said.values()]))

        def shows() -> Sequence[Answer]:
            return [moved(right["right"], on_validation(pair, between), between), *sized(cast)()]

        left = 1.0 - self.alone_share
        labels, theirs = between.labels("teacher"), between.knowledge("teacher", "student")
        back = Turn("teacher", (*([labels] if labels else []), theirs), rate=self.slower)
        yield Phase(
            "co-studying", "Teacher and student learn from each other",
            (distilled("student", "teacher", between), back), share=left * self.together_share, rate=self.tuning,
            begins=begins, keeps={"before": right}, shows=shows,
        )  # fmt: skip
        turn = distilled("student", "teacher", between)
        if self.tutor == "alone":
            turn = Turn("student", (between.knowledge("student", "teacher"),))
        yield Phase(
            "tutoring", "The student learns from the teacher, who stands still", (turn,),
            share=left * (1.0 - self.together_share), rate=self.tuning, keeps={"before": right}, shows=shows,
        )  # fmt: skip


def moved(before: Tensor, said: Mapping[str, Tensor], between: Between) -> Bars:
    """What both were right about before they learned together and are now, and how often they now say the same.

    `before` (2,) of teacher and student, `said` their logits now, (V, C) each.
    """
    now = {name: right_share(logits, between) for name, logits in said.items()}
    same = float((said["teacher"].argmax(dim=1) == said["student"].argmax(dim=1)).float().mean())
    was = dict(zip(said, before.tolist(), strict=True))
    return Bars(
        title="Teacher and student, before they learned together and now",
        says=f"The teacher is right on {100 * now['teacher']:.0f} % of the validation pictures, before it was on "
        f"{100 * was['teacher']:.0f} %; the student on {100 * now['student']:.0f} %, before on "
        f"{100 * was['student']:.0f} %. For {100 * same:.0f} % they say the same class.",
        series={name: numpy.array([was[name], now[name]], dtype=numpy.float32) for name in said},
        categories=["before they learned together", "now"],
        category_axis="",
        value_axis="share of validation pictures said right",
        low=0.0,
        high=1.0,
        parts={"teacher": "teacher", "student": "student"},
        reference=None,
        reference_says="",
    )
