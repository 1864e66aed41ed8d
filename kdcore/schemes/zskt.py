"""Zero-shot knowledge transfer: a generator looks for where student and teacher differ, the student for where not."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.attention import energy
from kdcore.generation import Generator, learns
from kdcore.geometry import unit
from kdcore.network import Network
from kdcore.pairing import automatic
from kdcore.response import soft_kl
from kdcore.scheme import Between, Moment, Turn
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen, Terms
from kdcore.with_generator import WithGenerator, apart


class ZeroShotTransfer(WithGenerator):
    """A generator makes pictures on which the student errs most, and the student learns the teacher's answers to them.

    Neither has any picture to begin with. What the student has learned is no longer worth making, so the generator
    moves on to where the two still differ, and the student is led through the teacher's whole behaviour. Attention
    maps of the layers can be matched too.
    """

    title = "Data-free: against the student (ZSKT)"
    sees = "A generator looks for what the student gets wrong; the student learns from that alone"
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
    temperature: float = knob(2.0, 1.0, 20.0, help="Softness of the answers that are compared.")
    student_steps: int = knob(10, 1, 50, help="Steps of the student for each of the generator.", unit="steps")

    def turns(self, maker: Generator, teacher: Network, between: Between) -> tuple[Turn, ...]:
        def differ(student: Tensor, teacher: Tensor) -> Tensor:
            return soft_kl(student, teacher, self.temperature)

        def own(moment: Moment) -> Terms:
            student, teacher = moment.see("student"), moment.see("teacher")
            terms = {"kd": differ(student.logits, teacher.logits)}
            return {**terms, "attention": attention_gap(student, teacher)} if self.attention else terms

        learning = learns(own, self.student_steps, {"attention": self.attention})
        return learning, self.making(maker, teacher, between, apart(differ))


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
