"""CMI: each round's fresh generator inverts the teacher, and contrast with earlier pictures keeps the pool various."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.generation import (
    EXAMPLE,
    DataFree,
    Generator,
    Pool,
    channel_means,
    needs_norms,
    needs_pictures,
    norms_of,
    overheard,
    statistics_gap,
)  # fmt: skip
from kdcore.inversion import Plan, Round, Sought, rounds
from kdcore.network import Network
from kdcore.peers import Kept
from kdcore.response import soft_kl
from kdcore.scheme import Between, Moment, Phase, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms

HEAD = 128
"""Numbers in which pictures are told apart."""
LEAST = 0.5
"""Side of a local crop at least, as a share of the picture's."""


class ContrastiveInversion(DataFree):
    """Pictures are sought that the teacher would know and that can be told from all the others made so far.

    Inversion alone finds the same few pictures again and again. Here a crop of each picture has to be recognised, by
    the statistics that the teacher's batch norms read, among the pictures of its batch and of the rounds before; a
    picture like another cannot be. Each round has a fresh generator, and its noise is learned with it.
    """

    title = "Data-free: contrastive inversion (CMI)"
    paper = Paper(
        "Fang, Song, Wang, Shen, Wang, Song", 2021, "https://arxiv.org/abs/2105.08584",
        "Contrastive Model Inversion for Data-Free Knowledge Distillation",
    )  # fmt: skip
    provenance = (
        "terms and weights (batch norms 1, classes 0.5, against the student 0.5, contrast 0.8 at temperature 0.1) as "
        "in the authors' code; few rounds of many pictures for its many rounds of few, and no mirrored crops, are ours"
    )
    pitfalls = (
        "The whole picture's side of the contrast is cut off from the graph; else both sides meet anywhere.",
        "The bank keeps what batch norms read, not what the head makes of it: the head goes on learning.",
        "The teacher must have batch norm.",
    )
    pictures: int = knob(240, 16, 8192, help="Pictures made in all.", unit="pictures", scale="log")
    rounds: int = knob(3, 1, 8, help="Rounds, each with a fresh generator.")
    classes: float = knob(0.5, 0.0, 20.0, help="Weight of the cross-entropy with the class each is meant to show.")
    norms: float = knob(1.0, 0.0, 200.0, help="Weight of the distance from the statistics that the batch norms kept.")
    against: float = knob(
        0.5, 0.0, 20.0, help="Weight, after the first round, of the student's error, where it errs not."
    )
    contrast: float = knob(0.8, 0.0, 20.0, help="Weight of being told from all other pictures.")
    contrast_temperature: float = knob(0.1, 0.01, 1.0, help="Softness of that comparison.", scale="log")
    noise: int = knob(100, 2, 1000, help="Numbers that the generator makes a picture of.", unit="numbers", scale="log")
    width: int = knob(24, 4, 128, help="Channels of the generator's last hidden layer.", scale="log")
    share: float = knob(0.5, 0.05, 0.95, help="Share of the student's epochs in which pictures are sought.")
    steps: int = knob(8, 1, 50, help="Steps of the generator in each step of its phase.", unit="steps")
    rate: float = knob(
        0.5, 0.001, 100.0, scale="log", help="Learning rate of generator and noise, as a multiple of the student's."
    )
    made: int = knob(64, 8, 1024, help="Pictures in each step of the student.", unit="pictures", scale="log")
    student_steps: int = knob(10, 1, 50, help="Steps of the student in each step of its phases.", unit="steps")
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of the teacher's answers to the student.")
    example = EXAMPLE

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        needs_pictures(between)
        needs_norms(cast["teacher"], "CMI")
        yield taught_by_labels(between)
        yield from self.yardstick(between)
        data, size, teacher = between.data(), self.pictures // self.rounds, cast["teacher"]
        pool = Pool(size * self.rounds, data).to(between.device())
        features = sum(one.num_features for one in norms_of(teacher))
        bank = Kept({"features": torch.zeros(size * (self.rounds - 1), features)}).to(between.device())

        def each(number: int) -> Round:
            with between.seeded(f"pictures {number}"):
                made = Made(Generator(self.noise, data.shape, self.width), size, data.classes).to(between.device())
                head = nn.Sequential(nn.Linear(features, HEAD), nn.ReLU(), nn.Linear(HEAD, HEAD)).to(between.device())
            past = size * (number - 1)

            def begins() -> None:
                if past:
                    with torch.no_grad(), overheard(teacher.eval()) as heard:
                        teacher.look(pool.pictures[past - size : past])
                        bank["features"][past - size : past].copy_(channel_means(heard))

            def own(moment: Moment) -> Terms:
                pictures = made.pictures()
                with overheard(teacher) as heard:
                    theirs = moment.see("teacher", pictures, graph=True).logits
                terms = {
                    "classes": F.cross_entropy(theirs, made.labels, reduction="none"),
                    "norms": statistics_gap(heard),
                }
                if self.contrast:
                    with overheard(teacher) as local:
                        moment.see("teacher", cropped(pictures, moment.generator), graph=True)
                    known = torch.cat([channel_means(heard).detach(), bank["features"][:past]])
                    terms["contrast"] = told_apart(head(channel_means(local)), head(known), self.contrast_temperature)
                if number > 1 and self.against:
                    ours = moment.see("student", pictures, graph=True).logits
                    agrees = (ours.argmax(dim=1) == theirs.argmax(dim=1)).to(ours.dtype)
                    terms["against"] = -soft_kl(ours, theirs, 1.0) * agrees
                return terms

            return Round(made, own, also={f"head {number}": head}, keeps={"bank": bank}, begins=begins)

        weights = {name: getattr(self, name) for name in ("classes", "norms", "contrast", "against")}
        plan = Plan(
            self.rounds, self.share, self.steps, self.rate, weights, self.made, self.student_steps, self.temperature, 0
        )
        yield from rounds(plan, pool, each, teacher, between)


class Made(Sought):
    """What a generator makes of noise that is learned with it."""

    def __init__(self, generator: Generator, count: int, classes: int) -> None:
        super().__init__()
        self.generator = generator
        self.noise = nn.Parameter(torch.randn(count, generator.noise))
        self.register_buffer("labels", torch.arange(count) % classes)

    def pictures(self) -> Tensor:
        return self.generator(self.noise)


def cropped(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """(N, *shape): of each picture a part of its own, at least half as high and wide, at the picture's size."""
    count = len(pictures)
    sides = LEAST + (1.0 - LEAST) * torch.rand(count, generator=generator)
    places = (2.0 * torch.rand(count, 2, generator=generator) - 1.0) * (1.0 - sides)[:, None]
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = sides
    maps[:, :, 2] = places
    where = F.affine_grid(maps, list(pictures.shape), align_corners=False).to(pictures.device)
    return F.grid_sample(pictures, where, padding_mode="border", align_corners=False)


def told_apart(local: Tensor, known: Tensor, temperature: float) -> Tensor:
    """(N,): cross-entropy of finding, by cosine, row i of `known` (M, D) for row i of `local` (N, D)."""
    scores = F.normalize(local, dim=1) @ F.normalize(known, dim=1).T / temperature
    return F.cross_entropy(scores, torch.arange(len(local), device=local.device), reduction="none")
