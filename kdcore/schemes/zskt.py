"""Zero-shot knowledge transfer: a generator looks for where student and teacher differ, the student for where not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from kdcore.attention import energy
from kdcore.generation import (
    EXAMPLE,
    DataFree,
    Generator,
    learns,
    made_by,
    needs_norms,
    needs_pictures,
    searching,
)
from kdcore.geometry import unit
from kdcore.made_pictures import generated
from kdcore.network import Network
from kdcore.pairing import automatic
from kdcore.response import soft_kl
from kdcore.scheme import Between, Moment, Phase, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen, Terms


class ZeroShotTransfer(DataFree):
    """A generator makes pictures on which the student errs most, and the student learns the teacher's answers to them.

    Neither has any picture to begin with. What the student has learned is no longer worth making, so the generator
    moves on to where the two still differ, and the student is led through the teacher's whole behaviour. Attention
    maps of the layers can be matched too.
    """

    title = "Data-free: against the student (ZSKT)"
    paper = Paper(
        "Micaelli, Storkey", 2019, "https://arxiv.org/abs/1905.09768",
        "Zero-shot Knowledge Transfer via Adversarial Belief Matching",
    )  # fmt: skip
    provenance = (
        "losses and the ten student steps for each of the generator from the paper; its attention term (weight 250) is "
        "off, since tiny students learned less with it in short runs; the generator is that of DAFL; the student steps "
        "first and looks still while the generator learns; temperature 2 and the batch-norm term are ours"
    )
    pitfalls = (
        "The pictures are not meant to look like anything.",
        "A generator that outruns the student shows it ever new noise: more student steps, or a lower rate.",
    )
    attention: float = knob(
        0.0, 0.0, 5000.0, help="Weight of matching the attention maps of the layers; 250 in the paper."
    )
    norms: float = knob(
        1.0, 0.0, 20.0,
        help="Weight of a term not in the paper: the pictures have the statistics that the batch norms kept.",
    )  # fmt: skip
    temperature: float = knob(2.0, 1.0, 20.0, help="Softness of the answers that are compared.")
    noise: int = knob(100, 2, 1000, help="Numbers that the generator makes a picture of.", unit="numbers", scale="log")
    width: int = knob(24, 4, 128, help="Channels of the generator's last hidden layer.", scale="log")
    made: int = knob(64, 8, 1024, help="Pictures made for each step.", unit="pictures", scale="log")
    student_steps: int = knob(10, 1, 50, help="Steps of the student for each of the generator.", unit="steps")
    rate: float = knob(
        0.3, 0.001, 100.0, scale="log", help="Learning rate of the generator, as a multiple of the student's."
    )
    example = EXAMPLE

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        needs_pictures(between)
        if self.norms:
            needs_norms(cast["teacher"], f"norms={self.norms:g}")
        yield taught_by_labels(between)
        yield from self.yardstick(between)
        with between.seeded("generator"):
            maker = Generator(self.noise, between.data().shape, self.width).to(between.device())

        def own(moment: Moment) -> Terms:
            student, teacher = moment.see("student"), moment.see("teacher")
            terms = {"kd": soft_kl(student.logits, teacher.logits, self.temperature)}
            return {**terms, "attention": attention_gap(student, teacher)} if self.attention else terms

        making = searching(
            maker, cast["teacher"], between, made=self.made, rate=self.rate, norms=self.norms,
            differ=lambda student, teacher: soft_kl(student, teacher, self.temperature),
        )  # fmt: skip
        yield Phase(
            "student", "A generator looks for what the student gets wrong; the student learns from that alone",
            (learns(own, self.student_steps, {"attention": self.attention}), making),
            supply=made_by(maker, self.made, between.device()), shows=generated(maker, cast["teacher"], between),
        )  # fmt: skip


def attention_gap(student: Seen, teacher: Seen) -> Tensor:
    """(N,): squared difference of the layers' attention maps of length one, meant over places, summed over layers.

    Layers are paired as attention transfer pairs them; a pair of different sizes is left out.
    """
    shapes = {"student": student.maps, "teacher": teacher.maps}
    pairs = automatic("each", "last", **{who: [tuple(one.shape[1:]) for one in maps] for who, maps in shapes.items()})
    gaps = [torch.zeros(len(student.logits), device=student.logits.device)]
    for ours, theirs in ((student.maps[s], teacher.maps[t]) for s, t in pairs.pairs):
        if ours.shape[2:] == theirs.shape[2:] and ours.shape[2:] != (1, 1):
            one, other = (unit(energy(maps).flatten(1)) for maps in (ours, theirs))
            gaps.append((one - other).square().mean(dim=1))
    return torch.stack(gaps).sum(dim=0)
