"""CMI: each round's fresh generator inverts the teacher, and contrast with earlier pictures keeps the pool various."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.generation import Generator, Pool, channel_means, norms_of, overheard, statistics_gap
from kdcore.inversion import Inversion, Round, Sought
from kdcore.network import Network
from kdcore.peers import Kept
from kdcore.response import soft_kl
from kdcore.scheme import Between, Moment
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms

HEAD = 128
"""Numbers in which pictures are told apart."""
LEAST = 0.5
"""Side of a local crop at least, as a share of the picture's."""


class ContrastiveInversion(Inversion):
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
    weighed = ("classes", "norms", "contrast", "against")
    pictures: int = 240
    rounds: int = 3
    classes: float = 0.5
    norms: float = 1.0
    rate: float = 0.5
    against: float = knob(
        0.5, 0.0, 20.0, help="Weight, after the first round, of the student's error, where it errs not."
    )
    contrast: float = knob(0.8, 0.0, 20.0, help="Weight of being told from all other pictures.")
    contrast_temperature: float = knob(0.1, 0.01, 1.0, help="Softness of that comparison.", scale="log")
    noise: int = knob(100, 2, 1000, help="Numbers that the generator makes a picture of.", unit="numbers", scale="log")
    width: int = knob(24, 4, 128, help="Channels of the generator's last hidden layer.", scale="log")

    def search(self, pool: Pool, teacher: Network, between: Between) -> Callable[[int], Round]:
        data, size = between.data(), self.size
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

        return each


class Made(Sought):
    """What a generator makes of noise that is learned with it."""

    def __init__(self, generator: Generator, count: int, classes: int) -> None:
        super().__init__(count, classes)
        self.generator = generator
        self.noise = nn.Parameter(torch.randn(count, generator.noise))

    def pictures(self) -> Tensor:
        return self.generator(self.noise)

    def fresh(self) -> bool:
        return self.generator.fresh()


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
